// The student's operations for an instruction set. Included inside the variant's #pragma target; same linkage rule as
// vector.h. Beyond vector.h's operations an `Isa` has widen(const uint16_t*), of `width` f16 values, tile_rows and
// tile_vectors: sums that fit the registers with several rows, and row_vectors: with one.
#pragma once

#include "kernel/student.h"
#include "kernel/vector.h"

namespace mara::kernel {
namespace {

template <class Isa, int32_t rows, int32_t vectors>
void student_tile(const float* x, ptrdiff_t stride, int32_t depth, const float* weights, int32_t outputs,
                  const float* start, float* out) {
    typename Isa::V sum[rows][vectors];
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t v = 0; v < vectors; ++v) sum[r][v] = Isa::load(start + v * Isa::width);
    for (int32_t i = 0; i < depth; ++i, weights += outputs)
        for (int32_t r = 0; r < rows; ++r) {
            const auto value = Isa::set1(x[r * stride + i]);
            for (int32_t v = 0; v < vectors; ++v)
                sum[r][v] = Isa::fma(value, Isa::load(weights + v * Isa::width), sum[r][v]);
        }
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t v = 0; v < vectors; ++v) Isa::store(out + r * outputs + v * Isa::width, sum[r][v]);
}

template <class Isa>
void student_multiply(const float* x, ptrdiff_t stride, int32_t rows, int32_t depth, const float* weights,
                      int32_t outputs, const float* start, float* out) {
    int32_t r = 0;
    for (; r + Isa::tile_rows <= rows; r += Isa::tile_rows)
        for (int32_t o = 0; o < outputs; o += Isa::tile_vectors * Isa::width)
            student_tile<Isa, Isa::tile_rows, Isa::tile_vectors>(x + r * stride, stride, depth, weights + o, outputs,
                                                                 start + o, out + r * outputs + o);
    for (; r < rows; ++r)
        for (int32_t o = 0; o < outputs; o += Isa::row_vectors * Isa::width)
            student_tile<Isa, 1, Isa::row_vectors>(x + r * stride, stride, depth, weights + o, outputs, start + o,
                                                   out + r * outputs + o);
}

template <class Isa>
void student_blend(const float* a, const float* b, float factor, int32_t count, float* out) {
    const auto by = Isa::set1(factor);
    for (int32_t i = 0; i < count; i += Isa::width)
        Isa::store(out + i, Isa::fma(Isa::load(b + i), by, Isa::load(a + i)));
}

template <class Isa>
void student_widen(const uint16_t* from, int32_t count, float* to) {
    for (int32_t i = 0; i < count; i += Isa::width) Isa::store(to + i, Isa::widen(from + i));
}

template <class Isa>
float student_rectified_dot(const float* x, const float* weights, int32_t count) {
    auto sum = Isa::zero();
    // max gives its second operand where one is NaN, so that the sum is NaN too.
    for (int32_t i = 0; i < count; i += Isa::width)
        sum = Isa::fma(Isa::max(Isa::zero(), Isa::load(x + i)), Isa::load(weights + i), sum);
    return Isa::sum(sum);
}

template <class Isa>
constexpr StudentOperations student_operations(const char* variant) {
    return {variant,
            moments<Isa>,
            student_multiply<Isa>,
            student_blend<Isa>,
            student_widen<Isa>,
            student_rectified_dot<Isa>};
}

}  // namespace
}  // namespace mara::kernel
