#include "train/replay.h"

#include <algorithm>

namespace mara::train {

Block copy_block(const Transitions& from, int32_t width) {
    const size_t floats = static_cast<size_t>(from.rows) * static_cast<size_t>(width);
    Block block{std::make_unique_for_overwrite<float[]>(floats), {}};
    std::copy(from.states, from.states + floats, block.states.get());
    const auto row = [&](int32_t index) {
        return index < 0 ? nullptr : block.states.get() + static_cast<size_t>(index) * static_cast<size_t>(width);
    };
    block.transitions.reserve(static_cast<size_t>(from.count));
    for (int32_t i = 0; i < from.count; ++i)
        block.transitions.push_back({row(from.state[i]), row(from.next_state[i]), from.reward[i], from.action[i]});
    return block;
}

void Replay::forget_oldest() {
    if (--held_.front().transitions == 0) held_.pop_front();
}

void Replay::add(Block&& block) {
    if (block.transitions.empty()) return;
    held_.push_back({std::move(block.states), 0});
    for (const Transition& transition : block.transitions) {
        ++held_.back().transitions;
        if (ring_.size() < capacity_) {
            ring_.push_back(transition);
        } else {
            forget_oldest();
            ring_[oldest_] = transition;
            oldest_ = (oldest_ + 1) % capacity_;
        }
    }
}

}  // namespace mara::train
