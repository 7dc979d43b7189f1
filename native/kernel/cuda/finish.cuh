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
    if (shared[0] == 0) return;

    if (t < a.count) {
        float logit = a.head_bias;
        for (int32_t p = 0; p < parts; ++p) logit += a.head_parts[p * max_rows + t];
        const bool is_number = a.valid[t] != 0 && logit == logit;  // NaN: the agent's weights overflowed
        a.logits[t] = is_number ? logit : -INFINITY;
    }
    // Every block has finished and waits for nothing: the next launch finds the counters at 0.
    for (int32_t i = t; i < first_group_counter + a.groups1; i += block_threads) a.counters[i] = 0;
}

}  // namespace mara::kernel::cuda
