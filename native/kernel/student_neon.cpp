#include "kernel/student.h"

#if defined(__aarch64__)
#include "kernel/neon_vector.h"
#include "kernel/student_vector.h"

namespace mara::kernel {
namespace {

struct Isa : Neon {
    static constexpr int32_t tile_rows = 4, tile_vectors = 4, row_vectors = 16;
    static V widen(const uint16_t* from) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }
};

}  // namespace

extern const StudentOperations student_neon = student_operations<Isa>("neon");

}  // namespace mara::kernel
#endif
