#include "kernel/pool.h"

#include <new>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace mara::kernel {
namespace {

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits for another running thread's next step: spins for a moment, then gives the core away.
template <class Condition>
void wait_until(Condition&& condition) {
    for (int32_t i = 0; !condition(); ++i) {
        if (i < 512)
            relax();
        else
            std::this_thread::yield();
    }
}

void participate(Pool& pool, const Job& job) {
    for (int32_t p = 0; p < job.phases; ++p) {
        Phase& phase = pool.phases[p];
        for (;;) {
            const int32_t item = phase.next.fetch_add(1, std::memory_order_relaxed);
            if (item >= job.items[p]) break;
            job.run(job.context, p, item);
            phase.done.fetch_add(1, std::memory_order_release);
        }
        wait_until([&] { return phase.done.load(std::memory_order_acquire) == job.items[p]; });
    }
}

void work(Pool& pool) {
    uint32_t seen = 0;
    for (;;) {
        pool.generation.wait(seen, std::memory_order_acquire);
        const Job* job;
        {
            const std::lock_guard lock(pool.mutex);
            if (pool.stopping) return;
            seen = pool.generation.load(std::memory_order_relaxed);
            job = pool.job;
            if (job == nullptr || pool.places == 0) continue;
            --pool.places;
            pool.inside.fetch_add(1, std::memory_order_relaxed);
        }
        participate(pool, *job);
        pool.inside.fetch_sub(1, std::memory_order_release);
    }
}

// A system that refuses more threads leaves the pool with those it has.
void start_workers(Pool& pool, int32_t count) {
    try {
        pool.workers.reserve(static_cast<size_t>(count));
        while (static_cast<int32_t>(pool.workers.size()) < count) pool.workers.emplace_back([&pool] { work(pool); });
    } catch (...) {
    }
}

void run_alone(const Job& job) {
    for (int32_t p = 0; p < job.phases; ++p)
        for (int32_t item = 0; item < job.items[p]; ++item) job.run(job.context, p, item);
}

}  // namespace

void pool_run(Pool& pool, const Job& job, int32_t threads) {
    if (threads > pool.max_threads) threads = pool.max_threads;
    if (threads > 1) start_workers(pool, threads - 1);
    if (threads <= 1 || pool.workers.empty()) return run_alone(job);
    {
        std::lock_guard lock(pool.mutex);
        for (Phase& phase : pool.phases) {
            phase.next.store(0, std::memory_order_relaxed);
            phase.done.store(0, std::memory_order_relaxed);
        }
        pool.job = &job;
        pool.places = threads - 1;
        pool.generation.fetch_add(1, std::memory_order_release);
    }
    for (int32_t i = 1; i < threads; ++i) pool.generation.notify_one();
    participate(pool, job);
    {
        std::lock_guard lock(pool.mutex);
        pool.job = nullptr;
    }
    wait_until([&] { return pool.inside.load(std::memory_order_acquire) == 0; });
}

std::byte* pool_scratch(Pool& pool, size_t bytes) {
    if (bytes > pool.scratch_bytes) {
        ::operator delete(pool.scratch, std::align_val_t{64});
        pool.scratch = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{64}, std::nothrow));
        pool.scratch_bytes = pool.scratch == nullptr ? 0 : bytes;
    }
    return pool.scratch;
}

Status pool_create(int32_t max_threads, Pool** out) {
    auto* pool = new (std::nothrow) Pool;
    *out = pool;
    if (pool == nullptr) return Status::out_of_memory;
    pool->max_threads = max_threads < 1 ? 1 : max_threads;
    return Status::ok;
}

void pool_free(Pool* pool) {
    if (pool == nullptr) return;
    {
        std::lock_guard lock(pool->mutex);
        pool->stopping = true;
        pool->generation.fetch_add(1, std::memory_order_release);
    }
    pool->generation.notify_all();
    for (std::thread& worker : pool->workers) worker.join();
    ::operator delete(pool->scratch, std::align_val_t{64});
    delete pool;
}

}  // namespace mara::kernel
