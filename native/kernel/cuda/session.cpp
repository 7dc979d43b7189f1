#include "kernel/cuda/session.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernel/arena.h"
#include "kernel/cuda/kernels.h"

namespace mara::kernel::cuda {
namespace {

// Together these need every variant of the kernel that a network can need.
constexpr int32_t representative_counts[] = {1, small_rows, 16, 40, max_rows};

bool limits_of(int32_t index, Limits& limits, cudaError_t& code) {
    int major = 0, minor = 0, multiprocessors = 0, shared = 0;
    const struct {
        cudaDeviceAttr attribute;
        int* value;
    } wanted[] = {{cudaDevAttrComputeCapabilityMajor, &major},
                  {cudaDevAttrComputeCapabilityMinor, &minor},
                  {cudaDevAttrMultiProcessorCount, &multiprocessors},
                  {cudaDevAttrMaxSharedMemoryPerBlockOptin, &shared}};
    for (const auto& [attribute, value] : wanted)
        if ((code = cudaDeviceGetAttribute(value, attribute, index)) != cudaSuccess) return false;
    limits = {major, minor, multiprocessors, static_cast<size_t>(shared)};
    return true;
}

}  // namespace

int32_t devices(DeviceInfo* out, int32_t capacity, std::string& problem) {
    int count = 0;
    cudaError_t code = cudaGetDeviceCount(&count);
    int32_t found = 0;
    for (int i = 0; code == cudaSuccess && i < count && found < capacity; ++i) {
        cudaDeviceProp properties;
        if ((code = cudaGetDeviceProperties(&properties, i)) != cudaSuccess) break;
        DeviceInfo& info = out[found++];
        info.name = properties.name;
        info.memory = properties.totalGlobalMem;
        if (!limits_of(i, info.limits, code)) break;
    }
    if (code == cudaSuccess) return found;
    cudaGetLastError();  // The error is told here and must not surface in another caller's call.
    problem = std::string(cudaGetErrorString(code)) + " (" + cudaGetErrorName(code) + ")";
    return 0;
}

bool Session::check(cudaError_t code, const char* call) {
    if (code == cudaSuccess) return true;
    cudaGetLastError();
    if (problem_.empty())
        problem_ = std::string(call) + ": " + cudaGetErrorString(code) + " (" + cudaGetErrorName(code) + ")";
    return false;
}

#define MARA_CUDA(call, ...) check(call(__VA_ARGS__), #call)

bool Session::open(const NetworkWeights& weights, WeightType type, int32_t index) {
    index_ = index;
    cudaError_t code = cudaSuccess;
    if (!limits_of(index, limits_, code)) return check(code, "cudaDeviceGetAttribute");
    if (!supports(limits_, {weights.width, weights.hidden1, weights.hidden2}, type)) {
        problem_ = "the CUDA kernel takes widths up to " + std::to_string(max_width) + " and hidden layers up to " +
                   std::to_string(max_hidden) +
                   " with f32, f16 or bf16 weights, on devices of compute capability 7.5 and later";
        return false;
    }
    packed_ = pack(weights, *find_device_format(type));
    return MARA_CUDA(cudaSetDevice, index) && MARA_CUDA(cudaStreamCreateWithFlags, &stream_, cudaStreamNonBlocking) &&
           upload() && prepare_kernels();
}

bool Session::upload() {
    const DeviceScratch sizes = scratch_for(limits_, packed_.shape, packed_.type);
    const auto lay_out = [&](std::byte* base) {
        Arena arena{base};
        arguments_.states = arena.take<std::byte>(sizes.states);
        arguments_.partials = reinterpret_cast<float*>(arena.take<std::byte>(sizes.partials));
        arguments_.hidden = arena.take<std::byte>(sizes.hidden);
        arguments_.head_parts = reinterpret_cast<float*>(arena.take<std::byte>(sizes.head_parts));
        arguments_.valid = arena.take<int32_t>(max_rows);
        counters_at_ = arena.used;
        arguments_.counters = arena.take<unsigned>(static_cast<size_t>(packed_.shape.counters()));
        return arena.used;
    };
    scratch_bytes_ = lay_out(nullptr);
    void* pinned = nullptr;
    const size_t row_bytes = static_cast<size_t>(packed_.shape.width) * sizeof(float);
    if (!MARA_CUDA(cudaMalloc, reinterpret_cast<void**>(&weights_), packed_.offsets.bytes) ||
        !MARA_CUDA(cudaMalloc, reinterpret_cast<void**>(&scratch_), scratch_bytes_) ||
        !MARA_CUDA(cudaHostAlloc, reinterpret_cast<void**>(&staging_), max_rows * row_bytes, cudaHostAllocMapped) ||
        !MARA_CUDA(cudaHostGetDevicePointer, reinterpret_cast<void**>(&staging_device_), staging_, 0) ||
        !MARA_CUDA(cudaHostAlloc, &pinned, max_rows * sizeof(float), cudaHostAllocMapped))
        return false;
    logits_ = static_cast<float*>(pinned);
    void* results = nullptr;
    if (!MARA_CUDA(cudaHostGetDevicePointer, &results, pinned, 0) ||
        !MARA_CUDA(cudaMemcpyAsync, weights_, packed_.memory.data(), packed_.offsets.bytes, cudaMemcpyHostToDevice,
                   stream_) ||
        !MARA_CUDA(cudaMemsetAsync, scratch_, 0, scratch_bytes_, stream_) || !MARA_CUDA(cudaStreamSynchronize, stream_))
        return false;
    lay_out(scratch_);
    describe(packed_, weights_, arguments_);
    arguments_.logits = static_cast<float*>(results);
    packed_.memory = {};
    return true;
}

bool Session::prepare_kernels() {
    int cooperative = 0;
    if (!MARA_CUDA(cudaDeviceGetAttribute, &cooperative, cudaDevAttrCooperativeLaunch, index_)) return false;
    if (cooperative == 0) return problem_ = "the device has no cooperative launches", false;
    for (const int32_t count : representative_counts) {
        const Plan plan = make_plan(limits_, packed_.shape, packed_.type, count);
        const void* const kernel = kernel_for(plan, packed_.type);
        if (kernel == nullptr) return problem_ = "the CUDA kernel was not compiled for this weight type", false;
        int resident = 0;
        if (!MARA_CUDA(cudaFuncSetAttribute, kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(plan.shared_bytes)) ||
            !MARA_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor, &resident, kernel, block_threads,
                       plan.shared_bytes))
            return false;
        if (resident < 1) return problem_ = "no block of the kernel fits a multiprocessor of this device", false;
    }
    return true;
}

Session::~Session() {
    // Errors are ignored: a destructor has no way to report them.
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
    for (void* const memory : {static_cast<void*>(weights_), static_cast<void*>(scratch_)})
        if (memory != nullptr) cudaFree(memory);
    for (float* const memory : {staging_, logits_})
        if (memory != nullptr) cudaFreeHost(memory);
    cudaGetLastError();
}

// The pointer is looked up on every call, which costs less than a microsecond: llama.cpp may free its buffer, and a
// remembered answer about an address that has become pageable would fault on the device, which ends the context that
// llama.cpp uses as well.
bool Session::locate(const float* base, int64_t row_stride, const int32_t* rows, int32_t count,
                     const float*& device_base, bool& host_memory, bool& pageable) {
    int32_t lowest = rows[0], highest = rows[0];
    for (int32_t i = 1; i < count; ++i) {
        lowest = std::min(lowest, rows[i]);
        highest = std::max(highest, rows[i]);
    }
    const float* const ends[] = {base + lowest * row_stride, base + highest * row_stride + packed_.shape.width - 1};
    for (const float* const end : ends) {
        cudaPointerAttributes attributes{};
        if (!MARA_CUDA(cudaPointerGetAttributes, &attributes, end)) return false;
        if (attributes.type == cudaMemoryTypeDevice && attributes.device != index_)
            return problem_ = "the states lie on another CUDA device", false;
        pageable = attributes.type == cudaMemoryTypeUnregistered || attributes.devicePointer == nullptr;
        if (pageable) return true;
        host_memory = attributes.type == cudaMemoryTypeHost;
        if (end == ends[0]) device_base = static_cast<const float*>(attributes.devicePointer) - lowest * row_stride;
    }
    return true;
}

bool Session::score(const float* base, int64_t row_stride, const int32_t* rows, int32_t count, float* logits) {
    if (!problem_.empty() || !MARA_CUDA(cudaSetDevice, index_)) return false;
    const float* device_base = nullptr;
    bool host_memory = false, pageable = false;
    if (!locate(base, row_stride, rows, count, device_base, host_memory, pageable)) return false;
    int32_t staged_rows[max_rows];
    if (pageable) {
        const int32_t width = packed_.shape.width;
        for (int32_t i = 0; i < count; ++i) {
            std::memcpy(staging_ + static_cast<ptrdiff_t>(i) * width, base + rows[i] * row_stride,
                        static_cast<size_t>(width) * sizeof(float));
            staged_rows[i] = i;
        }
        rows = staged_rows;
        row_stride = width;
        device_base = staging_device_;
        host_memory = true;
    }
    if (!launch(device_base, host_memory, row_stride, rows, count, stream_) || !wait()) return false;
    std::copy_n(logits_, count, logits);
    return true;
}

bool Session::launch(const float* device_base, bool host_memory, int64_t row_stride, const int32_t* rows, int32_t count,
                     cudaStream_t stream) {
    const Plan plan = make_plan(limits_, packed_.shape, packed_.type, count);
    Arguments& a = arguments_;
    a.base = device_base;
    a.row_stride = row_stride;
    std::copy_n(rows, count, a.rows);
    a.count = count;
    a.slices = plan.slices;
    a.slice_units = plan.slice_units;
    a.chunk_units = plan.chunk_units;
    a.stages = plan.stages;
    a.staged = plan.path == Path::simt && host_memory ? 1 : 0;
    a.vectors = a.staged != 0 || (reinterpret_cast<uintptr_t>(device_base) % 16 == 0 && row_stride % 4 == 0) ? 1 : 0;

    cudaLaunchAttribute cooperative{};
    cooperative.id = cudaLaunchAttributeCooperative;
    cooperative.val.cooperative = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(plan.grid));
    config.blockDim = dim3(block_threads);
    config.dynamicSmemBytes = plan.shared_bytes;
    config.stream = stream;
    config.attrs = &cooperative;
    config.numAttrs = 1;
    void* parameters[] = {&a};
    return MARA_CUDA(cudaLaunchKernelExC, &config, kernel_for(plan, packed_.type), parameters);
}

bool Session::wait() { return MARA_CUDA(cudaStreamSynchronize, stream_); }

bool Session::poison() {
    std::fill_n(logits_, max_rows, std::numeric_limits<float>::quiet_NaN());
    return MARA_CUDA(cudaMemsetAsync, scratch_, 0xff, counters_at_, stream_) && wait();
}

#undef MARA_CUDA

}  // namespace mara::kernel::cuda
