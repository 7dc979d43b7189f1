// Arm NEON with BFDOT (Armv8.6 or the BF16 extension): bf16 weights × bf16 activations, pairs of inputs.
#include <cmath>

#include "kernel/operations.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("bf16"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("arch=armv8.2-a+bf16")
#endif

#include "kernel/neon_vector.h"
#include "kernel/pack.h"

namespace mara::kernel {
namespace {

// packed: bf16 [row][depth]
void pack(const Activations& input, int32_t index, int32_t inputs, int32_t depth) {
    const float* row = input.rows[index];
    auto* to = reinterpret_cast<bfloat16_t*>(input.packed) + static_cast<ptrdiff_t>(index) * depth;
    const float32x4_t center = Neon::set1(input.mean[index]);
    const float32x4_t factor = Neon::set1(input.mul[index]);
    for (int32_t i = 0; i < depth; i += 4)
        vst1_bf16(to + i, vcvt_bf16_f32(Neon::mul(Neon::sub(row_part(row, inputs, i, center), center), factor)));
    input.mean[index] = 0;
    input.mul[index] = 1;
}

// `rows` rows × one panel over the whole depth.
template <int32_t rows>
void dot_tile(const bfloat16_t* x, int32_t depth, const std::byte* panel, float* to) {
    float32x4_t sums[rows][4];
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t v = 0; v < 4; ++v) sums[r][v] = vdupq_n_f32(0);
    const auto* weights = reinterpret_cast<const bfloat16_t*>(panel);
    for (int32_t i = 0; i < depth; i += 2, weights += 32) {
        bfloat16x8_t w[4];  // 4 channels × 2 inputs each
        for (int32_t v = 0; v < 4; ++v) w[v] = vld1q_bf16(weights + 8 * v);
        for (int32_t r = 0; r < rows; ++r) {
            const auto* pair = reinterpret_cast<const float*>(x + static_cast<ptrdiff_t>(r) * depth + i);
            const bfloat16x8_t value = vreinterpretq_bf16_f32(vld1q_dup_f32(pair));
            for (int32_t v = 0; v < 4; ++v) sums[r][v] = vbfdotq_f32(sums[r][v], w[v], value);
        }
    }
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t v = 0; v < 4; ++v) Neon::store(to + r * partial_stride + 4 * v, sums[r][v]);
}

template <int32_t rows>
void dot_rows(int32_t left, const bfloat16_t* x, int32_t depth, const std::byte* panel, float* to) {
    if constexpr (rows > 0) {
        if (left >= rows) return dot_tile<rows>(x, depth, panel, to);
        dot_rows<rows - 1>(left, x, depth, panel, to);
    }
}

void multiply(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
              ptrdiff_t out_stride) {
    constexpr int32_t max_rows = 6;
    Partial partial;
    const auto* x = reinterpret_cast<const bfloat16_t*>(input.packed);
    for (int32_t p = 0; p < panel_count; ++p) {
        const std::byte* panel = layer.weights + static_cast<size_t>(first + p) * layer.panel_bytes;
        for (int32_t r = 0; r < input.count; r += max_rows)
            dot_rows<max_rows>(input.count - r, x + static_cast<ptrdiff_t>(r) * layer.depth, layer.depth, panel,
                               &partial.values[r][p * panel_channels]);
    }
    finish<Neon>(layer, input, first, panel_count, partial, out, out_stride);
}

}  // namespace

const Operations neon_dot_bf16{moments<Neon>, pack, 2, multiply, pack_panel<Neon, codecs::Bf16>};

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
