// The launch path and the kernel behind a C interface, for bench.py through ctypes; and what is timed besides: reading
// memory. Every function that can fail returns 0 on success; mara_problem() says what failed.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernel/combine.h"
#include "kernel/cuda/session.h"

namespace {

using mara::kernel::WeightType;
using mara::kernel::cuda::Session;

std::string problem;

int fail(const std::string& text) {
    problem = text;
    return 1;
}

bool ok(cudaError_t code, const char* what) {
    if (code == cudaSuccess) return true;
    problem = std::string(what) + ": " + cudaGetErrorString(code);
    return false;
}

__global__ void read_all(const uint4* from, size_t count, uint32_t* out) {
    uint32_t sum = 0;
    for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < count; i += size_t{gridDim.x} * blockDim.x) {
        const uint4 words = from[i];
        sum += words.x ^ words.y ^ words.z ^ words.w;
    }
    if (sum == 0x12345678u) *out = sum;  // never optimised away, hardly ever written
}

// Median time in µs of `launch` in a graph of `count`, with a memset of `evict_bytes` (if any) before each, less the
// memsets alone.
template <class Launch>
int time_graph(cudaStream_t stream, int32_t count, int32_t repeats, void* evict, size_t evict_bytes,
               const Launch& launch, float* microseconds) {
    cudaEvent_t start, end;
    if (!ok(cudaEventCreate(&start), "cudaEventCreate") || !ok(cudaEventCreate(&end), "cudaEventCreate")) return 1;
    float medians[2] = {};
    for (int with_launch = evict_bytes > 0 ? 0 : 1; with_launch < 2; ++with_launch) {
        cudaGraph_t graph;
        cudaGraphExec_t executable;
        if (!ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture")) return 1;
        bool launched = true;
        for (int32_t i = 0; launched && i < count; ++i) {
            if (evict_bytes > 0) launched = ok(cudaMemsetAsync(evict, i, evict_bytes, stream), "cudaMemsetAsync");
            if (launched && with_launch != 0) launched = launch();
        }
        if (!ok(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture") || !launched) return 1;
        if (!ok(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate")) return 1;
        std::vector<float> times;
        for (int32_t r = 0; r < repeats + 2; ++r) {
            float milliseconds = 0;
            if (!ok(cudaEventRecord(start, stream), "cudaEventRecord") ||
                !ok(cudaGraphLaunch(executable, stream), "cudaGraphLaunch") ||
                !ok(cudaEventRecord(end, stream), "cudaEventRecord") ||
                !ok(cudaEventSynchronize(end), "cudaEventSynchronize") ||
                !ok(cudaEventElapsedTime(&milliseconds, start, end), "cudaEventElapsedTime"))
                return 1;
            if (r >= 2) times.push_back(milliseconds * 1000 / static_cast<float>(count));
        }
        std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
        medians[with_launch] = times[times.size() / 2];
        cudaGraphExecDestroy(executable);
        cudaGraphDestroy(graph);
    }
    cudaEventDestroy(start);
    cudaEventDestroy(end);
    *microseconds = medians[1] - medians[0];
    return 0;
}

}  // namespace

extern "C" {

const char* mara_problem() { return problem.c_str(); }

// `tensors`: ln weight, ln bias, w1, b1, w2, b2, w3, b3 as row-major float32 in host memory. `type`: 0 f32, 1 f16, 2
// bf16.
void* mara_create(int32_t width, int32_t hidden1, int32_t hidden2, const float* const* tensors, int32_t type) {
    const mara::kernel::NetworkWeights weights{width,      hidden1,    hidden2,    tensors[0], tensors[1], tensors[2],
                                               tensors[3], tensors[4], tensors[5], tensors[6], tensors[7]};
    auto session = std::make_unique<Session>();
    if (session->open(weights, static_cast<WeightType>(type), 0)) return session.release();
    problem = session->problem();
    return nullptr;
}

void mara_destroy(void* session) { delete static_cast<Session*>(session); }

int mara_poison(void* session) {
    return static_cast<Session*>(session)->poison() ? 0 : fail(static_cast<Session*>(session)->problem());
}

// `base` may lie in device, pinned or pageable memory.
int mara_score(void* handle, const float* base, int64_t stride, const int32_t* rows, int32_t count,
               float* probabilities) {
    auto* const session = static_cast<Session*>(handle);
    if (!session->score(base, stride, rows, count, probabilities)) return fail(session->problem());
    std::transform(probabilities, probabilities + count, probabilities, mara::kernel::probability_of);
    return 0;
}

// How many of `launches` give other bits than the first.
int mara_repeat(void* handle, const float* base, int64_t stride, const int32_t* rows, int32_t count, int32_t launches,
                int32_t* differing) {
    std::vector<float> wanted(static_cast<size_t>(count)), got(wanted.size());
    if (mara_score(handle, base, stride, rows, count, wanted.data()) != 0) return 1;
    *differing = 0;
    for (int32_t i = 1; i < launches; ++i) {
        if (mara_score(handle, base, stride, rows, count, got.data()) != 0) return 1;
        if (std::memcmp(wanted.data(), got.data(), got.size() * sizeof(float)) != 0) ++*differing;
    }
    return 0;
}

// `base` in device memory, or (`host_memory`) a device pointer to mapped pinned memory.
int mara_time(void* handle, const float* base, int32_t host_memory, int64_t stride, const int32_t* rows, int32_t count,
              int32_t launches, int32_t repeats, void* evict, size_t evict_bytes, float* microseconds) {
    auto* const session = static_cast<Session*>(handle);
    const auto launch = [&] {
        if (session->launch(base, host_memory != 0, stride, rows, count, session->stream())) return true;
        problem = session->problem();
        return false;
    };
    return time_graph(session->stream(), launches, repeats, evict, evict_bytes, launch, microseconds);
}

// Time to read `bytes` at `from` once.
int mara_time_read(const void* from, size_t bytes, int32_t blocks, uint32_t* out, int32_t launches, int32_t repeats,
                   float* microseconds) {
    cudaStream_t stream;
    if (!ok(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags")) return 1;
    const auto launch = [&] {
        read_all<<<blocks, 512, 0, stream>>>(static_cast<const uint4*>(from), bytes / sizeof(uint4), out);
        return ok(cudaGetLastError(), "read_all");
    };
    const int status = time_graph(stream, launches, repeats, nullptr, 0, launch, microseconds);
    cudaStreamDestroy(stream);
    return status;
}
}
