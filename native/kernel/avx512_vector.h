// vector.h's operations in AVX-512 (F, BW, DQ, VL). Included by the AVX-512 and AMX variants, inside their #pragma
// target.
#pragma once

#include <immintrin.h>

#include "kernel/vector.h"

namespace mara::kernel {
namespace {

struct Avx512 {
    using V = __m512;
    static constexpr int32_t width = 16;
    static __mmask16 first(int32_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
    static V zero() { return _mm512_setzero_ps(); }
    static V set1(float x) { return _mm512_set1_ps(x); }
    static V load(const float* from) { return _mm512_loadu_ps(from); }
    static V load_first(const float* from, int32_t n) { return _mm512_maskz_loadu_ps(first(n), from); }
    static V load_first_or(const float* from, int32_t n, V rest) { return _mm512_mask_loadu_ps(rest, first(n), from); }
    static void store(float* to, V a) { _mm512_storeu_ps(to, a); }
    static V add(V a, V b) { return _mm512_add_ps(a, b); }
    static V sub(V a, V b) { return _mm512_sub_ps(a, b); }
    static V mul(V a, V b) { return _mm512_mul_ps(a, b); }
    static V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
    static V max(V a, V b) { return _mm512_max_ps(a, b); }
    static V abs_max(V a, V b) { return _mm512_max_ps(a, _mm512_abs_ps(b)); }
    static float sum(V a) { return _mm512_reduce_add_ps(a); }
    static float largest(V a) { return _mm512_reduce_max_ps(a); }
    // Four times rows i and i + 8 become rows 2i and 2i + 1, their lanes taking turns.
    static void transpose(V* rows) {
        const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        for (int32_t stage = 0; stage < 4; ++stage) {
            V out[16];
            for (int32_t i = 0; i < 8; ++i) {
                out[2 * i] = _mm512_permutex2var_ps(rows[i], low, rows[i + 8]);
                out[2 * i + 1] = _mm512_permutex2var_ps(rows[i], high, rows[i + 8]);
            }
            for (int32_t i = 0; i < 16; ++i) rows[i] = out[i];
        }
    }
};

}  // namespace
}  // namespace mara::kernel
