// Worker threads that sleep between calls, and the scratch memory of a call. One call at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "kernel/kernel.h"

namespace mara::kernel {

constexpr int32_t max_phases = 5;

// A job is a short list of phases; the items of one phase are independent of each other and start after the previous
// phase has ended. Threads draw items from a counter, so a worker that wakes late (or never) delays nothing.
struct Job {
    void (*run)(void* context, int32_t phase, int32_t item);
    void* context;
    int32_t phases;
    int32_t items[max_phases];
};

struct alignas(64) Phase {
    std::atomic<int32_t> next{0};
    alignas(64) std::atomic<int32_t> done{0};
};

struct Pool {
    int32_t max_threads = 1;
    std::byte* scratch = nullptr;
    size_t scratch_bytes = 0;

    std::vector<std::thread> workers;  // started at the first job that wants them
    std::atomic<uint32_t> generation{
        0};  // counts jobs; idle workers sleep until it changes (std::condition_variable needs a newer libstdc++)
    std::mutex mutex;          // guards the next three
    const Job* job = nullptr;  // the open job
    int32_t places = 0;        // workers that may still enter it
    bool stopping = false;
    std::atomic<int32_t> inside{0};  // workers that entered and have not left
    Phase phases[max_phases];
};

// Runs all phases on up to `threads` threads, the caller being one of them.
void pool_run(Pool& pool, const Job& job, int32_t threads);

// At least `bytes` of 64-byte aligned memory that stays until the next call with a larger number; nullptr when there is
// none.
std::byte* pool_scratch(Pool& pool, size_t bytes);

}  // namespace mara::kernel
