// Parts of a variant that look the same for every instruction set, over a small set of vector operations `Isa`:
//   V, width; zero, set1, load, load_first(n; the rest is 0), store, add, sub, mul, fma (a·b + c), max,
//   load_first_or(the rest is a given vector),
//   abs_max(a, b) = max(a, |b|), sum and largest over the lanes,
//   transpose(`width` vectors, in place)
// Included inside the variant's #pragma target. The anonymous namespace is needed, not taste: with external linkage the
// linker would keep one copy for all variants, compiled for whichever instruction set came first.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernel/layer.h"

namespace mara::kernel {
namespace {

// Mean, then squared deviations: two passes over a row that the first has brought into the nearest cache.
template <class Isa>
void moments(const float* row, int32_t inputs, float* mean, float* deviation_reciprocal) {
    using V = typename Isa::V;
    constexpr int32_t unroll = 4;
    const auto total = [&](auto term) {
        V part[unroll];
        for (V& p : part) p = Isa::zero();
        int32_t i = 0;
        for (; i + unroll * Isa::width <= inputs; i += unroll * Isa::width)
            for (int32_t u = 0; u < unroll; ++u) part[u] = term(part[u], i + u * Isa::width, Isa::width);
        for (; i < inputs; i += Isa::width)
            part[0] = term(part[0], i, inputs - i < Isa::width ? inputs - i : Isa::width);
        return Isa::sum(Isa::add(Isa::add(part[0], part[1]), Isa::add(part[2], part[3])));
    };
    const float average = total([&](V part, int32_t i, int32_t n) {
                              return Isa::add(part, n == Isa::width ? Isa::load(row + i) : Isa::load_first(row + i, n));
                          }) /
                          static_cast<float>(inputs);
    const V center = Isa::set1(average);
    const float squares = total([&](V part, int32_t i, int32_t n) {
        // Lanes beyond the row hold the mean itself, hence add nothing.
        const V x = n == Isa::width ? Isa::load(row + i) : Isa::load_first_or(row + i, n, center);
        const V d = Isa::sub(x, center);
        return Isa::fma(d, d, part);
    });
    *mean = average;
    *deviation_reciprocal = 1.0f / std::sqrt(squares / static_cast<float>(inputs) + 1e-5f);
}

// Largest |x − mean| of a row.
template <class Isa>
float largest_deviation(const float* row, int32_t inputs, float mean) {
    using V = typename Isa::V;
    const V center = Isa::set1(mean);
    V largest = Isa::zero();
    int32_t i = 0;
    for (; i + Isa::width <= inputs; i += Isa::width)
        largest = Isa::abs_max(largest, Isa::sub(Isa::load(row + i), center));
    if (i < inputs) largest = Isa::abs_max(largest, Isa::sub(Isa::load_first_or(row + i, inputs - i, center), center));
    return Isa::largest(largest);
}

constexpr int32_t partial_stride = chunk_panels * panel_channels;

// Dot products of a chunk: [rows of the block][channels of the chunk]; fits in the nearest cache.
struct alignas(64) Partial {
    float values[block_rows][partial_stride];
};

// Finishes one chunk after its dot products: undoes the moments, scales, adds the bias, applies ReLU.
template <class Isa>
void finish(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, const Partial& partial,
            float* out, ptrdiff_t out_stride) {
    using V = typename Isa::V;
    for (int32_t c = 0; c < panel_count * panel_channels; c += Isa::width) {
        const int32_t channel = first * panel_channels + c;
        const V sum = Isa::load(layer.sum + channel);
        const V scale = Isa::load(layer.scale + channel);
        const V bias = Isa::load(layer.bias + channel);
        for (int32_t r = 0; r < input.count; ++r) {
            const V dot = Isa::sub(Isa::load(&partial.values[r][c]), Isa::mul(Isa::set1(input.mean[r]), sum));
            const V y = Isa::fma(dot, Isa::mul(Isa::set1(input.mul[r]), scale), bias);
            Isa::store(out + r * out_stride + c, Isa::max(y, Isa::zero()));
        }
    }
}

}  // namespace
}  // namespace mara::kernel
