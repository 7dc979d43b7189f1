#include "train/network.h"

#include <algorithm>
#include <cmath>

#include "train/matrices.h"

namespace mara::train {
TensorOffsets::TensorOffsets(const NetworkShape& shape) {
    size_t at = 0;
    const auto take = [&](size_t size) {
        const size_t start = at;
        at += size;
        return start;
    };
    const auto width = static_cast<size_t>(shape.width);
    const auto h1 = static_cast<size_t>(shape.hidden1);
    const auto h2 = static_cast<size_t>(shape.hidden2);
    gain = take(width);
    shift = take(width);
    w1 = take(h1 * width);
    b1 = take(h1);
    w2 = take(h2 * h1);
    b2 = take(h2);
    w3 = take(outputs * h2);
    b3 = take(outputs);
    count = at;
}

void load(Workspace& work, const float* const* rows, int32_t count, int32_t width, bool for_gradient, Input& input) {
    input.rows = count;
    float* const plain = input.plain.need(area(count, width));
    in_chunks(work, count, [&](int32_t first, int32_t used) {
        for (int32_t r = first; r < first + used; ++r) {
            float* const to = plain + area(r, width);
            if (rows[r] == nullptr)
                std::fill(to, to + width, 0.0f);
            else
                work.operations->normalise(rows[r], width, to);
        }
    });
    pack_left(work, lines(plain, count, width), input.left);
    if (for_gradient) pack_right(work, columns(plain, width, count), input.right);
}

void forward(Workspace& work, const NetworkShape& shape, const float* parameters, const Input& input, ForwardPass& pass,
             float* out) {
    const int32_t width = shape.width, hidden1 = shape.hidden1, hidden2 = shape.hidden2;
    const TensorOffsets at(shape);
    const int32_t rows = input.rows;
    const VectorOperations& operations = *work.operations;
    float* const h1 = pass.h1.need(area(rows, hidden1) + static_cast<size_t>(hidden1));
    float* const h2 = pass.h2.need(area(rows, hidden2));
    // LayerNorm's affine goes into the first layer: W·(x·gain + shift) + b = (W·diag(gain))·x + (b + W·shift).
    float* const bias = h1 + area(rows, hidden1);
    in_chunks(work, hidden1, [&](int32_t first, int32_t used) {
        for (int32_t o = first; o < first + used; ++o)
            bias[o] = parameters[at.b1 + static_cast<size_t>(o)] +
                      operations.dot(parameters + at.w1 + area(o, width), parameters + at.shift, width);
    });
    multiply(work, {lines(input.plain.data(), rows, width), input.left},
             lines(parameters + at.w1, hidden1, width, parameters + at.gain), h1, Finish::bias_relu, bias);
    multiply(work, lines(h1, rows, hidden1), lines(parameters + at.w2, hidden2, hidden1), h2, Finish::bias_relu,
             parameters + at.b2);
    in_chunks(work, rows, [&](int32_t first, int32_t used) {
        for (int32_t r = first; r < first + used; ++r)
            for (int32_t o = 0; o < outputs; ++o)
                out[r * outputs + o] =
                    parameters[at.b3 + static_cast<size_t>(o)] +
                    operations.dot(h2 + area(r, hidden2), parameters + at.w3 + area(o, hidden2), hidden2);
    });
}

void backward(Workspace& work, const NetworkShape& shape, const float* parameters, const Input& input,
              const ForwardPass& pass, const float* out_gradient, float* gradient) {
    const int32_t width = shape.width, hidden1 = shape.hidden1, hidden2 = shape.hidden2;
    const TensorOffsets at(shape);
    const int32_t rows = input.rows;
    const VectorOperations& operations = *work.operations;
    const float* const h1 = pass.h1.data();
    const float* const h2 = pass.h2.data();
    float* const z2 = work.gradient2.need(area(rows, hidden2));
    float* const z1 = work.gradient1.need(area(rows, hidden1));

    multiply(work, columns(out_gradient, outputs, rows, gradient + at.b3), columns(h2, hidden2, rows),
             gradient + at.w3);
    in_chunks(work, rows, [&](int32_t first, int32_t used) {
        const float* const w3 = parameters + at.w3;
        for (int32_t r = first; r < first + used; ++r)
            operations.head_backward(out_gradient[r * outputs], out_gradient[r * outputs + 1], w3, w3 + hidden2,
                                     h2 + area(r, hidden2), hidden2, z2 + area(r, hidden2));
    });
    multiply(work, columns(z2, hidden2, rows, gradient + at.b2), columns(h1, hidden1, rows), gradient + at.w2);
    multiply(work, lines(z2, rows, hidden2), columns(parameters + at.w2, hidden1, hidden2), z1, Finish::mask, h1);

    // The product with the normalised input comes first: from it the gradients of weights and affine follow without
    // another product over the batch.
    multiply(work, columns(z1, hidden1, rows, gradient + at.b1),
             {columns(input.plain.data(), width, rows), input.right}, gradient + at.w1);
    in_chunks(work, width, [&](int32_t first, int32_t used) {
        const auto c = static_cast<size_t>(first);
        operations.unfold(parameters + at.w1 + c, gradient + at.w1 + c, width, hidden1, used, parameters + at.gain + c,
                          parameters + at.shift + c, gradient + at.b1, gradient + at.gain + c, gradient + at.shift + c);
    });
}

void initialise(const NetworkShape& shape, Random& random, float* parameters) {
    const TensorOffsets at(shape);
    std::fill(parameters + at.gain, parameters + at.shift, 1.0f);
    std::fill(parameters + at.shift, parameters + at.w1, 0.0f);
    const auto layer = [&](size_t first, size_t end, int32_t inputs) {
        const float bound = 1.0f / std::sqrt(static_cast<float>(inputs));
        for (size_t i = first; i < end; ++i) parameters[i] = random.uniform(bound);
    };
    layer(at.w1, at.w2, shape.width);
    layer(at.w2, at.w3, shape.hidden1);
    layer(at.w3, at.count, shape.hidden2);
}

}  // namespace mara::train
