// A network in memory: its packed weights, and the device that it may have.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <new>

#include "kernel/device.h"
#include "kernel/layer.h"
#include "kernel/weight_types.h"

namespace mara::kernel {

struct AlignedDelete {
    std::align_val_t alignment{64};
    void operator()(std::byte* memory) const { ::operator delete(memory, alignment); }
};

// Packed for one variant, and never changed afterwards.
struct PackedNetwork {
    int32_t width;
    const Variant* variant;
    const Operations* operations;
    Layer layer1;
    Layer layer2;
    int32_t hidden2;
    // [hidden2] weights of accept minus those of reject: all that the softmax of two classes depends on.
    const float* head;
    double head_bias;
    size_t bytes;
    std::unique_ptr<std::byte, AlignedDelete> memory;  // holds all of the arrays
};

// Packs `weights` in `format`, which need not be one of the table's, for `variant`.
Status pack_network(const NetworkWeights& weights, const WeightFormat& format, const Variant& variant,
                    PackedNetwork& out);

struct Network {
    PackedNetwork packed;
    std::unique_ptr<Device> device;
    std::atomic<Device*> current_device{nullptr};  // that device, once other threads may use it
};

}  // namespace mara::kernel
