// The products of variants that read float32 rows in place: weights are widened to float32 in registers.
// Same linkage rule as vector.h. Beyond vector.h's operations an `Isa` has
//   max_rows, depth_block, panels_for(rows): panels multiplied together with that many rows, so that the sums fill the
//   registers
// and `Weights` (how one group of inputs × 16 channels is stored) has group, bytes and load(at, vector index, V
// out[group]).
#pragma once

#include "kernel/vector.h"

#if defined(_MSC_VER)
#define MARA_INLINE __forceinline
#else
#define MARA_INLINE inline __attribute__((always_inline))
#endif

namespace mara::kernel {
namespace {

template <class Isa, int32_t rows, int32_t panels>
struct Sums {
    static constexpr int32_t vectors = panel_channels / Isa::width;
    typename Isa::V at[rows][panels][vectors];
};

// Adds inputs i … i + used − 1 of one group.
template <class Isa, class Weights, int32_t rows, int32_t panels>
MARA_INLINE void float_step(Sums<Isa, rows, panels>& sums, const float* const* x, ptrdiff_t i, int32_t used,
                            const std::byte* weights, size_t panel_bytes) {
    using V = typename Isa::V;
    constexpr int32_t vectors = panel_channels / Isa::width;
    V widened[panels][vectors][Weights::group];
    for (int32_t p = 0; p < panels; ++p)
        for (int32_t v = 0; v < vectors; ++v)
            Weights::load(weights + static_cast<size_t>(p) * panel_bytes, v, widened[p][v]);
    for (int32_t g = 0; g < used; ++g)
        for (int32_t r = 0; r < rows; ++r) {
            const V value = Isa::set1(x[r][i + g]);
            for (int32_t p = 0; p < panels; ++p)
                for (int32_t v = 0; v < vectors; ++v)
                    sums.at[r][p][v] = Isa::fma(value, widened[p][v][g], sums.at[r][p][v]);
        }
}

// `rows` rows × `panels` panels over `count` inputs. Every sum is one chain of fused multiply-adds in input order, kept
// in a register; it is then stored to (or added to) `to`. Meanwhile the cache is asked for as many bytes at `ahead`.
template <class Isa, class Weights, int32_t rows, int32_t panels>
void float_tile(const float* const* x, ptrdiff_t start, int32_t count, const std::byte* weights, size_t panel_bytes,
                const std::byte* ahead, bool add, float* to) {
    Sums<Isa, rows, panels> sums;
    constexpr int32_t vectors = panel_channels / Isa::width;
    const float* at[rows];
    for (int32_t r = 0; r < rows; ++r) {
        at[r] = x[r] + start;
        for (int32_t p = 0; p < panels; ++p)
            for (int32_t v = 0; v < vectors; ++v) sums.at[r][p][v] = Isa::zero();
    }
    constexpr int32_t group = Weights::group;
    ptrdiff_t i = 0;
    for (; i + group <= count; i += group, weights += Weights::bytes, ahead += Weights::bytes) {
        Isa::prefetch(ahead);
        float_step<Isa, Weights, rows, panels>(sums, at, i, group, weights, panel_bytes);
    }
    if (i < count)
        float_step<Isa, Weights, rows, panels>(sums, at, i, count - static_cast<int32_t>(i), weights,
                                               panel_bytes);  // nothing behind the row is read
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t p = 0; p < panels; ++p)
            for (int32_t v = 0; v < vectors; ++v) {
                float* where = to + r * partial_stride + p * panel_channels + v * Isa::width;
                Isa::store(where, add ? Isa::add(Isa::load(where), sums.at[r][p][v]) : sums.at[r][p][v]);
            }
}

// `rows` rows against all panels of a chunk, over one block of inputs. The first tiles of rows fetch the next block of
// the weights, a panel each, so that memory works while the processor does.
template <class Isa, class Weights, int32_t rows>
void float_rows(const Activations& input, int32_t row, ptrdiff_t start, int32_t count, const std::byte* weights,
                size_t panel_bytes, int32_t panel_count, Partial& partial) {
    constexpr int32_t together = Isa::panels_for(rows);
    constexpr ptrdiff_t next_block = Isa::depth_block / Weights::group * Weights::bytes;
    const int32_t tile = row / Isa::max_rows;
    float* to = partial.values[row];
    int32_t p = 0;
    for (; p + together <= panel_count;
         p += together, weights += together * panel_bytes, to += together * panel_channels) {
        const std::byte* ahead =
            tile < together ? weights + static_cast<size_t>(tile) * panel_bytes + next_block : weights;
        float_tile<Isa, Weights, rows, together>(input.rows + row, start, count, weights, panel_bytes, ahead, start > 0,
                                                 to);
    }
    if constexpr (together > 1)
        for (; p < panel_count; ++p, weights += panel_bytes, to += panel_channels)
            float_tile<Isa, Weights, rows, 1>(input.rows + row, start, count, weights, panel_bytes,
                                              weights + next_block, start > 0, to);
}

template <class Isa, class Weights, int32_t rows>
void float_remainder(const Activations& input, int32_t row, ptrdiff_t start, int32_t count, const std::byte* weights,
                     size_t panel_bytes, int32_t panel_count, Partial& partial) {
    if constexpr (rows > 0) {
        if (input.count - row == rows)
            return float_rows<Isa, Weights, rows>(input, row, start, count, weights, panel_bytes, panel_count, partial);
        float_remainder<Isa, Weights, rows - 1>(input, row, start, count, weights, panel_bytes, panel_count, partial);
    }
}

template <class Isa, class Weights>
void float_multiply(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
                    ptrdiff_t out_stride) {
    Partial partial;
    const std::byte* panel = layer.weights + static_cast<size_t>(first) * layer.panel_bytes;
    for (int32_t start = 0; start < layer.inputs;
         start += Isa::depth_block, panel += Isa::depth_block / Weights::group * Weights::bytes) {
        const int32_t left = layer.inputs - start;
        const int32_t count = left < Isa::depth_block ? left : Isa::depth_block;
        int32_t row = 0;
        for (; row + Isa::max_rows <= input.count; row += Isa::max_rows)
            float_rows<Isa, Weights, Isa::max_rows>(input, row, start, count, panel, layer.panel_bytes, panel_count,
                                                    partial);
        float_remainder<Isa, Weights, Isa::max_rows - 1>(input, row, start, count, panel, layer.panel_bytes,
                                                         panel_count, partial);
    }
    finish<Isa>(layer, input, first, panel_count, partial, out, out_stride);
}

}  // namespace
}  // namespace mara::kernel
