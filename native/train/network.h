// The trunk that actor and critics share, LayerNorm → Linear → ReLU → Linear → ReLU → Linear to two outputs: forward
// over a batch, and gradients. Parameters of a network stand in one array, in the order of an agent file.
#pragma once

#include <cstdint>

#include "train/random.h"
#include "train/workspace.h"

namespace mara::train {

struct NetworkShape {
    int32_t width;
    int32_t hidden1;
    int32_t hidden2;
};

constexpr int32_t outputs = 2;

// Where each tensor begins: LayerNorm's weight and bias, then weight and bias of each layer; `count` numbers in all.
struct TensorOffsets {
    explicit TensorOffsets(const NetworkShape& shape);
    size_t gain, shift, w1, b1, w2, b2, w3, b3, count;
};

// A batch of states after LayerNorm's moments, before any affine, packed for forward passes and, if asked for, for
// gradients.
struct Input {
    int32_t rows = 0;
    Buffer plain, left, right;
};

// rows[i] is a state of `width` numbers, or nullptr, which stands for zeros.
void load(Workspace& work, const float* const* rows, int32_t count, int32_t width, bool for_gradient, Input& input);

// The activations that a forward pass leaves for the backward pass: [rows][hidden1] and [rows][hidden2].
struct ForwardPass {
    Buffer h1, h2;
};

// out[rows][2]
void forward(Workspace& work, const NetworkShape& shape, const float* parameters, const Input& input, ForwardPass& pass,
             float* out);

// gradient[offsets.count] of a loss whose derivative by the outputs is `out_gradient` [rows][2], after a forward pass
// that left `pass`.
void backward(Workspace& work, const NetworkShape& shape, const float* parameters, const Input& input,
              const ForwardPass& pass, const float* out_gradient, float* gradient);

// PyTorch's default: LayerNorm 1 and 0, weights and biases of a layer uniform within ±1/√inputs (kaiming_uniform with a
// = √5).
void initialise(const NetworkShape& shape, Random& random, float* parameters);

}  // namespace mara::train
