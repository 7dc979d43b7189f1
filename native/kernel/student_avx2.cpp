#include "kernel/student.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernel/avx2_vector.h"
#include "kernel/student_vector.h"

namespace mara::kernel {
namespace {

struct Isa : Avx2 {
    static constexpr int32_t tile_rows = 4, tile_vectors = 2, row_vectors = 8;
    static V widen(const uint16_t* from) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    }
};

}  // namespace

extern const StudentOperations student_avx2 = student_operations<Isa>("avx2");

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
