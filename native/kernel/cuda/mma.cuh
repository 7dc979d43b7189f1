// The tensor-core path: 5 to 64 states, f16 or bf16.
//
//   1. normalise   a block per state: moments in two passes over registers, x̂ = (x − μ)/σ stored in the weights' type.
//   Meanwhile the
//                  block's weights of the first layer stream into shared memory.
//   2. multiply    a block per (64 channels, slice of the inputs): all states at once. Partial sums go to device
//   memory.
//   3. reduce      the blocks of one group of 64 channels wait for each other and add the slices up, in order; bias,
//   ReLU.
//   4. second      a block per (16 channels, 8 states) with the head's product at the end.
//   5. finish      the last block to arrive.
//
// Sums are taken in a fixed order, without atomics on floats: a launch gives the same bits every time.
//
// Operand order. An mma's 16 inputs may be any 16, if both operands agree. Lane 4·g + q of a warp holds inputs 8q …
// 8q+7 of a unit of 32 for channel g (and g + 8) or state g: one 16-byte load per operand feeds two mma instructions,
// and tiles lie plainly as [16 or 8][32].
#pragma once

#include "kernel/cuda/finish.cuh"

namespace mara::kernel::cuda {

constexpr int32_t weight_tile_bytes = tile_channels * depth_unit * 2;  // 1 KiB
constexpr int32_t state_tile_bytes = row_tile * depth_unit * 2;        // ½ KiB
constexpr int32_t group_tiles = group_channels / tile_channels;

template <class Type>
MARA_DEVICE void normalise_row(const Arguments& a, int32_t row) {
    auto* const scratch = reinterpret_cast<float*>(shared_memory());
    const float* const x = a.base + a.rows[row] * a.row_stride;
    constexpr int per_thread = max_width / block_threads;
    const int32_t t = thread_index();
    float values[per_thread];
    float sum = 0;
    MARA_UNROLL
    for (int j = 0; j < per_thread; ++j) {
        const int32_t input = j * block_threads + t;
        values[j] = input < a.width ? x[input] : 0.0f;
    }
    MARA_UNROLL
    for (int j = 0; j < per_thread; ++j) sum += values[j];
    sum = block_sum(sum, scratch);
    const float mean = sum / static_cast<float>(a.width);
    float squares = 0;
    MARA_UNROLL
    for (int j = 0; j < per_thread; ++j) {
        const float difference = values[j] - mean;
        if (j * block_threads + t < a.width) squares += difference * difference;
    }
    squares = block_sum(squares, scratch + block_warps);
    const float deviation_reciprocal = 1.0f / sqrtf(squares / static_cast<float>(a.width) + 1e-5f);
    if (t == 0) a.valid[row] = is_finite(sum) && is_finite(squares) ? 1 : 0;

    auto* const out = static_cast<typename Type::Element*>(a.states) +
                      static_cast<int64_t>(row / row_tile) * a.units1 * row_tile * depth_unit +
                      row % row_tile * depth_unit;
    MARA_UNROLL
    for (int j = 0; j < per_thread; ++j) {
        const int32_t input = j * block_threads + t;
        if (input >= a.units1 * depth_unit) continue;
        const float value = input < a.width ? (values[j] - mean) * deviation_reciprocal : 0.0f;
        out[input / depth_unit * row_tile * depth_unit + input % depth_unit] = Type::element(value);
    }
    block_sync();
}

// One group of channels by one slice of the inputs.
struct TileWork {
    int32_t group;
    int32_t slice;
    int32_t first_unit;
    int32_t units;
};

MARA_DEVICE TileWork work_at(const Arguments& a, int32_t index) {
    const int32_t slice = index / a.groups1;
    const int32_t first = slice * a.slice_units;
    const int32_t left = a.units1 - first;
    return {index % a.groups1, slice, first, left < a.slice_units ? left : a.slice_units};
}

template <int RowTiles>
struct Stages {
    const Arguments& a;
    TileWork work;

    MARA_DEVICE int32_t units_of(int32_t chunk) const {
        const int32_t left = work.units - chunk * a.chunk_units;
        return left < a.chunk_units ? left : a.chunk_units;  // 0 or less: there is no such chunk
    }
    MARA_DEVICE char* weights(int32_t chunk) const {
        const int32_t bytes = a.chunk_units * (group_tiles * weight_tile_bytes + RowTiles * state_tile_bytes);
        return shared_memory() + shared_head_bytes + (a.stages == 2 ? chunk % 2 : 0) * bytes;
    }
    MARA_DEVICE char* states(int32_t chunk) const {
        return weights(chunk) + a.chunk_units * group_tiles * weight_tile_bytes;
    }

    MARA_DEVICE void fetch_weights(int32_t chunk) const {
        const int32_t bytes = units_of(chunk) * weight_tile_bytes;
        MARA_UNROLL
        for (int32_t tile = 0; tile < group_tiles; ++tile) {
            const int64_t unit = static_cast<int64_t>(work.group * group_tiles + tile) * a.units1 + work.first_unit +
                                 chunk * a.chunk_units;
            const char* const from = static_cast<const char*>(a.weights1) + unit * weight_tile_bytes;
            char* const to = weights(chunk) + tile * a.chunk_units * weight_tile_bytes;
            for (int32_t i = thread_index() * 16; i < bytes; i += block_threads * 16) copy_async(to + i, from + i);
        }
    }
    MARA_DEVICE void fetch_states(int32_t chunk) const {
        const int32_t bytes = units_of(chunk) * state_tile_bytes;
        MARA_UNROLL
        for (int32_t tile = 0; tile < RowTiles; ++tile) {
            const int64_t unit = static_cast<int64_t>(tile) * a.units1 + work.first_unit + chunk * a.chunk_units;
            const char* const from = static_cast<const char*>(a.states) + unit * state_tile_bytes;
            char* const to = states(chunk) + tile * a.chunk_units * state_tile_bytes;
            for (int32_t i = thread_index() * 16; i < bytes; i += block_threads * 16) copy_async(to + i, from + i);
        }
    }
};

// Warp w multiplies half w % 2 of the group's channels by every fourth unit, from w / 2 on.
template <class Type, int RowTiles>
MARA_DEVICE void multiply_chunk(const Stages<RowTiles>& stages, int32_t chunk, float (&sums)[2][RowTiles][4]) {
    const int32_t lane = thread_index() % 32, warp = thread_index() / 32;
    const char* const weights =
        stages.weights(chunk) + warp % 2 * 2 * stages.a.chunk_units * weight_tile_bytes + lane * 16;
    const char* const states = stages.states(chunk) + lane * 16;
    const int32_t units = stages.units_of(chunk);
    for (int32_t unit = warp / 2; unit < units; unit += 4) {
        Words low[2], high[2];
        MARA_UNROLL
        for (int m = 0; m < 2; ++m) {
            const char* const tile = weights + (m * stages.a.chunk_units + unit) * weight_tile_bytes;
            low[m] = *reinterpret_cast<const Words*>(tile);
            high[m] = *reinterpret_cast<const Words*>(tile + weight_tile_bytes / 2);
        }
        MARA_UNROLL
        for (int n = 0; n < RowTiles; ++n) {
            const Words x =
                *reinterpret_cast<const Words*>(states + (n * stages.a.chunk_units + unit) * state_tile_bytes);
            MARA_UNROLL
            for (int m = 0; m < 2; ++m) {
                multiply_add<Type>(sums[m][n], low[m].x, high[m].x, low[m].y, high[m].y, x.x, x.y);
                multiply_add<Type>(sums[m][n], low[m].z, high[m].z, low[m].w, high[m].w, x.z, x.w);
            }
        }
    }
}

// Adds the four warps of each half of the channels, and stores the sums as they lie in registers: [half][m, n,
// register][lane].
template <int RowTiles>
MARA_DEVICE void store_partials(const Arguments& a, const TileWork& work, float (&sums)[2][RowTiles][4]) {
    constexpr int per_lane = 8 * RowTiles;
    const int32_t lane = thread_index() % 32, half = thread_index() / 32 % 2, quarter = thread_index() / 64;
    auto* const slots = reinterpret_cast<float*>(shared_memory() + shared_head_bytes);
    const auto slot = [&](int32_t index) { return slots + (index * 2 + half) * per_lane * 32 + lane; };
    MARA_UNROLL
    for (int32_t step = 2; step >= 1; step >>= 1) {
        block_sync();
        MARA_UNROLL
        for (int i = 0; i < per_lane; ++i)
            if (quarter >= step && quarter < 2 * step)
                slot(quarter - step)[i * 32] = sums[i / (4 * RowTiles)][i / 4 % RowTiles][i % 4];
        block_sync();
        MARA_UNROLL
        for (int i = 0; i < per_lane; ++i)
            if (quarter < step) sums[i / (4 * RowTiles)][i / 4 % RowTiles][i % 4] += slot(quarter)[i * 32];
    }
    float* const out =
        a.partials + (static_cast<int64_t>(work.slice * a.groups1 + work.group) * 2 + half) * per_lane * 32 + lane;
    MARA_UNROLL
    for (int i = 0; i < per_lane; ++i)
        if (quarter == 0) out[i * 32] = sums[i / (4 * RowTiles)][i / 4 % RowTiles][i % 4];
}

// `fetched`: the weights of the first stages are on their way already.
template <class Type, int RowTiles>
MARA_DEVICE void multiply(const Arguments& a, const TileWork& work, bool fetched) {
    const Stages<RowTiles> stages{a, work};
    float sums[2][RowTiles][4] = {};
    for (int32_t s = 0; s < a.stages; ++s) {
        if (!fetched) stages.fetch_weights(s);
        stages.fetch_states(s);
        copy_commit();
    }
    for (int32_t chunk = 0; stages.units_of(chunk) > 0; ++chunk) {
        if (a.stages == 2)
            copy_wait<1>();
        else
            copy_wait<0>();
        block_sync();
        multiply_chunk<Type, RowTiles>(stages, chunk, sums);
        block_sync();
        stages.fetch_weights(chunk + a.stages);
        stages.fetch_states(chunk + a.stages);
        copy_commit();
    }
    copy_wait<0>();
    store_partials<RowTiles>(a, work, sums);
}

// This block's share of the sums over the slices of one group.
template <class Type, int RowTiles>
MARA_DEVICE void reduce(const Arguments& a, const TileWork& work) {
    constexpr int per_lane = 8 * RowTiles;
    const int64_t stride = static_cast<int64_t>(a.groups1) * group_channels * RowTiles * row_tile;
    auto* const hidden = static_cast<typename Type::Element*>(a.hidden);
    for (int32_t e = work.slice * block_threads + thread_index(); e < 2 * per_lane * 32;
         e += a.slices * block_threads) {
        const float* const from = a.partials + static_cast<int64_t>(work.group) * 2 * per_lane * 32 + e;
        float sum = 0;
        MARA_UNROLL_8
        for (int32_t s = 0; s < a.slices; ++s) sum += from[s * stride];
        const int32_t lane = e % 32, i = e / 32 % per_lane, half = e / 32 / per_lane;
        const int32_t in_half =
            i / (4 * RowTiles) * tile_channels + i % 4 / 2 * 8 + lane / 4;  // 0 … 31: a unit of the second layer
        const int32_t state_tile = i / 4 % RowTiles, state = lane % 4 * 2 + i % 2;
        const float y = sum + a.bias1[work.group * group_channels + half * depth_unit + in_half];
        const int64_t tile = static_cast<int64_t>(state_tile) * a.units2 + work.group * 2 + half;
        hidden[(tile * row_tile + state) * depth_unit + in_half] = Type::element(y > 0 ? y * a.hidden_scale : 0.0f);
    }
}

// 16 channels of the second layer by 8 states, and their part of the head.
template <class Type>
MARA_DEVICE void second_layer(const Arguments& a, int32_t tile, int32_t state_tile) {
    const int32_t t = thread_index(), lane = t % 32, warp = t / 32;
    const char* const weights =
        static_cast<const char*>(a.weights2) + static_cast<int64_t>(tile) * a.units2 * weight_tile_bytes + lane * 16;
    const char* const states =
        static_cast<const char*>(a.hidden) + static_cast<int64_t>(state_tile) * a.units2 * state_tile_bytes + lane * 16;
    float sums[4] = {};
    MARA_UNROLL_4
    for (int32_t unit = warp; unit < a.units2; unit += block_warps) {
        const Words low = *reinterpret_cast<const Words*>(weights + unit * weight_tile_bytes);
        const Words high = *reinterpret_cast<const Words*>(weights + unit * weight_tile_bytes + weight_tile_bytes / 2);
        const Words x = *reinterpret_cast<const Words*>(states + unit * state_tile_bytes);
        multiply_add<Type>(sums, low.x, high.x, low.y, high.y, x.x, x.y);
        multiply_add<Type>(sums, low.z, high.z, low.w, high.w, x.z, x.w);
    }
    auto* const parts = reinterpret_cast<float*>(shared_memory() + shared_head_bytes);  // [warps][4][32 lanes]
    float* const products = parts + block_warps * 128;                                  // [8 states][16 channels]
    MARA_UNROLL
    for (int j = 0; j < 4; ++j) parts[warp * 128 + j * 32 + lane] = sums[j];
    block_sync();
    if (t < 128) {
        float sum = 0;
        MARA_UNROLL
        for (int32_t w = 0; w < block_warps; ++w) sum += parts[w * 128 + t];
        const int32_t channel = warp / 2 * 8 + lane / 4,
                      state = lane % 4 * 2 + warp % 2;  // register `warp` of the accumulator
        const float y = sum * a.hidden_unscale + a.bias2[tile * tile_channels + channel];
        products[state * tile_channels + channel] = y > 0 ? y * a.head[tile * tile_channels + channel] : 0.0f;
    }
    block_sync();
    const int32_t row = state_tile * row_tile + t;
    if (t < row_tile && row < a.count) {
        float part = 0;
        MARA_UNROLL
        for (int c = 0; c < tile_channels; ++c) part += products[t * tile_channels + c];
        a.head_parts[tile * max_rows + row] = part;
    }
    block_sync();
}

template <class Type, int RowTiles>
MARA_DEVICE void fused_mma(const Arguments& a) {
    const int32_t b = block_index(), blocks = block_count();
    const int32_t work_count = a.groups1 * a.slices;
    const int32_t state_tiles = (a.count + row_tile - 1) / row_tile;
    const int32_t items2 = a.tiles2 * state_tiles;

    if (b < work_count) {
        const Stages<RowTiles> stages{a, work_at(a, b)};
        for (int32_t s = 0; s < a.stages; ++s) stages.fetch_weights(s);
        copy_commit();
    }
    prefetch_second_layer<Type>(a);
    for (int32_t row = b; row < a.count; row += blocks) normalise_row<Type>(a, row);
    if (b < a.count) arrive(&a.counters[states_ready]);
    if (b < work_count) await(&a.counters[states_ready], a.count < blocks ? a.count : blocks);

    for (int32_t i = b; i < work_count; i += blocks) {
        const TileWork work = work_at(a, i);
        multiply<Type, RowTiles>(a, work, i == b);
        arrive(&a.counters[first_group_counter + work.group]);
    }
    for (int32_t i = b; i < work_count; i += blocks) {
        const TileWork work = work_at(a, i);
        await(&a.counters[first_group_counter + work.group], a.slices);
        reduce<Type, RowTiles>(a, work);
    }
    if (b < work_count) arrive(&a.counters[hidden_ready]);

    if (b < items2) await(&a.counters[hidden_ready], work_count < blocks ? work_count : blocks);
    for (int32_t i = b; i < items2; i += blocks) second_layer<Type>(a, i / state_tiles, i % state_tiles);
    finish(a, a.tiles2);
}

}  // namespace mara::kernel::cuda
