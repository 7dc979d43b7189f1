// Arm NEON with SDOT (Armv8.2 dot product): int8 weights × the two signed bytes of 16-bit activation codes.
#include <cmath>

#include "kernel/operations.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#include "kernel/neon_vector.h"
#include "kernel/pack.h"

namespace mara::kernel {
namespace {

constexpr float largest_code = 32639.0f;  // 127·256 + 127: both bytes of a code fit a signed byte

// packed: int8 [row][plane: high, low bytes][depth]; Σ code·w = 256·Σ high·w + Σ low·w, in exact 32-bit integers.
void pack(const Activations& input, int32_t index, int32_t inputs, int32_t depth) {
    const float* row = input.rows[index];
    auto* high = reinterpret_cast<int8_t*>(input.packed) + static_cast<ptrdiff_t>(index) * 2 * depth;
    int8_t* low = high + depth;
    const float largest = largest_deviation<Neon>(row, inputs, input.mean[index]);
    const float32x4_t center = Neon::set1(input.mean[index]);
    const float32x4_t factor = Neon::set1(largest > 0 ? largest_code / largest : 0.0f);
    const auto codes = [&](int32_t i) {
        return vqmovn_s32(vcvtnq_s32_f32(Neon::mul(Neon::sub(row_part(row, inputs, i, center), center), factor)));
    };
    for (int32_t i = 0; i < depth; i += 8) {
        const int16x8_t code = vcombine_s16(codes(i), codes(i + 4));
        vst1_s8(low + i, vmovn_s16(code));
        vst1_s8(high + i, vrshrn_n_s16(code, 8));  // rounding makes up for the sign of the low byte
    }
    input.mean[index] = 0;
    input.mul[index] *= largest / largest_code;
}

// `rows` rows × one panel over the whole depth.
template <int32_t rows>
void dot_tile(const int8_t* x, int32_t depth, const std::byte* panel, float* to) {
    int32x4_t high[rows][4];
    int32x4_t low[rows][4];
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t v = 0; v < 4; ++v) high[r][v] = low[r][v] = vdupq_n_s32(0);
    const auto* weights = reinterpret_cast<const int8_t*>(panel);
    for (int32_t i = 0; i < depth; i += 4, weights += 64) {
        int8x16_t w[4];  // 4 channels × 4 inputs each
        for (int32_t v = 0; v < 4; ++v) w[v] = vld1q_s8(weights + 16 * v);
        for (int32_t r = 0; r < rows; ++r) {
            const int8_t* from = x + static_cast<ptrdiff_t>(r) * 2 * depth + i;
            const auto spread = [](const int8_t* at) {
                return vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const int32_t*>(at)));
            };
            const int8x16_t upper = spread(from);
            const int8x16_t lower = spread(from + depth);
            for (int32_t v = 0; v < 4; ++v) {
                high[r][v] = vdotq_s32(high[r][v], w[v], upper);
                low[r][v] = vdotq_s32(low[r][v], w[v], lower);
            }
        }
    }
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t v = 0; v < 4; ++v)
            Neon::store(to + r * partial_stride + 4 * v,
                        Neon::fma(vcvtq_f32_s32(high[r][v]), Neon::set1(256.0f), vcvtq_f32_s32(low[r][v])));
}

void multiply(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
              ptrdiff_t out_stride) {
    Partial partial;
    const auto* x = reinterpret_cast<const int8_t*>(input.packed);
    for (int32_t p = 0; p < panel_count; ++p) {
        const std::byte* panel = layer.weights + static_cast<size_t>(first + p) * layer.panel_bytes;
        for (int32_t r = 0; r < input.count; r += 2) {
            const int8_t* from = x + static_cast<ptrdiff_t>(r) * 2 * layer.depth;
            float* to = &partial.values[r][p * panel_channels];
            if (r + 1 < input.count)
                dot_tile<2>(from, layer.depth, panel, to);
            else
                dot_tile<1>(from, layer.depth, panel, to);
        }
    }
    finish<Neon>(layer, input, first, panel_count, partial, out, out_stride);
}

}  // namespace

const Operations neon_dot_i8{moments<Neon>, pack, 2, multiply, pack_panel<Neon, codecs::I8>};

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
