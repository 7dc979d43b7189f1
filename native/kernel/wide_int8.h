// int8 weights × 16-bit activations, for instruction sets without a byte dot product. Same linkage rule as vector.h.
//
// A row is quantised to ±32639 (as in the byte-pair variants, so that all int8 variants compute the same thing) and
// multiplied exactly in 32-bit integers: blocks of 512 inputs cannot overflow. Activations then add no error worth
// counting to that of the weights. `Isa`: I (32-bit sums), Codes (16-bit), sums_per_panel, int_rows, quantise, codes,
// four (4 activations in every 64-bit lane), dot, collect.
#pragma once

#include "kernel/float_tile.h"

namespace mara::kernel {
namespace {

constexpr float largest_code = 32639.0f;  // 127·256 + 127: both bytes of a code fit a signed byte

// packed: int16 [row][depth]
template <class Isa>
void wide_prepare(const Activations& input, int32_t index, int32_t inputs, int32_t depth) {
    const float* row = input.rows[index];
    auto* to = reinterpret_cast<int16_t*>(input.packed) + static_cast<ptrdiff_t>(index) * depth;
    const float largest = largest_deviation<Isa>(row, inputs, input.mean[index]);
    const auto center = Isa::set1(input.mean[index]);
    const auto factor = Isa::set1(largest > 0 ? largest_code / largest : 0.0f);
    for (int32_t i = 0; i < depth; i += Isa::width) {
        const int32_t left = inputs - i;
        Isa::quantise(row + (left > 0 ? i : 0),
                      left < 0            ? 0
                      : left < Isa::width ? left
                                          : Isa::width,
                      center, factor, to + i);
    }
    input.mean[index] = 0;
    input.mul[index] *= largest / largest_code;
}

template <class Isa, int32_t rows>
void wide_tile(const int16_t* x, int32_t depth, int32_t start, int32_t end, const std::byte* panel, float* to) {
    using I = typename Isa::I;
    constexpr int32_t parts = Isa::sums_per_panel;
    I sums[rows][parts];
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t s = 0; s < parts; ++s) sums[r][s] = Isa::zero_int();
    for (int32_t i = start; i < end; i += 4) {
        const std::byte* at = panel + static_cast<ptrdiff_t>(i) * panel_channels;
        typename Isa::Codes codes[parts];
        for (int32_t s = 0; s < parts; ++s) codes[s] = Isa::codes(at, s);
        for (int32_t r = 0; r < rows; ++r) {
            const auto value = Isa::four(x + static_cast<ptrdiff_t>(r) * depth + i);
            for (int32_t s = 0; s < parts; ++s) sums[r][s] = Isa::dot(sums[r][s], value, codes[s]);
        }
    }
    for (int32_t r = 0; r < rows; ++r) {
        alignas(64) float block[panel_channels];
        Isa::collect(sums[r], block);
        float* row = to + r * partial_stride;
        for (int32_t c = 0; c < panel_channels; c += Isa::width)
            Isa::store(row + c, start > 0 ? Isa::add(Isa::load(row + c), Isa::load(block + c)) : Isa::load(block + c));
    }
}

template <class Isa, int32_t rows>
void wide_remainder(int32_t left, const int16_t* x, int32_t depth, int32_t start, int32_t end, const std::byte* panel,
                    float* to) {
    if constexpr (rows > 0) {
        if (left == rows) return wide_tile<Isa, rows>(x, depth, start, end, panel, to);
        wide_remainder<Isa, rows - 1>(left, x, depth, start, end, panel, to);
    }
}

template <class Isa>
void wide_multiply(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
                   ptrdiff_t out_stride) {
    Partial partial;
    const auto* x = reinterpret_cast<const int16_t*>(input.packed);
    for (int32_t start = 0; start < layer.depth; start += depth_block) {
        const int32_t end = layer.depth - start < depth_block ? layer.depth : start + depth_block;
        for (int32_t p = 0; p < panel_count; ++p) {
            const std::byte* panel = layer.weights + static_cast<size_t>(first + p) * layer.panel_bytes;
            int32_t row = 0;
            const auto at = [&] { return x + static_cast<ptrdiff_t>(row) * layer.depth; };
            const auto to = [&] { return &partial.values[row][p * panel_channels]; };
            for (; row + Isa::int_rows <= input.count; row += Isa::int_rows)
                wide_tile<Isa, Isa::int_rows>(at(), layer.depth, start, end, panel, to());
            wide_remainder<Isa, Isa::int_rows - 1>(input.count - row, at(), layer.depth, start, end, panel, to());
        }
    }
    finish<Isa>(layer, input, first, panel_count, partial, out, out_stride);
}

}  // namespace
}  // namespace mara::kernel
