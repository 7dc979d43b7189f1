// Number formats, sums over a block, and waiting for other blocks. Compiled for the device and, by the tests, for the
// host.
#pragma once

#include "kernel/cuda/arguments.h"

namespace mara::kernel::cuda {

// Eight consecutive weights or activations of one channel or state.
struct F32 {
    using Element = float;
    static MARA_DEVICE void unpack(const float* from, float (&to)[8]) {
        const Words* words = reinterpret_cast<const Words*>(from);
        const Words low = words[0], high = words[1];
        const uint32_t bits[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        MARA_UNROLL
        for (int i = 0; i < 8; ++i) to[i] = bits_to_float(bits[i]);
    }
};

struct F16 {
    using Element = uint16_t;
    static MARA_DEVICE float value(uint32_t bits) { return half_to_float(static_cast<uint16_t>(bits)); }
    static MARA_DEVICE uint16_t element(float value) { return float_to_half(value); }
    static MARA_DEVICE void unpack(const uint16_t* from, float (&to)[8]) {
        const Words words = *reinterpret_cast<const Words*>(from);
        const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
        MARA_UNROLL
        for (int i = 0; i < 4; ++i) {
            to[2 * i] = value(pairs[i] & 0xffffu);
            to[2 * i + 1] = value(pairs[i] >> 16);
        }
    }
};

struct Bf16 {
    using Element = uint16_t;
    // Round to nearest even; callers pass finite values, or NaN in states whose result is discarded.
    static MARA_DEVICE uint16_t element(float value) {
        const uint32_t bits = float_to_bits(value);
        return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    }
    static MARA_DEVICE void unpack(const uint16_t* from, float (&to)[8]) {
        const Words words = *reinterpret_cast<const Words*>(from);
        const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
        MARA_UNROLL
        for (int i = 0; i < 4; ++i) {
            to[2 * i] = bits_to_float(pairs[i] << 16);
            to[2 * i + 1] = bits_to_float(pairs[i] & 0xffff0000u);
        }
    }
};

MARA_DEVICE float warp_sum(float value) {
    MARA_UNROLL
    for (int32_t mask = 16; mask > 0; mask >>= 1) value += shuffle_xor(value, mask);
    return value;
}

// The sum of all threads' values, in every thread. `scratch` holds block_warps floats; free again after the next
// block_sync.
MARA_DEVICE float block_sum(float value, float* scratch) {
    value = warp_sum(value);
    if (thread_index() % 32 == 0) scratch[thread_index() / 32] = value;
    block_sync();
    float sum = 0;
    MARA_UNROLL
    for (int32_t w = 0; w < block_warps; ++w) sum += scratch[w];
    return sum;
}

// Blocks hand results to each other as follows: all threads of the writer have written when `arrive` is called. Their
// writes are visible to all threads of a block once its `await` returns. Waiting needs every block of the grid to be
// resident: a cooperative launch.
MARA_DEVICE void arrive(unsigned* counter) {
    block_sync();
    if (thread_index() == 0) {
        memory_fence();
        counter_add(counter);
    }
}

MARA_DEVICE void await(const unsigned* counter, int32_t arrivals) {
    if (thread_index() == 0) {
        while (counter_read(counter) < static_cast<unsigned>(arrivals)) spin();
        memory_fence();
    }
    block_sync();
}

// Brings the second layer's weights into L2 while the first is being computed.
template <class Type>
MARA_DEVICE void prefetch_second_layer(const Arguments& a) {
    constexpr int32_t line = 128;
    const int64_t bytes = static_cast<int64_t>(a.tiles2) * a.units2 * tile_channels * depth_unit *
                          static_cast<int32_t>(sizeof(typename Type::Element));
    const int64_t step = static_cast<int64_t>(block_count()) * block_threads * line;
    for (int64_t i = static_cast<int64_t>(block_index() * block_threads + thread_index()) * line; i < bytes; i += step)
        prefetch(static_cast<const char*>(a.weights2) + i);
}

}  // namespace mara::kernel::cuda
