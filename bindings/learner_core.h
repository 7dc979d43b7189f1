// A native learner as the Node thread and the learner's own thread share it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "train/learner.h"

namespace mara::bindings {

// Transitions are handed over at once, also while an update runs, and join the replay before the next job that was
// queued after them. So the replay that an update sees depends on the order of the calls alone.
class LearnerCore {
public:
    explicit LearnerCore(train::Learner* learner) : learner_(learner) {}
    ~LearnerCore() {
        for (const Incoming& waiting : incoming_) train::block_free(waiting.block);
        train::learner_free(learner_);
    }
    LearnerCore(const LearnerCore&) = delete;
    LearnerCore& operator=(const LearnerCore&) = delete;

    // To be called only inside a job, or while none is queued.
    train::Learner* get() const { return learner_; }

    // Asks the running job to end after its current update, and later ones not to begin.
    std::atomic<bool> stop{false};

    void hand_over(train::Block* block) {
        const std::lock_guard lock(mutex_);
        incoming_.push_back({block, ++handed_});
    }

    // The number of blocks handed over so far. A job that is queued now takes in exactly these.
    uint64_t handed() {
        const std::lock_guard lock(mutex_);
        return handed_;
    }

    train::TrainStatus take_in(uint64_t up_to) {
        for (;;) {
            train::Block* block;
            {
                const std::lock_guard lock(mutex_);
                if (incoming_.empty() || incoming_.front().number > up_to) return train::TrainStatus::ok;
                block = incoming_.front().block;
                incoming_.pop_front();
            }
            const train::TrainStatus status = train::learner_add(learner_, block);
            if (status != train::TrainStatus::ok) return status;
        }
    }

private:
    struct Incoming {
        train::Block* block;
        uint64_t number;
    };

    train::Learner* const learner_;
    std::mutex mutex_;
    std::deque<Incoming> incoming_;
    uint64_t handed_ = 0;
};

}  // namespace mara::bindings
