// The functions that a learner's update is made of; each instruction set has its own. All float32, row-major, no
// alignment needed; no pointer may overlap another. Every result depends on the arguments alone, never on how the work
// was cut into calls.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mara::train {

// One side of a product: `count` lines of `depth` numbers each.
struct Operand {
    const float* data;
    int32_t count;
    int32_t depth;
    ptrdiff_t stride;              // floats from one line to the next, or, if depth_major, from one depth to the next
    bool depth_major;              // data is [depth][count] instead of [count][depth]
    const float* scale = nullptr;  // [depth]: multiplied in; only if not depth_major
    float* sums = nullptr;         // [count]: receives each line's sum; only if depth_major
};

enum class Finish { none, bias_relu, mask };

// out[row][column] = finish(Σ left[row][k] · right[column][k]).
struct Product {
    const float* left;   // packed
    const float* right;  // packed
    int32_t rows;
    int32_t columns;
    int32_t depth;
    float* out;
    ptrdiff_t out_stride;
    Finish finish;
    const float* bias = nullptr;  // bias_relu: [columns]
    const float* mask = nullptr;  // mask: as `out`; where it is 0 (a ReLU that was closed), so is the result
};

struct AdamStep {
    float scale;      // of the gradient (clipping)
    float step_size;  // lr / (1 − β1ᵗ)
    float root;       // √(1 − β2ᵗ)
};

struct VectorOperations {
    const char* name;
    bool (*available)();

    // Packed operands: panels of `rows` lines (left) and `columns` lines (right), padded with zeros, cut into blocks of
    // `depth`.
    int32_t rows;
    int32_t columns;
    void (*pack_left)(const Operand& from, int32_t panel, float* packed);
    void (*pack_right)(const Operand& from, int32_t panel, float* packed);

    // A product is computed in independent blocks of at most this size. Each sum runs over depth in the same order
    // everywhere.
    int32_t block_rows;
    int32_t block_columns;
    void (*multiply)(const Product& product, int32_t first_row, int32_t first_column);

    // out = (row − mean) / √(variance + 1e-5), LayerNorm before its affine.
    void (*normalise)(const float* row, int32_t count, float* out);
    float (*dot)(const float* a, const float* b, int32_t count);
    // out[j] = x0·w0[j] + x1·w1[j] where h[j] > 0, else 0.
    void (*head_backward)(float x0, float x1, const float* w0, const float* w1, const float* h, int32_t count,
                          float* out);
    // The first layer's gradient, from that of the normalised input to that of weights and LayerNorm's affine, over
    // `rows` rows and `count` columns (at most 64): gain_gradient = Σ w·g, shift_gradient = Σ w·bias_gradient, g ←
    // g·gain + bias_gradient·shift.
    void (*unfold)(const float* w, float* g, ptrdiff_t stride, int32_t rows, int32_t count, const float* gain,
                   const float* shift, const float* bias_gradient, float* gain_gradient, float* shift_gradient);
    double (*sum_of_squares)(const float* x, int32_t count);
    // PyTorch's Adam, β 0.9 and 0.999, ε 1e-8, no weight decay.
    void (*adam)(const AdamStep& step, const float* gradient, int32_t count, float* first_moment, float* second_moment,
                 float* parameters);
    // target = tau · source + (1 − tau) · target
    void (*polyak)(float tau, const float* source, int32_t count, float* target);
};

inline int32_t panels(int32_t count, int32_t tile) { return (count + tile - 1) / tile; }

inline size_t packed_floats(int32_t count, int32_t tile, int32_t depth) {
    return static_cast<size_t>(panels(count, tile)) * static_cast<size_t>(tile) * static_cast<size_t>(depth);
}

// The best operations of this machine, or those called `name`; nullptr if there are none of that name.
const VectorOperations* find_operations(const char* name);
// Names this build has and this machine can run, best first. Returns how many; fills up to `capacity`.
int32_t operation_names(const char** names, int32_t capacity);

}  // namespace mara::train
