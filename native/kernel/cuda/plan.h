// Launch parameters of the fused kernel: pure arithmetic, so that every (K, D, architecture) can be checked without a
// GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/cuda/arguments.h"
#include "kernel/kernel.h"

namespace mara::kernel::cuda {

struct Limits {
    int32_t major;
    int32_t minor;
    int32_t multiprocessors;
    size_t shared_bytes;  // maximum of dynamic shared memory of one block, after opting in
};

struct LayerSizes {
    int32_t width;
    int32_t hidden1;
    int32_t hidden2;

    int32_t units1() const { return (width + depth_unit - 1) / depth_unit; }
    int32_t groups1() const { return (hidden1 + group_channels - 1) / group_channels; }
    int32_t units2() const { return groups1() * (group_channels / depth_unit); }
    int32_t tiles2() const { return (hidden2 + tile_channels - 1) / tile_channels; }
    int32_t counters() const { return first_group_counter + groups1(); }
};

enum class Path : int32_t { simt, mma };

struct Plan {
    Path path;
    int32_t rows;  // simt: states per pass over the weights (1 or 4). mma: row tiles compiled for (2, 5 or 8)
    int32_t grid;  // blocks of 256 threads, one per multiprocessor: all of them are resident at once
    size_t shared_bytes;
    int32_t slices;
    int32_t slice_units;
    int32_t chunk_units;
    int32_t stages;
};

// Bytes of each scratch array, enough for every plan of a network on a device.
struct DeviceScratch {
    size_t states;
    size_t partials;
    size_t hidden;
    size_t head_parts;
};

// A weight type that the kernel has.
struct DeviceFormat {
    WeightType type;
    size_t bytes;  // per weight
    int32_t
        mma_capability;  // tensor cores multiply it from this compute capability on, as 10 · major + minor; 0: never
    // Stores a weight and returns what is stored.
    float (*store)(std::byte* weights, size_t index, float value);
};

// nullptr: the kernel does not have the type.
const DeviceFormat* find_device_format(WeightType type);

// True if the kernel takes such a network on such a device at all.
bool supports(const Limits& limits, const LayerSizes& shape, WeightType type);

// True if the device's tensor cores multiply the type.
bool has_mma(const Limits& limits, WeightType type);

// The type that "auto" means: bf16, or f16 where only that has tensor cores.
WeightType preferred_type(const Limits& limits);

// 1 <= count <= max_rows. The slices, and so the order of every sum, depend on the device and the network, not on
// `count`.
Plan make_plan(const Limits& limits, const LayerSizes& shape, WeightType type, int32_t count);

DeviceScratch scratch_for(const Limits& limits, const LayerSizes& shape, WeightType type);

}  // namespace mara::kernel::cuda
