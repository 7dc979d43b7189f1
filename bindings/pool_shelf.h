// Thread pools of an agent: one per call that runs at the same time, kept for the next call.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "kernel/kernel.h"

namespace mara::bindings {

struct PoolDeleter {
    void operator()(kernel::Pool* pool) const { kernel::pool_free(pool); }
};
using PoolPointer = std::unique_ptr<kernel::Pool, PoolDeleter>;

// Shared by the agent and its queued calls; `take` and `give_back` may be used from any thread.
class PoolShelf {
public:
    explicit PoolShelf(int32_t threads) : threads_(threads) {}

    int32_t threads() const { return threads_; }

    // An idle pool or a new one; null when out of memory.
    PoolPointer take() {
        {
            const std::lock_guard lock(mutex_);
            if (!idle_.empty()) {
                PoolPointer pool = std::move(idle_.back());
                idle_.pop_back();
                return pool;
            }
        }
        kernel::Pool* pool = nullptr;
        kernel::pool_create(threads_, &pool);
        return PoolPointer(pool);
    }

    void give_back(PoolPointer pool) {
        const std::lock_guard lock(mutex_);
        idle_.push_back(std::move(pool));
    }

private:
    const int32_t threads_;
    std::mutex mutex_;
    std::vector<PoolPointer> idle_;
};

}  // namespace mara::bindings
