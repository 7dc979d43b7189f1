// Chooses the operations once per learner: the best that this machine can run, or those that the caller names.
#include "train/operations.h"

#include <cstring>

namespace mara::train {

#if defined(__x86_64__) || defined(_M_X64)
extern const VectorOperations avx512_operations;
extern const VectorOperations avx2_operations;
#elif defined(__aarch64__)
extern const VectorOperations neon_operations;
#endif
extern const VectorOperations portable_operations;

namespace {

// Best first.
const VectorOperations* const all[] = {
#if defined(__x86_64__) || defined(_M_X64)
    &avx512_operations,
    &avx2_operations,
#elif defined(__aarch64__)
    &neon_operations,
#endif
    &portable_operations,
};

}  // namespace

const VectorOperations* find_operations(const char* name) {
    for (const VectorOperations* operations : all)
        if ((name == nullptr || std::strcmp(operations->name, name) == 0) && operations->available()) return operations;
    return nullptr;
}

int32_t operation_names(const char** names, int32_t capacity) {
    int32_t count = 0;
    for (const VectorOperations* operations : all) {
        if (!operations->available()) continue;
        if (count < capacity) names[count] = operations->name;
        ++count;
    }
    return count;
}

}  // namespace mara::train
