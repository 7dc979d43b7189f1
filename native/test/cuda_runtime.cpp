// The launch path (native/kernel/cuda/session.cpp, device.cpp) on a CUDA runtime made of malloc and of the kernel's own
// source on the host. Every runtime call is made to fail once: nothing may leak, and the CPU must answer in the
// device's place. Needs CUDA's headers.
#include "cuda_host.h"
// After the names they use.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "check.h"
#include "kernel/cuda/cuda.h"
#include "kernel/cuda/kernels.h"
#include "kernel/cuda/mma.cuh"
#include "kernel/cuda/simt.cuh"
#include "kernel/device.h"
#include "kernel/judge.h"
#include "kernel/probability.h"
#include "model.h"

namespace {

using namespace mara::test;
using namespace mara::kernel::cuda;
using mara::kernel::WeightType;

// The state of the runtime below, and a record of its calls.
struct Runtime {
    int32_t devices = 1;
    int32_t calls = 0;
    int32_t fail_at = -1;  // number of the call that fails
    int32_t launches = 0;
    const char* failed = "";
    std::set<void*> allocations;
    const float* known = nullptr;  // memory of the caller that the runtime knows
    size_t known_count = 0;
    cudaMemoryType known_type = cudaMemoryTypeHost;
    int32_t known_device = 0;
    int32_t last_staged = -1;
    Plan last_plan{};
};
Runtime runtime;

cudaError_t called(const char* name) {
    if (runtime.calls++ != runtime.fail_at) return cudaSuccess;
    runtime.failed = name;
    return cudaErrorLaunchFailure;
}

cudaError_t allocate(const char* name, void** out, size_t bytes) {
    const cudaError_t code = called(name);
    if (code != cudaSuccess) return code;
    *out = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(*out, 0xff, bytes);
    runtime.allocations.insert(*out);
    return cudaSuccess;
}

cudaError_t release(void* memory) {
    CHECK(runtime.allocations.erase(memory) == 1, "freed what was not allocated");
    std::free(memory);
    return cudaSuccess;
}

struct Variant {
    Plan plan;
    WeightType type;
};
std::map<int32_t, Variant> launched;

}  // namespace

extern "C" {
cudaError_t cudaGetDeviceCount(int* count) {
    *count = runtime.devices;
    return runtime.devices == 0 ? cudaErrorInsufficientDriver : called("cudaGetDeviceCount");
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    std::strcpy(properties->name, "Malloc 9000");
    properties->totalGlobalMem = size_t{1} << 34;
    return called("cudaGetDeviceProperties");
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    *value = attribute == cudaDevAttrComputeCapabilityMajor         ? 9
             : attribute == cudaDevAttrComputeCapabilityMinor       ? 0
             : attribute == cudaDevAttrMultiProcessorCount          ? 4
             : attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10
                                                                    : 1;
    return called("cudaDeviceGetAttribute");
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "it was told to fail"; }
const char* cudaGetErrorName(cudaError_t) { return "cudaErrorTest"; }
cudaError_t cudaSetDevice(int) { return called("cudaSetDevice"); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    const cudaError_t code = called("cudaStreamCreateWithFlags");
    if (code != cudaSuccess) return code;
    void* const memory = std::malloc(1);
    runtime.allocations.insert(memory);
    *stream = static_cast<cudaStream_t>(memory);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return release(stream); }
cudaError_t cudaMalloc(void** out, size_t bytes) { return allocate("cudaMalloc", out, bytes); }
cudaError_t cudaHostAlloc(void** out, size_t bytes, unsigned) { return allocate("cudaHostAlloc", out, bytes); }
cudaError_t cudaFree(void* memory) { return release(memory); }
cudaError_t cudaFreeHost(void* memory) { return release(memory); }
cudaError_t cudaHostGetDevicePointer(void** out, void* host, unsigned) {
    *out = host;
    return called("cudaHostGetDevicePointer");
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
    std::memcpy(to, from, bytes);
    return called("cudaMemcpyAsync");
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
    std::memset(to, value, bytes);
    return called("cudaMemsetAsync");
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return called("cudaStreamSynchronize"); }
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int bytes) {
    CHECK(bytes <= 227 << 10, "%d bytes of shared memory", bytes);
    return called("cudaFuncSetAttribute");
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, size_t) {
    *blocks = 1;
    return called("cudaOccupancyMaxActiveBlocksPerMultiprocessor");
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    const auto* const value = static_cast<const float*>(pointer);
    const bool is_known =
        runtime.known != nullptr && value >= runtime.known && value < runtime.known + runtime.known_count;
    attributes->type = is_known ? runtime.known_type : cudaMemoryTypeUnregistered;
    attributes->device = runtime.known_device;
    attributes->devicePointer = is_known ? const_cast<void*>(pointer) : nullptr;
    return called("cudaPointerGetAttributes");
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel, void** parameters) {
    const cudaError_t code = called("cudaLaunchKernelExC");
    if (code != cudaSuccess) return code;
    const Variant& variant = *static_cast<const Variant*>(kernel);
    CHECK(config->numAttrs == 1 && config->attrs[0].id == cudaLaunchAttributeCooperative &&
              config->attrs[0].val.cooperative == 1,
          "not cooperative");
    CHECK(config->stream != nullptr, "not on a stream of its own");
    const auto& a = *static_cast<const Arguments*>(parameters[0]);
    ++runtime.launches;
    runtime.last_staged = a.staged;
    runtime.last_plan = variant.plan;
    host::launch(static_cast<int32_t>(config->gridDim.x), config->dynamicSmemBytes, 1, [&] {
        if (variant.plan.path == Path::simt)
            return variant.plan.rows == 1 ? fused_simt<F16, 1>(a) : fused_simt<F16, 4>(a);
        if (variant.plan.rows == 2)
            fused_mma<F16, 2>(a);
        else if (variant.plan.rows == 5)
            fused_mma<F16, 5>(a);
        else
            fused_mma<F16, 8>(a);
    });
    return cudaSuccess;
}
}

// Stands for kernels.cu.
const void* mara::kernel::cuda::kernel_for(const Plan& plan, WeightType type) {
    return &launched.insert({static_cast<int32_t>(plan.path) * 100 + plan.rows, {plan, type}}).first->second;
}

namespace {

constexpr int32_t width = 96, row_count = 70;
constexpr double tolerance = 4e-3;

struct Setting {
    Model model{{width, 64, 16}, 3};
    NetworkPointer network = make_network(model, WeightType::f32, nullptr);
    PoolPointer pool = make_pool(1);
    Floats states = random_states(static_cast<size_t>(row_count) * width, 4);
    std::string problem;

    bool move() {
        std::unique_ptr<mara::kernel::Device> device = create(model.weights(), WeightType::f16, 0, problem);
        const bool moved = device != nullptr;
        network_set_device(network.get(), std::move(device));
        return moved;
    }
    // Scores rows in reverse order, and compares.
    void score(int32_t count, const char* what) {
        std::vector<int32_t> rows(static_cast<size_t>(count));
        for (int32_t i = 0; i < count; ++i) rows[static_cast<size_t>(i)] = row_count - 1 - i;
        Floats out(static_cast<size_t>(count), NAN);
        const mara::kernel::Network* const networks[] = {network.get()};
        const auto status = judge(networks, 1, states.data(), width, rows.data(), count, out.data(), pool.get(), 1);
        std::transform(out.begin(), out.end(), out.begin(), mara::kernel::probability_of);
        CHECK(status == mara::kernel::Status::ok, "%s: status %d", what, static_cast<int>(status));
        for (int32_t i = 0; i < count; ++i) {
            const double want = model.probability(states.data() + rows[static_cast<size_t>(i)] * width);
            CHECK(std::fabs(static_cast<double>(out[static_cast<size_t>(i)]) - want) <= tolerance,
                  "%s: state %d of %d: %g, not %g", what, i, count, static_cast<double>(out[static_cast<size_t>(i)]),
                  want);
        }
    }
    const mara::kernel::Device& device() const { return *network_device(network.get()); }
};

void check_memory_kinds() {
    runtime = {};
    {
        Setting setting;
        CHECK(setting.move(), "%s", setting.problem.c_str());
        CHECK(std::string(setting.device().name()) == "cuda" && setting.device().type() == WeightType::f16 &&
                  setting.device().failure() == nullptr,
              "device");
        setting.score(3, "pageable");  // through the staging buffer
        CHECK(runtime.last_staged == 1 && runtime.launches == 1, "pageable rows are host memory");
        runtime.known = setting.states.data();
        runtime.known_count = setting.states.size();
        setting.score(1, "pinned");
        CHECK(runtime.last_staged == 1, "rows in host memory cross the bus once");
        setting.score(40, "pinned");
        CHECK(runtime.last_plan.path == Path::mma && runtime.last_staged == 0,
              "the tensor-core path reads each row once anyway");
        runtime.known_type = cudaMemoryTypeDevice;
        setting.score(4, "device");
        CHECK(runtime.last_staged == 0, "device memory is read in place");
        const int32_t before = runtime.launches;
        setting.score(row_count, "more than a launch takes");
        CHECK(runtime.launches == before + 2, "%d launches", runtime.launches - before);
        runtime.known_device = 1;
        setting.score(5, "another device's memory");
        CHECK(setting.device().failure() != nullptr &&
                  std::string(setting.device().failure()).find("another CUDA device") != std::string::npos,
              "not told");
    }
    CHECK(runtime.allocations.empty(), "%zu allocations leaked", runtime.allocations.size());
}

void check_failures_at_creation() {
    int32_t call = 0;
    for (bool failed = true; failed; ++call) {
        runtime = {};
        runtime.fail_at = call;
        {
            Setting setting;
            failed = !setting.move();
            if (failed) {
                CHECK(setting.problem.find(runtime.failed) == 0 &&
                          setting.problem.find("it was told to fail (cudaErrorTest)") != std::string::npos,
                      "call %d (%s) told as: %s", call, runtime.failed, setting.problem.c_str());
                setting.score(2, "without a device");
            }
        }
        CHECK(runtime.allocations.empty(), "call %d: %zu allocations leaked", call, runtime.allocations.size());
    }
    CHECK(call > 15, "only %d calls were made to fail", call);
}

void check_failures_while_scoring() {
    for (int32_t later = 0; later < 6; ++later) {
        runtime = {};
        {
            Setting setting;
            CHECK(setting.move(), "%s", setting.problem.c_str());
            runtime.fail_at = runtime.calls + later;
            setting.score(6, "while the device fails");
            const bool happened = runtime.calls > runtime.fail_at;
            CHECK(happened == (setting.device().failure() != nullptr), "call %d: failure not told", later);
            CHECK(happened == (later < 4), "call %d of a score",
                  later);  // set device, ask about the rows, launch, wait
            if (!happened) continue;
            CHECK(std::string(setting.device().failure()).find(runtime.failed) == 0, "%s told as %s", runtime.failed,
                  setting.device().failure());
            const int32_t before = runtime.calls;
            setting.score(7, "after the device has failed");
            CHECK(runtime.calls == before, "a dead device was asked again");
        }
        CHECK(runtime.allocations.empty(), "%zu allocations leaked", runtime.allocations.size());
    }
}

void check_devices() {
    runtime = {};
    std::vector<DeviceInfo> found(4);
    std::string problem;
    CHECK(devices(found.data(), 4, problem) == 1 && found[0].name == "Malloc 9000" &&
              found[0].limits.multiprocessors == 4,
          "devices");
    runtime.devices = 0;
    CHECK(devices(found.data(), 4, problem) == 0 && problem == "it was told to fail (cudaErrorTest)", "%s",
          problem.c_str());
    runtime = {};
    const Model wide({8193, 8, 8}, 1);
    CHECK(create(wide.weights(), WeightType::f16, 0, problem) == nullptr &&
              problem.find("widths up to 8192") != std::string::npos,
          "%s", problem.c_str());
}

}  // namespace

int main() {
    check_devices();
    check_memory_kinds();
    check_failures_at_creation();
    check_failures_while_scoring();
    std::printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
