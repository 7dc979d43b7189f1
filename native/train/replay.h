// The transitions last seen: a ring of at most `capacity`, each pointing at rows of the block it came in. A block's
// states are stored once and freed when the ring has overwritten the last of its transitions. Memory grows with what is
// held.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace mara::train {

// Rows and transitions as the caller has them. State rows are [width] floats; nextState −1 ends an episode.
struct Transitions {
    const float* states;
    int32_t rows;
    const int32_t* state;   // row of each transition
    const uint8_t* action;  // 1 accept, 0 reject
    const float* reward;
    const int32_t* next_state;  // row, or −1
    int32_t count;
};

struct Transition {
    const float* state;
    const float* next_state;  // nullptr: terminal
    float reward;
    uint8_t action;
};

// A copy of Transitions that owns its states.
struct Block {
    std::unique_ptr<float[]> states;
    std::vector<Transition> transitions;
};

class Replay {
public:
    explicit Replay(int32_t capacity) : capacity_(static_cast<size_t>(capacity)) {}

    int32_t size() const { return static_cast<int32_t>(ring_.size()); }
    // `age` 0 is the oldest.
    const Transition& at(int32_t age) const { return ring_[(oldest_ + static_cast<size_t>(age)) % ring_.size()]; }
    // Throws std::bad_alloc, in which case only some of the block's transitions were added.
    void add(Block&& block);

private:
    struct Held {
        std::unique_ptr<float[]> states;
        size_t transitions;  // of this block still in the ring
    };
    void forget_oldest();

    const size_t capacity_;
    std::vector<Transition> ring_;
    size_t oldest_ = 0;  // 0 until the ring is full
    std::deque<Held> held_;
};

// Throws std::bad_alloc.
Block copy_block(const Transitions& from, int32_t width);

}  // namespace mara::train
