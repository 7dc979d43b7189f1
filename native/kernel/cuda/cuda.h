// The CUDA kernel as the rest of the addon sees it. No CUDA headers. On a machine without a driver `devices` answers 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernel/cuda/plan.h"
#include "kernel/device.h"

namespace mara::kernel::cuda {

struct DeviceInfo {
    std::string name;
    Limits limits;
    size_t memory;  // bytes
};

// Devices that answer. 0 without a driver, or with one too old; `problem` then says what CUDA said. May throw
// std::bad_alloc only.
int32_t devices(DeviceInfo* out, int32_t capacity, std::string& problem);

// A network on CUDA device `index`. nullptr: `problem` names the call that failed, or why the network does not fit.
// Waits for the upload.
std::unique_ptr<Device> create(const NetworkWeights& weights, WeightType type, int32_t index, std::string& problem);

}  // namespace mara::kernel::cuda
