// What the entry points of both learners check and catch.
#pragma once

#include "train/learner.h"

namespace mara::train {

constexpr int32_t largest_size = 1 << 16;

inline bool fits(int32_t size) { return size >= 1 && size <= largest_size; }

// Nothing that allocates may throw across the boundary.
template <class F>
TrainStatus guarded(F&& body) {
    try {
        return body();
    } catch (...) {
        return TrainStatus::out_of_memory;
    }
}

}  // namespace mara::train
