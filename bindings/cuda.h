// The CUDA kernel behind N-API, in builds that have it (MARA_CUDA, CMakeLists.txt). In the others there simply is no
// device.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "kernel/device.h"

namespace mara::bindings {

// Exports cudaDevices() (lib/native.ts).
void init_cuda(Napi::Env env, Napi::Object exports);

// Without a type, the one that suits the device is taken. Throws CUDA_UNAVAILABLE or CUDA_FAILED.
std::unique_ptr<kernel::Device> create_cuda_device(Napi::Env env, const kernel::NetworkWeights& weights,
                                                   std::optional<kernel::WeightType> type);

}  // namespace mara::bindings
