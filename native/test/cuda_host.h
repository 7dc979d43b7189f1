// The names of native/kernel/cuda/device.cuh on the host: every thread of every block is a fiber, run in random order
// from one meeting point (barrier, shuffle, mma, spin) to the next, and whole blocks pause at random. Asynchronous
// copies happen only when they are waited for.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "kernel/cuda/arguments.h"
#include "kernel/numbers.h"

#define MARA_DEVICE inline
#define MARA_UNROLL
#define MARA_UNROLL_4
#define MARA_UNROLL_8

namespace mara::kernel::cuda {

struct alignas(16) Words {
    uint32_t x, y, z, w;
};

namespace host {

// Threads meet here; the last one to come lets all go on.
struct Meeting {
    int32_t members = 0;
    int32_t present = 0;
    uint64_t round = 0;
};

// A place to go on from. Between fibers that have begun, setjmp is ten times faster than swapcontext, which asks the
// operating system for the signal mask each time; the address sanitizer takes only the latter for a change of stacks.
struct Place {
    ucontext_t context;
#if !defined(__SANITIZE_ADDRESS__)
    jmp_buf jump;
    bool begun = false;
#endif
};

inline void change(Place& from, Place& to) {
#if defined(__SANITIZE_ADDRESS__)
    swapcontext(&from.context, &to.context);
#else
    from.begun = true;
    if (_setjmp(from.jump) != 0) return;
    if (to.begun) _longjmp(to.jump, 1);
    setcontext(&to.context);
#endif
}

struct Warp {
    Meeting meeting;
    float shuffled[2][32];
    uint32_t a[2][32][4];
    uint32_t b[2][32][2];
};

struct Block {
    Meeting meeting;
    Warp warps[block_warps];
    std::vector<Words> shared;
};

struct Copy {
    void* to;
    const void* from;
};

struct Fiber {
    Place place;
    std::unique_ptr<char[]> stack;
    int32_t thread = 0;
    int32_t block_number = 0;
    Block* block = nullptr;
    int32_t parity = 0;  // of the warp's exchanges: their slots are used in turn
    const Meeting* waits_for = nullptr;
    uint64_t round = 0;
    bool finished = false;
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
};

struct Machine {
    std::vector<Fiber> fibers;
    std::vector<Block> blocks;
    std::function<void()> program;
    Place scheduler;
};

inline Machine* machine = nullptr;
inline Fiber* current = nullptr;

inline void yield() { change(current->place, machine->scheduler); }

inline void meet(Meeting& meeting) {
    if (++meeting.present == meeting.members) {
        meeting.present = 0;
        ++meeting.round;
        return;
    }
    current->waits_for = &meeting;
    current->round = meeting.round;
    yield();
}

inline Warp& warp() { return current->block->warps[current->thread / 32]; }

// Runs `program` as a cooperative grid. Shared memory begins as NaNs.
inline void launch(int32_t blocks, size_t shared_bytes, uint32_t seed, std::function<void()> program) {
    static constexpr size_t stack_bytes = size_t{128} << 10;
    Machine here;
    machine = &here;
    here.program = std::move(program);
    here.blocks.resize(static_cast<size_t>(blocks));
    here.fibers.resize(static_cast<size_t>(blocks) * block_threads);
    for (Block& block : here.blocks) {
        block.meeting.members = block_threads;
        for (Warp& each : block.warps) each.meeting.members = 32;
        block.shared.assign(shared_bytes / sizeof(Words), Words{~0u, ~0u, ~0u, ~0u});
    }
    for (size_t i = 0; i < here.fibers.size(); ++i) {
        Fiber& fiber = here.fibers[i];
        fiber.thread = static_cast<int32_t>(i % block_threads);
        fiber.block_number = static_cast<int32_t>(i / block_threads);
        fiber.block = &here.blocks[i / block_threads];
        fiber.stack.reset(new char[stack_bytes]);
        getcontext(&fiber.place.context);
        fiber.place.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.place.context.uc_stack.ss_size = stack_bytes;
        makecontext(
            &fiber.place.context,
            +[] {
                machine->program();
                current->finished = true;
                yield();
            },
            0);
    }
    std::mt19937 random(seed);
    std::vector<bool> paused(static_cast<size_t>(blocks));  // for a while, so that no block can count on another's pace
    std::vector<Fiber*> running;
    for (Fiber& fiber : here.fibers) running.push_back(&fiber);
    for (int32_t sweep = 0; !running.empty(); ++sweep) {
        if (sweep % 64 == 0)
            for (size_t b = 0; b < paused.size(); ++b) paused[b] = random() % 2 != 0;
        std::swap(running[random() % running.size()], running[random() % running.size()]);
        const bool backwards = random() % 2 != 0;
        for (size_t i = 0; i < running.size(); ++i) {
            current = running[backwards ? running.size() - 1 - i : i];
            if (paused[static_cast<size_t>(current->block_number)]) continue;
            if (current->waits_for != nullptr && current->waits_for->round == current->round) continue;
            current->waits_for = nullptr;
            change(here.scheduler, current->place);
        }
        std::erase_if(running, [](const Fiber* fiber) { return fiber->finished; });
    }
    machine = nullptr;
}

inline void run_copies(int32_t pending) {
    auto& groups = current->groups;
    while (groups.size() > static_cast<size_t>(pending)) {
        for (const Copy& copy : groups.front()) std::memcpy(copy.to, copy.from, 16);
        groups.erase(groups.begin());
    }
}

}  // namespace host

inline int32_t thread_index() { return host::current->thread; }
inline int32_t block_index() { return host::current->block_number; }
inline int32_t block_count() { return static_cast<int32_t>(host::machine->blocks.size()); }
inline char* shared_memory() { return reinterpret_cast<char*>(host::current->block->shared.data()); }

inline void block_sync() { host::meet(host::current->block->meeting); }
inline void memory_fence() {}
inline unsigned counter_add(unsigned* counter) { return (*counter)++; }
inline unsigned counter_read(const unsigned* counter) { return *counter; }
inline void spin() { host::yield(); }

inline float shuffle_xor(float value, int32_t mask) {
    host::Warp& warp = host::warp();
    const int32_t slot = host::current->parity ^= 1, lane = host::current->thread % 32;
    warp.shuffled[slot][lane] = value;
    host::meet(warp.meeting);
    return warp.shuffled[slot][lane ^ mask];
}
inline bool is_finite(float value) { return std::isfinite(value); }

inline float bits_to_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t float_to_bits(float value) { return std::bit_cast<uint32_t>(value); }
inline float half_to_float(uint16_t bits) { return f16_to_float(bits); }
inline uint16_t float_to_half(float value) { return float_to_f16(value); }

inline void copy_async(void* shared, const void* global) { host::current->open.push_back({shared, global}); }
inline void copy_commit() {
    host::current->groups.push_back(std::move(host::current->open));
    host::current->open.clear();
}
template <int pending>
inline void copy_wait() {
    host::run_copies(pending);
}
inline void prefetch(const void*) {}

struct F16;
struct Bf16;

// The fragment layout of mma.sync.m16n8k16, as the PTX manual states it.
template <class Type>
inline void multiply_add(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
    host::Warp& warp = host::warp();
    const int32_t slot = host::current->parity ^= 1, lane = host::current->thread % 32;
    const uint32_t a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
    std::memcpy(warp.a[slot][lane], a, sizeof a);
    std::memcpy(warp.b[slot][lane], b, sizeof b);
    host::meet(warp.meeting);
    const auto value = [](uint32_t word, int32_t half) {
        const auto bits = static_cast<uint16_t>(word >> (16 * half));
        return std::is_same_v<Type, F16> ? f16_to_float(bits) : bf16_to_float(bits);
    };
    for (int32_t i = 0; i < 4; ++i) {
        const int32_t row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int32_t k = 0; k < 16; ++k) {
            const uint32_t weight = warp.a[slot][row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
            const uint32_t state = warp.b[slot][column * 4 + k % 8 / 2][k / 8];
            c[i] += value(weight, k % 2) * value(state, k % 2);
        }
    }
}

}  // namespace mara::kernel::cuda
