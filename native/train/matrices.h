// What the networks of learners are written in: matrices as operands of products, and loops in chunks.
#pragma once

#include <algorithm>

#include "train/workspace.h"

namespace mara::train {

constexpr int32_t chunk = 64;  // rows or columns of one item of a parallel loop

inline int32_t chunks(int32_t count) { return (count + chunk - 1) / chunk; }

template <class F>
void in_chunks(Workspace& work, int32_t count, F&& body) {
    parallel(work, chunks(count), [&](int32_t item) {
        const int32_t first = item * chunk;
        body(first, std::min(chunk, count - first));
    });
}

inline size_t area(int32_t rows, int32_t columns) { return static_cast<size_t>(rows) * static_cast<size_t>(columns); }

// A matrix [count][depth] as it stands in memory, and one whose lines are its columns.
inline Operand lines(const float* data, int32_t count, int32_t depth, const float* scale = nullptr) {
    return {data, count, depth, depth, false, scale};
}
inline Operand columns(const float* data, int32_t count, int32_t depth, float* sums = nullptr) {
    return {data, count, depth, count, true, nullptr, sums};
}

}  // namespace mara::train
