// Any number of agents that look at the same states.
#pragma once

#include "kernel/kernel.h"

namespace mara::kernel {

constexpr int32_t max_judging = 16;

// logits[a * count + i]: agent a's log-odds of accepting the state at `base + rows[i] * row_stride`. Agents whose
// device works are asked there, all others in one call on the CPU, which reads and packs the states once. An agent's
// logits are the same bits with any other agents. Further arguments as kernel::score. On failure (out_of_memory;
// bad_shape: agents of different widths, or too many of them) all logits are −∞.
Status judge(const Network* const* networks, int32_t network_count, const float* base, ptrdiff_t row_stride,
             const int32_t* rows, int32_t count, float* logits, Pool* pool, int32_t threads);

}  // namespace mara::kernel
