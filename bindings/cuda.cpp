#include "cuda.h"

#include "arguments.h"
#if defined(MARA_CUDA)
#include "kernel/cuda/cuda.h"
#endif

namespace mara::bindings {
namespace {

#if defined(MARA_CUDA)
constexpr int32_t max_devices = 64;

std::vector<kernel::cuda::DeviceInfo> find_devices(std::string& problem) {
    std::vector<kernel::cuda::DeviceInfo> found(max_devices);
    found.resize(static_cast<size_t>(kernel::cuda::devices(found.data(), max_devices, problem)));
    return found;
}
#endif

// [{name, computeCapability, memory}], empty without a driver or a CUDA build. Never throws.
Napi::Value cuda_devices(const Napi::CallbackInfo& info) {
    Napi::Array array = Napi::Array::New(info.Env());
#if defined(MARA_CUDA)
    std::string problem;
    for (const kernel::cuda::DeviceInfo& device : find_devices(problem)) {
        auto entry = Napi::Object::New(info.Env());
        entry.Set("name", device.name);
        entry.Set("computeCapability", std::to_string(device.limits.major) + "." + std::to_string(device.limits.minor));
        entry.Set("memory", static_cast<double>(device.memory));
        array.Set(array.Length(), entry);
    }
#endif
    return array;
}

}  // namespace

void init_cuda(Napi::Env env, Napi::Object exports) {
    exports.Set("cudaDevices", Napi::Function::New<cuda_devices>(env, "cudaDevices"));
    // hasCuda is true if this file holds the CUDA kernel at all, so that "no device" and "no code" can be told apart.
#if defined(MARA_CUDA)
    exports.Set("hasCuda", true);
#else
    exports.Set("hasCuda", false);
#endif
}

std::unique_ptr<kernel::Device> create_cuda_device(Napi::Env env,
                                                   [[maybe_unused]] const kernel::NetworkWeights& weights,
                                                   [[maybe_unused]] std::optional<kernel::WeightType> type) {
#if defined(MARA_CUDA)
    std::string problem;
    const std::vector<kernel::cuda::DeviceInfo> found = find_devices(problem);
    if (found.empty())
        fail(env, "CUDA_UNAVAILABLE", "No CUDA device answers" + (problem.empty() ? "" : ": " + problem));
    std::unique_ptr<kernel::Device> device =
        kernel::cuda::create(weights, type.value_or(kernel::cuda::preferred_type(found[0].limits)), 0, problem);
    if (device == nullptr) fail(env, "CUDA_FAILED", problem);
    return device;
#else
    fail(env, "CUDA_UNAVAILABLE", "This build of the native addon has no CUDA kernel");
#endif
}

}  // namespace mara::bindings
