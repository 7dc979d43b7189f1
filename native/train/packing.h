// Packing of a product's operands. Same linkage rule as kernel/vector.h.
//
// A packed operand holds, per block of `block` depths, its panels one after the other, each [depths of the block][R
// lines].
#pragma once

#include "kernel/vector.h"
#include "train/operations.h"

namespace mara::train {
namespace {

inline int32_t min(int32_t a, int32_t b) { return a < b ? a : b; }

template <int32_t R, bool scaled>
void transpose_lines(const Operand& from, int32_t first, int32_t lines, int32_t start, int32_t steps, float* to) {
    constexpr int32_t strip =
        16;  // a line of the source's cache at a time, so that the strided stores stay in the nearest one
    for (int32_t k = 0; k < steps; k += strip) {
        const int32_t run = min(strip, steps - k);
        for (int32_t r = 0; r < lines; ++r) {
            const float* line = from.data + static_cast<ptrdiff_t>(first + r) * from.stride + start + k;
            const float* scale = scaled ? from.scale + start + k : nullptr;
            float* out = to + static_cast<ptrdiff_t>(k) * R + r;
            for (int32_t i = 0; i < run; ++i)
                out[static_cast<ptrdiff_t>(i) * R] = scaled ? line[i] * scale[i] : line[i];
        }
        for (int32_t r = lines; r < R; ++r)
            for (int32_t i = 0; i < run; ++i) to[static_cast<ptrdiff_t>(k + i) * R + r] = 0;
    }
}

template <int32_t R>
void copy_lines(const Operand& from, int32_t first, int32_t lines, int32_t start, int32_t steps, float* to,
                float* sums) {
    float part[R] = {};
    for (int32_t k = 0; k < steps; ++k) {
        const float* line = from.data + static_cast<ptrdiff_t>(start + k) * from.stride + first;
        float* out = to + static_cast<ptrdiff_t>(k) * R;
        if (lines == R) {
            for (int32_t r = 0; r < R; ++r) {
                out[r] = line[r];
                part[r] += line[r];
            }
        } else {
            for (int32_t r = 0; r < R; ++r) {
                out[r] = r < lines ? line[r] : 0;
                part[r] += out[r];
            }
        }
    }
    for (int32_t r = 0; r < R; ++r) sums[r] += part[r];
}

template <int32_t R, int32_t block>
void pack(const Operand& from, int32_t panel, float* packed) {
    const ptrdiff_t padded = static_cast<ptrdiff_t>(panels(from.count, R)) * R;
    const int32_t first = panel * R;
    const int32_t lines = min(R, from.count - first);
    float sums[R] = {};
    for (int32_t start = 0; start < from.depth; start += block) {
        const int32_t steps = min(block, from.depth - start);
        float* to = packed + start * padded + static_cast<ptrdiff_t>(first) * steps;
        if (from.depth_major)
            copy_lines<R>(from, first, lines, start, steps, to, sums);
        else if (from.scale != nullptr)
            transpose_lines<R, true>(from, first, lines, start, steps, to);
        else
            transpose_lines<R, false>(from, first, lines, start, steps, to);
    }
    for (int32_t r = 0; from.sums != nullptr && r < lines; ++r) from.sums[first + r] = sums[r];
}

}  // namespace
}  // namespace mara::train
