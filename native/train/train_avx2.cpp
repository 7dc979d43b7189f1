// The learner's operations in AVX2 and FMA.
#include <cmath>

#include "kernel/cpu.h"
#include "kernel/layer.h"
#include "train/operations.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma")
#endif

#include "kernel/avx2_vector.h"
#include "train/vector_operations.h"

namespace mara::train {
namespace {

struct Isa : kernel::Avx2 {
    static constexpr int32_t tile_rows = 6;
    static constexpr int32_t tile_vectors = 2;
    static constexpr int32_t depth_block = 256;
};

bool available() { return kernel::cpu().avx2; }

}  // namespace

extern const VectorOperations avx2_operations = Vector<Isa>::operations("avx2", available);

}  // namespace mara::train

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
