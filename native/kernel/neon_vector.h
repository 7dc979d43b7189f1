// vector.h's operations in Arm NEON. Included by the NEON variants, inside their #pragma target.
#pragma once

#include <arm_neon.h>

#include "kernel/vector.h"

namespace mara::kernel {
namespace {

struct Neon {
    using V = float32x4_t;
    static constexpr int32_t width = 4;
    static V zero() { return vdupq_n_f32(0); }
    static V set1(float x) { return vdupq_n_f32(x); }
    static V load(const float* from) { return vld1q_f32(from); }
    static V load_first(const float* from, int32_t n) { return load_first_or(from, n, zero()); }
    static V load_first_or(const float* from, int32_t n, V rest) {
        float lanes[4];
        vst1q_f32(lanes, rest);
        for (int32_t i = 0; i < n; ++i) lanes[i] = from[i];
        return vld1q_f32(lanes);
    }
    static void store(float* to, V a) { vst1q_f32(to, a); }
    static V add(V a, V b) { return vaddq_f32(a, b); }
    static V sub(V a, V b) { return vsubq_f32(a, b); }
    static V mul(V a, V b) { return vmulq_f32(a, b); }
    static V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
    static V max(V a, V b) { return vmaxq_f32(a, b); }
    static V abs_max(V a, V b) { return vmaxq_f32(a, vabsq_f32(b)); }
    static float sum(V a) { return vaddvq_f32(a); }
    static float largest(V a) { return vmaxvq_f32(a); }
    // Twice rows i and i + 2 become rows 2i and 2i + 1, their lanes taking turns.
    static void transpose(V* rows) {
        for (int32_t stage = 0; stage < 2; ++stage) {
            const V out[] = {vzip1q_f32(rows[0], rows[2]), vzip2q_f32(rows[0], rows[2]), vzip1q_f32(rows[1], rows[3]),
                             vzip2q_f32(rows[1], rows[3])};
            for (int32_t i = 0; i < 4; ++i) rows[i] = out[i];
        }
    }
};

// Inputs i … i + 3 of a row, the mean where the row has ended.
inline float32x4_t row_part(const float* row, int32_t inputs, int32_t i, float32x4_t center) {
    const int32_t left = inputs - i;
    if (left >= Neon::width) return Neon::load(row + i);
    return left <= 0 ? center : Neon::load_first_or(row + i, left, center);
}

}  // namespace
}  // namespace mara::kernel
