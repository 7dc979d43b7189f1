// The end of both paths: the last block to finish adds up the head's partial sums and writes the results.
#pragma once

#include "kernel/cuda/block.cuh"

namespace mara::kernel::cuda {

// `parts` partial sums per state. Called by every block, whatever it has done before.
MARA_DEVICE void finish(const Arguments& a, int32_t parts) {
    auto* const shared = reinterpret_cast<uint32_t*>(shared_memory());
    const int32_t t = thread_index();
    block_sync();
    if (t == 0) {
        memory_fence();
        shared[0] = counter_add(&a.counters[blocks_finished]) == static_cast<unsigned>(block_count() - 1) ? 1u : 0u;
        memory_fence();
    }
    block_sync();
    const bool is_last = shared[0] != 0;
    block_sync();
    if (!is_last) return;

    if (t < max_rows) {
        float probability = 0;
        if (t < a.count && a.valid[t] != 0) {
            float difference = a.head_bias;
            for (int32_t p = 0; p < parts; ++p) difference += a.logits[p * max_rows + t];
            probability = 1.0f / (1.0f + expf(-difference));
            if (!(probability >= 0)) probability = 0;  // NaN: the agent's weights overflowed
        }
        if (t < a.count) a.probabilities[t] = probability;
        const uint32_t accepted = warp_ballot(t<a.count&& static_cast<double>(probability)> a.threshold);
        if (t % 32 == 0) shared[1 + t / 32] = accepted;
    }
    block_sync();
    if (t == 0) *a.first = shared[1] != 0 ? lowest_bit(shared[1]) : shared[2] != 0 ? 32 + lowest_bit(shared[2]) : -1;
    // Every block has finished and waits for nothing: the next launch finds the counters at 0.
    for (int32_t i = t; i < first_group_counter + a.groups1; i += block_threads) a.counters[i] = 0;
}

}  // namespace mara::kernel::cuda
