// Any number of agents as one judge.
#pragma once

#include "kernel/combine.h"
#include "kernel/kernel.h"

namespace mara::kernel {

constexpr int32_t max_members = 16;

// An agent that takes part.
struct Member {
    const Network* network;
    float weight = 1;        // in Combination::mean_logit; at 0 the agent is not asked at all, in any combination
    float threshold = 0.5f;  // probability above which it accepts
};

struct Judge {
    const Member* members;  // of one width
    int32_t count;          // up to max_members
    Combination combination;
};

// probabilities[i]: what the members make of the state at `base + rows[i] * row_stride` together (combine.h); NaN where
// none was asked. logits[m · count + i] = log-odds of accepting of member m alone, NaN where it was not asked. Members
// whose device works are scored there, all others in one call on the CPU, which reads and packs the states once. A
// member's logits are the same bits with any other members. Further arguments as kernel::score.
// On failure (out_of_memory; bad_shape: members of different widths, too many of them, a negative weight) all
// probabilities are 0.
Status judge(const Judge& judge, const float* base, ptrdiff_t row_stride, const int32_t* rows, int32_t count,
             float* logits, float* probabilities, Pool* pool, int32_t threads);

}  // namespace mara::kernel
