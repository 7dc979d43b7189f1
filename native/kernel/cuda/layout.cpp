#include "kernel/cuda/layout.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mara::kernel::cuda {
namespace {

constexpr size_t round_up(size_t bytes) { return (bytes + 255) & ~size_t{255}; }

Offsets lay_out(const LayerSizes& shape, size_t weight_bytes) {
    const size_t channels1 = static_cast<size_t>(shape.groups1()) * group_channels;
    const size_t channels2 = static_cast<size_t>(shape.tiles2()) * tile_channels;
    Offsets offsets{};
    size_t at = 0;
    const auto take = [&](size_t bytes) {
        const size_t start = at;
        at += round_up(bytes);
        return start;
    };
    offsets.weights1 = take(channels1 * shape.units1() * depth_unit * weight_bytes);
    offsets.weights2 = take(channels2 * shape.units2() * depth_unit * weight_bytes);
    offsets.bias1 = take(channels1 * 4);
    offsets.sum1 = take(channels1 * 4);
    offsets.bias2 = take(channels2 * 4);
    offsets.head = take(channels2 * 4);
    offsets.bytes = at;
    return offsets;
}

}  // namespace

Packed pack(const NetworkWeights& from, const DeviceFormat& format) {
    Packed packed{{from.width, from.hidden1, from.hidden2}, format.type, {}, {}, 0, 1};
    const LayerSizes& shape = packed.shape;
    packed.offsets = lay_out(shape, format.bytes);
    packed.memory.resize(packed.offsets.bytes);
    std::byte* const memory = packed.memory.data();
    const auto floats = [&](size_t offset) { return reinterpret_cast<float*>(memory + offset); };

    std::vector<float> scratch(static_cast<size_t>(std::max(shape.width, shape.hidden1)));
    double largest = 0;  // bound of the first hidden layer: a normalised state has the norm √D at most
    for (int32_t c = 0; c < shape.hidden1; ++c) {
        const float* row;
        read_rows(from.w1, c, 1, shape.width, scratch.data(), &row);
        double sum = 0, squares = 0, bias = from.b1[c];
        for (int32_t i = 0; i < shape.width; ++i) {
            const double stored = format.store(memory + packed.offsets.weights1, element_at(shape.units1(), c, i),
                                               row[i] * from.ln_weight[i]);
            sum += stored;
            squares += stored * stored;
            bias += static_cast<double>(row[i]) * from.ln_bias[i];
        }
        floats(packed.offsets.sum1)[c] = static_cast<float>(sum);
        floats(packed.offsets.bias1)[c] = static_cast<float>(bias);
        largest = std::max(largest, std::sqrt(squares * shape.width) + std::fabs(bias));
    }
    constexpr double f16_room = 60000;  // below 65504 by more than the sums' rounding
    if (format.type == WeightType::f16 && largest > f16_room)
        packed.hidden_scale = static_cast<float>(std::exp2(-std::ceil(std::log2(largest / f16_room))));

    for (int32_t c = 0; c < shape.hidden2; ++c) {
        const float* row;
        read_rows(from.w2, c, 1, shape.hidden1, scratch.data(), &row);
        for (int32_t i = 0; i < shape.hidden1; ++i)
            format.store(memory + packed.offsets.weights2, element_at(shape.units2(), c, i), row[i]);
        floats(packed.offsets.bias2)[c] = from.b2[c];
        floats(packed.offsets.head)[c] = from.w3[shape.hidden2 + c] - from.w3[c];
    }
    packed.head_bias = from.b3[1] - from.b3[0];
    return packed;
}

void describe(const Packed& packed, const std::byte* device, Arguments& arguments) {
    const auto floats = [&](size_t offset) { return reinterpret_cast<const float*>(device + offset); };
    arguments.width = packed.shape.width;
    arguments.units1 = packed.shape.units1();
    arguments.groups1 = packed.shape.groups1();
    arguments.units2 = packed.shape.units2();
    arguments.tiles2 = packed.shape.tiles2();
    arguments.weights1 = device + packed.offsets.weights1;
    arguments.weights2 = device + packed.offsets.weights2;
    arguments.bias1 = floats(packed.offsets.bias1);
    arguments.sum1 = floats(packed.offsets.sum1);
    arguments.bias2 = floats(packed.offsets.bias2);
    arguments.head = floats(packed.offsets.head);
    arguments.head_bias = packed.head_bias;
    arguments.hidden_scale = packed.hidden_scale;
    arguments.hidden_unscale = 1 / packed.hidden_scale;
}

}  // namespace mara::kernel::cuda
