// Runs every variant of the kernel once or twice, from pageable, pinned and device memory, and compares with float64.
// Small: for compute-sanitizer.
#include <cstdio>

#include "kernel/cuda/session.h"
#include "kernel/probability.h"
#include "model.h"

int main() {
    using namespace mara::test;
    using mara::kernel::WeightType;
    constexpr int32_t width = 288, row_count = 64;
    const Model model({width, 192, 48}, 1);
    const Floats states = random_states(static_cast<size_t>(width) * row_count, 2);
    const size_t bytes = states.size() * sizeof(float);
    float *pinned = nullptr, *device = nullptr;
    if (cudaHostAlloc(reinterpret_cast<void**>(&pinned), bytes, cudaHostAllocMapped) != cudaSuccess ||
        cudaMalloc(reinterpret_cast<void**>(&device), bytes) != cudaSuccess ||
        cudaMemcpy(device, states.data(), bytes, cudaMemcpyHostToDevice) != cudaSuccess)
        return std::printf("no memory on the device\n"), 1;
    std::copy(states.begin(), states.end(), pinned);
    int wrong = 0;
    for (const WeightType type : {WeightType::f32, WeightType::f16, WeightType::bf16}) {
        mara::kernel::cuda::Session session;
        if (!session.open(model.weights(), type, 0)) return std::printf("%s\n", session.problem().c_str()), 1;
        for (const float* const base :
             {states.data(), static_cast<const float*>(pinned), static_cast<const float*>(device)})
            for (const int32_t count : {1, 3, 4, 5, 16, 17, 40, 64}) {
                int32_t rows[64];
                float out[64];
                for (int32_t i = 0; i < count; ++i) rows[i] = (i * 7 + 3) % row_count;
                if (!session.poison() || !session.score(base, width, rows, count, out))
                    return std::printf("%s\n", session.problem().c_str()), 1;
                for (int32_t i = 0; i < count; ++i)
                    wrong += !(std::fabs(mara::kernel::probability_of(out[i]) -
                                         model.probability(states.data() + rows[i] * width)) <=
                               tolerances[static_cast<int>(type)]);
            }
    }
    cudaFreeHost(pinned);
    cudaFree(device);
    std::printf("%d wrong probabilities\n", wrong);
    return wrong == 0 ? 0 : 1;
}
