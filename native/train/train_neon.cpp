// The learner's operations in Arm NEON, the baseline of 64-bit Arm.
#if defined(__aarch64__)
#include "kernel/neon_vector.h"
#include "train/vector_operations.h"

namespace mara::train {
namespace {

struct Isa : kernel::Neon {
    static constexpr int32_t tile_rows = 6;
    static constexpr int32_t tile_vectors = 4;
    static constexpr int32_t depth_block = 256;
};

bool available() { return true; }

}  // namespace

extern const VectorOperations neon_operations = Vector<Isa>::operations("neon", available);

}  // namespace mara::train
#endif
