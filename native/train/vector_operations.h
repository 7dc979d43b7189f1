// operations.h over the vector operations of kernel/vector.h. Same linkage rule. An `Isa` further has
//   tile_rows × tile_vectors: sums that fit into the registers together with what they are made of,
//   depth_block: a right panel of that depth stays in the nearest cache while the left panels of a block pass.
#pragma once

#include <cmath>

#include "train/packing.h"

namespace mara::train {
namespace {

constexpr int32_t unfold_columns = 64;

template <class Isa>
struct Tile {
    static constexpr int32_t rows = Isa::tile_rows;
    static constexpr int32_t vectors = Isa::tile_vectors;
    static constexpr int32_t columns = vectors * Isa::width;

    // rows × columns sums over `depth`, stored to or added to `out`.
    static void run(const float* left, const float* right, int32_t depth, bool add, float* out, ptrdiff_t stride) {
        using V = typename Isa::V;
        V sums[rows][vectors];
        for (int32_t r = 0; r < rows; ++r)
            for (int32_t v = 0; v < vectors; ++v) sums[r][v] = Isa::zero();
        for (int32_t k = 0; k < depth; ++k, left += rows, right += columns) {
            V values[vectors];
            for (int32_t v = 0; v < vectors; ++v) values[v] = Isa::load(right + v * Isa::width);
            for (int32_t r = 0; r < rows; ++r) {
                const V x = Isa::set1(left[r]);
                for (int32_t v = 0; v < vectors; ++v) sums[r][v] = Isa::fma(x, values[v], sums[r][v]);
            }
        }
        for (int32_t r = 0; r < rows; ++r)
            for (int32_t v = 0; v < vectors; ++v) {
                float* where = out + r * stride + v * Isa::width;
                Isa::store(where, add ? Isa::add(Isa::load(where), sums[r][v]) : sums[r][v]);
            }
    }

    // Does what `run` does at the edge of a product, where only some rows and columns exist.
    static void run_part(const float* left, const float* right, int32_t depth, bool add, float* out, ptrdiff_t stride,
                         int32_t used_rows, int32_t used_columns) {
        float whole[rows * columns];
        run(left, right, depth, false, whole, columns);
        for (int32_t r = 0; r < used_rows; ++r)
            for (int32_t c = 0; c < used_columns; ++c) {
                float& where = out[r * stride + c];
                where = add ? where + whole[r * columns + c] : whole[r * columns + c];
            }
    }
};

inline void finish(const Product& product, int32_t first_row, int32_t rows, int32_t first_column, int32_t columns) {
    for (int32_t r = first_row; r < first_row + rows; ++r) {
        float* out = product.out + r * product.out_stride + first_column;
        if (product.finish == Finish::bias_relu) {
            const float* bias = product.bias + first_column;
            for (int32_t c = 0; c < columns; ++c) {
                const float sum = out[c] + bias[c];
                out[c] = sum < 0 ? 0 : sum;  // a NaN stays one
            }
        } else {
            const float* mask = product.mask + r * product.out_stride + first_column;
            for (int32_t c = 0; c < columns; ++c) out[c] = mask[c] > 0 ? out[c] : 0;
        }
    }
}

template <class Isa>
struct Vector {
    using V = typename Isa::V;
    using T = Tile<Isa>;
    static constexpr int32_t block_rows = 126 / T::rows * T::rows;
    static constexpr int32_t block_columns = 256 / T::columns * T::columns;

    static void multiply(const Product& p, int32_t first_row, int32_t first_column) {
        const int32_t rows = min(block_rows, p.rows - first_row);
        const int32_t columns = min(block_columns, p.columns - first_column);
        const ptrdiff_t padded_rows = static_cast<ptrdiff_t>(panels(p.rows, T::rows)) * T::rows;
        const ptrdiff_t padded_columns = static_cast<ptrdiff_t>(panels(p.columns, T::columns)) * T::columns;
        for (int32_t start = 0; start < p.depth; start += Isa::depth_block) {
            const int32_t steps = min(Isa::depth_block, p.depth - start);
            for (int32_t c = 0; c < columns; c += T::columns)
                for (int32_t r = 0; r < rows; r += T::rows) {
                    const float* left = p.left + start * padded_rows + static_cast<ptrdiff_t>(first_row + r) * steps;
                    const float* right =
                        p.right + start * padded_columns + static_cast<ptrdiff_t>(first_column + c) * steps;
                    float* out = p.out + (first_row + r) * p.out_stride + first_column + c;
                    const int32_t used_rows = rows - r, used_columns = columns - c;
                    if (used_rows >= T::rows && used_columns >= T::columns)
                        T::run(left, right, steps, start > 0, out, p.out_stride);
                    else
                        T::run_part(left, right, steps, start > 0, out, p.out_stride, min(used_rows, T::rows),
                                    min(used_columns, T::columns));
                }
        }
        if (p.finish != Finish::none) finish(p, first_row, rows, first_column, columns);
    }

    static void normalise(const float* row, int32_t count, float* out) {
        float mean, reciprocal;
        kernel::moments<Isa>(row, count, &mean, &reciprocal);
        for (int32_t i = 0; i < count; ++i) out[i] = (row[i] - mean) * reciprocal;
    }

    static float dot(const float* a, const float* b, int32_t count) {
        V part[4] = {Isa::zero(), Isa::zero(), Isa::zero(), Isa::zero()};
        int32_t i = 0;
        for (; i + 4 * Isa::width <= count; i += 4 * Isa::width)
            for (int32_t u = 0; u < 4; ++u)
                part[u] = Isa::fma(Isa::load(a + i + u * Isa::width), Isa::load(b + i + u * Isa::width), part[u]);
        float sum = Isa::sum(Isa::add(Isa::add(part[0], part[1]), Isa::add(part[2], part[3])));
        for (; i < count; ++i) sum += a[i] * b[i];
        return sum;
    }

    static void head_backward(float x0, float x1, const float* w0, const float* w1, const float* h, int32_t count,
                              float* out) {
        for (int32_t j = 0; j < count; ++j) {
            const float value = x0 * w0[j] + x1 * w1[j];
            out[j] = h[j] > 0 ? value : 0;
        }
    }

    static void unfold(const float* w, float* g, ptrdiff_t stride, int32_t rows, int32_t count, const float* gain,
                       const float* shift, const float* bias_gradient, float* gain_gradient, float* shift_gradient) {
        float gains[unfold_columns] = {}, shifts[unfold_columns] = {};
        for (int32_t r = 0; r < rows; ++r, w += stride, g += stride) {
            const float b = bias_gradient[r];
            for (int32_t c = 0; c < count; ++c) {
                gains[c] += w[c] * g[c];
                shifts[c] += w[c] * b;
                g[c] = g[c] * gain[c] + b * shift[c];
            }
        }
        for (int32_t c = 0; c < count; ++c) {
            gain_gradient[c] = gains[c];
            shift_gradient[c] = shifts[c];
        }
    }

    static double sum_of_squares(const float* x, int32_t count) {
        double part[8] = {};
        int32_t i = 0;
        for (; i + 8 <= count; i += 8)
            for (int32_t u = 0; u < 8; ++u) part[u] += static_cast<double>(x[i + u]) * x[i + u];
        for (; i < count; ++i) part[0] += static_cast<double>(x[i]) * x[i];
        return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    }

    static void adam(const AdamStep& step, const float* gradient, int32_t count, float* __restrict first_moment,
                     float* __restrict second_moment, float* __restrict parameters) {
        constexpr float beta2 = 0.999f, rest1 = 0.1f, rest2 = 0.001f, epsilon = 1e-8f;  // rest = 1 − β, rounded once
        const AdamStep s = step;
        for (int32_t i = 0; i < count; ++i) {
            const float g = gradient[i] * s.scale;
            const float m = first_moment[i] + rest1 * (g - first_moment[i]);
            const float v = second_moment[i] * beta2 + rest2 * g * g;
            first_moment[i] = m;
            second_moment[i] = v;
            parameters[i] -= s.step_size * (m / (std::sqrt(v) / s.root + epsilon));
        }
    }

    static void polyak(float tau, const float* source, int32_t count, float* __restrict target) {
        for (int32_t i = 0; i < count; ++i) target[i] = tau * source[i] + (1 - tau) * target[i];
    }

    static constexpr VectorOperations operations(const char* name, bool (*available)()) {
        return {name,
                available,
                T::rows,
                T::columns,
                pack<T::rows, Isa::depth_block>,
                pack<T::columns, Isa::depth_block>,
                block_rows,
                block_columns,
                multiply,
                normalise,
                dot,
                head_backward,
                unfold,
                sum_of_squares,
                adam,
                polyak};
    }
};

}  // namespace
}  // namespace mara::train
