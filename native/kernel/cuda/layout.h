// The network as it lies in device memory: one block, packed on the host and uploaded once.
#pragma once

#include <cstddef>
#include <vector>

#include "kernel/cuda/arguments.h"
#include "kernel/cuda/plan.h"
#include "kernel/kernel.h"

namespace mara::kernel::cuda {

// Where each array begins, in bytes from the block's start and in multiples of 256; and the block's size.
struct Offsets {
    size_t weights1;
    size_t weights2;
    size_t bias1;
    size_t sum1;
    size_t bias2;
    size_t head;
    size_t bytes;
};

struct Packed {
    LayerSizes shape;
    WeightType type;
    Offsets offsets;
    std::vector<std::byte> memory;
    float head_bias;
    float hidden_scale;  // power of two
};

// Place of channel `channel`, input `input` in a layer of `units` units of 32 inputs, in elements.
constexpr size_t element_at(int32_t units, int32_t channel, int32_t input) {
    const size_t tile = static_cast<size_t>(channel / tile_channels) * units + input / depth_unit;
    return (tile * tile_channels + channel % tile_channels) * depth_unit + input % depth_unit;
}

// Folds LayerNorm's affine into the first layer. Throws std::bad_alloc.
Packed pack(const NetworkWeights& weights, const DeviceFormat& format);

// Fills the arguments that depend on the network, for a block at `device`.
void describe(const Packed& packed, const std::byte* device, Arguments& arguments);

}  // namespace mara::kernel::cuda
