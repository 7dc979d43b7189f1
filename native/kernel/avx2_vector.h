// vector.h's operations in AVX2 and FMA. Included by files that turn these on, inside their #pragma target.
#pragma once

#include <immintrin.h>

#include "kernel/vector.h"

namespace mara::kernel {
namespace {

struct Avx2 {
    using V = __m256;
    static constexpr int32_t width = 8;
    static __m256i first(int32_t n) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
    static V zero() { return _mm256_setzero_ps(); }
    static V set1(float x) { return _mm256_set1_ps(x); }
    static V load(const float* from) { return _mm256_loadu_ps(from); }
    static V load_first(const float* from, int32_t n) { return _mm256_maskload_ps(from, first(n)); }
    static V load_first_or(const float* from, int32_t n, V rest) {
        return _mm256_blendv_ps(rest, load_first(from, n), _mm256_castsi256_ps(first(n)));
    }
    static void store(float* to, V a) { _mm256_storeu_ps(to, a); }
    static V add(V a, V b) { return _mm256_add_ps(a, b); }
    static V sub(V a, V b) { return _mm256_sub_ps(a, b); }
    static V mul(V a, V b) { return _mm256_mul_ps(a, b); }
    static V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
    static V max(V a, V b) { return _mm256_max_ps(a, b); }
    static V abs_max(V a, V b) { return _mm256_max_ps(a, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), b)); }
    static float sum(V a) {
        __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        s = _mm_add_ps(s, _mm_movehl_ps(s, s));
        return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
    }
    static float largest(V a) {
        __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        s = _mm_max_ps(s, _mm_movehl_ps(s, s));
        return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
    }
    // Pairs of lanes, then pairs of those, then halves change places.
    static void transpose(V* rows) {
        V pairs[8], fours[8];
        for (int32_t i = 0; i < 8; i += 2) {
            pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
            pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
        }
        for (int32_t i = 0; i < 8; i += 4)
            for (int32_t k = 0; k < 2; ++k) {
                fours[i + 2 * k] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], _MM_SHUFFLE(1, 0, 1, 0));
                fours[i + 2 * k + 1] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], _MM_SHUFFLE(3, 2, 3, 2));
            }
        for (int32_t i = 0; i < 4; ++i) {
            rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
            rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
        }
    }
};

}  // namespace
}  // namespace mara::kernel
