// Bounds of this machine: how fast memory of a given size can be read over and over, and peak arithmetic per weight
// type. usage: floor THREADS SECONDS BYTES...
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__AMX_INT8__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

using Clock = std::chrono::steady_clock;
typedef float Floats __attribute__((vector_size(64)));
typedef uint64_t Words __attribute__((vector_size(64)));

static volatile uint64_t sink;

// Runs `work` (which does `units` of work) for about `seconds` on every thread; units per second of the best tenth of a
// sample.
template <class Work>
static double rate(int threads, double seconds, double units, Work work) {
    std::vector<double> rates(static_cast<size_t>(threads));
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; t++)
        pool.emplace_back([&, t] {
            std::vector<double> samples;
            const auto until = Clock::now() + std::chrono::duration<double>(seconds);
            work(t);
            while (Clock::now() < until || samples.size() < 5) {
                const auto start = Clock::now();
                work(t);
                samples.push_back(units / std::chrono::duration<double>(Clock::now() - start).count());
            }
            std::sort(samples.begin(), samples.end());
            rates[static_cast<size_t>(t)] = samples[samples.size() * 9 / 10];
        });
    double sum = 0;
    for (int t = 0; t < threads; t++) {
        pool[static_cast<size_t>(t)].join();
        sum += rates[static_cast<size_t>(t)];
    }
    return sum;
}

static void read_all(const Words* data, size_t count) {
    Words a{}, b{}, c{}, d{};
    for (size_t i = 0; i + 4 <= count; i += 4) {
        a ^= data[i];
        b ^= data[i + 1];
        c ^= data[i + 2];
        d ^= data[i + 3];
    }
    a ^= b ^ c ^ d;
    sink = a[0] ^ a[7];
}

constexpr int steps = 20000;

static void multiply_floats(int) {
    Floats factor, sums[12];
    for (int i = 0; i < 16; i++) factor[i] = 1e-9f * static_cast<float>(i);
    for (int i = 0; i < 12; i++)
        sums[i] = factor * static_cast<float>(i);  // all different, or they would be computed once
    for (int step = 0; step < steps; step++)
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) sums[i] = sums[i] * factor + factor;
    Floats total = sums[0];
    for (const auto& sum : sums) total += sum;
    sink = static_cast<uint64_t>(total[0]);
}

#if defined(__AMX_INT8__)
struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
};
static bool amx_allowed() { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }
static void load_tiles() {
    TileConfig config;
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    asm volatile("" : : "r"(&config) : "memory");  // GCC believes that only the first bytes are read
    _tile_loadconfig(&config);
}
#define TILE_STEPS(instruction)                \
    load_tiles();                              \
    for (int step = 0; step < steps; step++) { \
        instruction(0, 4, 6);                  \
        instruction(1, 4, 7);                  \
        instruction(2, 5, 6);                  \
        instruction(3, 5, 7);                  \
    }                                          \
    _tile_release();
static void multiply_int8(int) { TILE_STEPS(_tile_dpbssd) }
static void multiply_bf16(int) { TILE_STEPS(_tile_dpbf16ps) }
#endif

// Twelve sums hide the latency of the instruction, as in `multiply_floats`. In registers by name, since compilers put
// an array of sums on the stack here. All are zero, which takes as long as anything else.
#define DOT_STEPS(instruction)                                                                                \
    asm volatile(".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12\n vpxorq %%zmm\\r, %%zmm\\r, %%zmm\\r\n .endr"         \
                 :                                                                                            \
                 :                                                                                            \
                 : DOT_REGISTERS, "xmm12");                                                                   \
    for (int step = 0; step < steps; step++)                                                                  \
        asm volatile(".irp r, 0,1,2,3,4,5,6,7,8,9,10,11\n " instruction " %%zmm12, %%zmm12, %%zmm\\r\n .endr" \
                     :                                                                                        \
                     :                                                                                        \
                     : DOT_REGISTERS);
#define DOT_REGISTERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#if defined(__AVX512VNNI__)
static void dot_int8(int) { DOT_STEPS("vpdpbusd") }
#endif
#if defined(__AVX512BF16__)
static void dot_bf16(int) { DOT_STEPS("vdpbf16ps") }
#endif

int main(int argc, char** argv) {
    const int threads = std::atoi(argv[1]);
    const double seconds = std::atof(argv[2]);
    // Multiply-adds per second; a type without instructions of its own is computed with as floats.
    const double floats = rate(threads, seconds, 12.0 * 16 * steps, multiply_floats);
    double int8 = floats, bf16 = floats;
#if defined(__AVX512VNNI__)
    int8 = rate(threads, seconds, 12.0 * 64 * steps, dot_int8);
#endif
#if defined(__AVX512BF16__)
    bf16 = rate(threads, seconds, 12.0 * 32 * steps, dot_bf16);
#endif
#if defined(__AMX_INT8__)
    if (amx_allowed()) {
        int8 = rate(threads, seconds, 4.0 * 16 * 16 * 64 * steps, multiply_int8);
        bf16 = rate(threads, seconds, 4.0 * 16 * 16 * 32 * steps, multiply_bf16);
    }
#endif
    std::printf("{\"peak\":{\"f32\":%.6g,\"f16\":%.6g,\"bf16\":%.6g,\"int8\":%.6g},\"bandwidth\":{", floats, floats,
                bf16, int8);
    for (int i = 3; i < argc; i++) {
        const size_t bytes = std::strtoull(argv[i], nullptr, 10);
        const size_t share = bytes / static_cast<size_t>(threads) / 256 * 4;  // words of 64 bytes per thread
        std::vector<std::vector<Words>> buffers(static_cast<size_t>(threads));
        for (auto& buffer : buffers) {
            buffer.resize(share);
            for (size_t word = 0; word < share; word++) buffer[word] = Words{} + word;
        }
        const double speed = rate(threads, seconds, static_cast<double>(share) * 64,
                                  [&](int t) { read_all(buffers[static_cast<size_t>(t)].data(), share); });
        std::printf("%s\"%zu\":%.6g", i > 3 ? "," : "", bytes, speed);
    }
    std::printf("}}\n");
}
