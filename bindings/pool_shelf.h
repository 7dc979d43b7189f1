// Thread pools of an agent: one per call that runs at the same time, kept for the next call.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "kernel/pool_pointer.h"

namespace mara::bindings {

// Shared by the agent and its queued calls; `take` and `give_back` may be used from any thread.
class PoolShelf {
public:
    explicit PoolShelf(int32_t threads) : threads_(threads) {}

    int32_t threads() const { return threads_; }

    // An idle pool or a new one; null when out of memory.
    kernel::PoolPointer take() {
        {
            const std::lock_guard lock(mutex_);
            if (!idle_.empty()) {
                kernel::PoolPointer pool = std::move(idle_.back());
                idle_.pop_back();
                return pool;
            }
        }
        kernel::Pool* pool = nullptr;
        kernel::pool_create(threads_, &pool);
        return kernel::PoolPointer(pool);
    }

    void give_back(kernel::PoolPointer pool) {
        const std::lock_guard lock(mutex_);
        idle_.push_back(std::move(pool));
    }

private:
    const int32_t threads_;
    std::mutex mutex_;
    std::vector<kernel::PoolPointer> idle_;
};

}  // namespace mara::bindings
