// A network in device memory with one stream, its scratch and its results. For device.cpp, the tests and bench/gpu;
// needs CUDA's headers.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernel/cuda/cuda.h"
#include "kernel/cuda/layout.h"

namespace mara::kernel::cuda {

// Not thread-safe. After an error of any call the session is dead: `problem` says why, and nothing further is asked of
// CUDA.
class Session {
public:
    Session() = default;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    bool open(const NetworkWeights& weights, WeightType type, int32_t index);

    // Log-odds of accepting up to max_rows states: launches and waits.
    bool score(const float* base, int64_t row_stride, const int32_t* rows, int32_t count, float* logits);

    // The two halves, for timing. The states must be where the kernel can read them: no copy is made.
    bool launch(const float* device_base, bool host_memory, int64_t row_stride, const int32_t* rows, int32_t count,
                cudaStream_t stream);
    bool wait();

    cudaStream_t stream() const { return stream_; }
    const std::string& problem() const { return problem_; }
    WeightType type() const { return packed_.type; }
    // Everything that a launch writes before it reads it, filled with NaNs. For tests.
    bool poison();

private:
    bool check(cudaError_t code, const char* call);
    bool upload();
    bool prepare_kernels();
    bool locate(const float* base, int64_t row_stride, const int32_t* rows, int32_t count, const float*& device_base,
                bool& host_memory, bool& pageable);

    int32_t index_ = 0;
    Limits limits_{};
    Packed packed_{};
    Arguments arguments_{};  // all but the states, K and the plan
    std::byte* weights_ = nullptr;
    std::byte* scratch_ = nullptr;
    size_t scratch_bytes_ = 0;
    size_t counters_at_ = 0;    // offset of the counters in the scratch: they come last, and stay 0
    float* staging_ = nullptr;  // pinned, [max_rows][width]: for states that the device cannot reach
    float* staging_device_ = nullptr;
    float* logits_ = nullptr;  // pinned, [max_rows]
    cudaStream_t stream_ = nullptr;
    std::string problem_;
};

}  // namespace mara::kernel::cuda
