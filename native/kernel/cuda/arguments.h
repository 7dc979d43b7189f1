// The arguments of the fused CUDA kernel, and the constants that the host, the device code and the tests share. Plain
// C++.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mara::kernel::cuda {

constexpr int32_t block_threads = 256;
constexpr int32_t block_warps = block_threads / 32;
constexpr int32_t max_rows = 64;     // states of one launch
constexpr int32_t max_width = 8192;  // 32 inputs per thread when a block normalises one row
constexpr int32_t max_hidden = 8192;
constexpr int32_t depth_unit = 32;      // inputs that lie side by side in a weight tile: two steps of a 16-deep mma
constexpr int32_t tile_channels = 16;   // channels of a weight tile: the M of an mma
constexpr int32_t row_tile = 8;         // states of a tile: the N of an mma
constexpr int32_t group_channels = 64;  // channels of the first layer that one block multiplies (4 weight tiles)
constexpr int32_t simt_channels = 8;    // channels that one block of the small-K path multiplies
constexpr int32_t small_rows = 4;       // at most this many states take the bandwidth-bound path
constexpr int32_t shared_head_bytes = 1024;  // reductions and flags; the stages follow

// Counters in device memory. All are 0 between launches: the last block sets them back.
constexpr int32_t states_ready = 0;
constexpr int32_t hidden_ready = 1;
constexpr int32_t blocks_finished = 2;
constexpr int32_t first_group_counter = 4;

struct Arguments {
    // States: row i is at base + rows[i] · row_stride (in floats), in device memory or in mapped pinned host memory.
    const float* base;
    int64_t row_stride;
    int32_t rows[max_rows];
    int32_t count;
    int32_t width;

    // Weights: [channels / 16][units][16][32] elements, zero beyond the network's own sizes. LayerNorm's affine is
    // folded in.
    int32_t units1;   // ⌈D / 32⌉
    int32_t groups1;  // ⌈H / 64⌉
    int32_t units2;   // 2 · groups1
    int32_t tiles2;   // ⌈H2 / 16⌉
    const void* weights1;
    const void* weights2;
    const float* bias1;  // [groups1 · 64]
    const float* sum1;   // [groups1 · 64] Σ over the inputs of the stored weights
    const float* bias2;  // [tiles2 · 16]
    const float* head;   // [tiles2 · 16] weights of accept minus those of reject
    float head_bias;
    float hidden_scale;    // a power of two that keeps the first hidden layer within f16; 1 unless the weights are huge
    float hidden_unscale;  // its reciprocal

    // Scratch in device memory, of one stream.
    void* states;       // mma: [row tiles][units1][8][32] normalised elements. simt, staged: [64][units1 · 32] floats
    float* partials;    // mma: [slices][groups1][512 · row tiles] in the order of mma's accumulators
    void* hidden;       // mma: [row tiles][units2][8][32] elements. simt: [64][units2 · 32] floats
    float* head_parts;  // [parts][64] partial sums of the head
    int32_t* valid;     // [64]
    unsigned* counters;

    // Results in mapped pinned host memory.
    float* logits;  // [count] log-odds of accepting; −∞ for a state with a NaN or an infinity

    // The plan (plan.h).
    int32_t slices;       // parts that the depth of the first layer is cut into
    int32_t slice_units;  // units of 32 inputs per slice
    int32_t chunk_units;  // units per stage of shared memory; a multiple of 4
    int32_t stages;       // 1 or 2
    int32_t staged;       // simt: the rows are first copied to `states`, so that host memory is read once
    int32_t vectors;      // rows may be read as float4
};

}  // namespace mara::kernel::cuda
