// The bandwidth-bound path: up to four states, or weights without tensor cores (f32; bf16 on 7.5), four states at a
// time.
//
// A block multiplies 8 channels by all inputs, so nothing of the first layer has to be added up between blocks, and the
// weights are read once per group of states. A warp reads 512 contiguous bytes: 8 channels × 32 inputs of two bytes.
// LayerNorm is folded as in the CPU kernel, y = (x·W' − μ·ΣW')/σ + b', with moments and product from one read of x; to
// lose no digits where |μ| is far above σ, x is taken relative to the mean of its first inputs.
#pragma once

#include "kernel/cuda/finish.cuh"

namespace mara::kernel::cuda {

// One launch item: `Rows` states (the last one repeated where fewer are left) by 8 channels.
template <int Rows>
struct SimtItem {
    const float* x[Rows];
    int32_t first_row;
    int32_t channel0;
};

// The sums of one warp so far. A lane sums for its own channel, over its own eight inputs of every unit.
template <int Rows>
struct RowSums {
    float shift[Rows];
    float dot[Rows];
    float sum[Rows];
    float squares[Rows];
};

template <int Rows, bool Normalise>
MARA_DEVICE void add(RowSums<Rows>& sums, int r, const float (&x)[8], const float (&w)[8]) {
    MARA_UNROLL
    for (int i = 0; i < 8; ++i) {
        const float value = Normalise ? x[i] - sums.shift[r] : x[i];
        sums.dot[r] += value * w[i];
        if (Normalise) {
            sums.sum[r] += value;
            sums.squares[r] += value * value;
        }
    }
}

// This warp's units of 32 inputs. Loops without branches, so that many loads are under way.
template <class Type, int Rows, bool Normalise, bool Vectors>
MARA_DEVICE void accumulate(const SimtItem<Rows>& item, const typename Type::Element* weights, int32_t inputs,
                            RowSums<Rows>& sums) {
    constexpr int32_t step = tile_channels * depth_unit;
    const int32_t lane_input = thread_index() % 4 * 8, warp = thread_index() / 32, whole_units = inputs / depth_unit;
    const auto unit_sums = [&](int32_t unit) {
        float w[8], x[8];
        Type::unpack(weights + static_cast<int64_t>(unit) * step, w);
        MARA_UNROLL
        for (int r = 0; r < Rows; ++r) {
            const float* const from = item.x[r] + unit * depth_unit + lane_input;
            if (Vectors) {
                F32::unpack(from, x);
            } else {
                MARA_UNROLL
                for (int i = 0; i < 8; ++i) x[i] = from[i];
            }
            add<Rows, Normalise>(sums, r, x, w);
        }
    };
    int32_t unit = warp;
    if (Rows == 1) {
        MARA_UNROLL_8
        for (; unit < whole_units; unit += block_warps) unit_sums(unit);
    } else {
        MARA_UNROLL_4
        for (; unit < whole_units; unit += block_warps) unit_sums(unit);
    }
    if (unit * depth_unit >= inputs) return;
    float w[8], x[8];  // the last unit, where the inputs end within it
    Type::unpack(weights + static_cast<int64_t>(unit) * step, w);
    const int32_t input = unit * depth_unit + lane_input;
    MARA_UNROLL
    for (int r = 0; r < Rows; ++r) {
        MARA_UNROLL
        for (int i = 0; i < 8; ++i) x[i] = input + i < inputs ? item.x[r][input + i] : sums.shift[r];
        add<Rows, Normalise>(sums, r, x, w);
    }
}

// Products of one item, complete, in thread 8·row + channel. With `Normalise`, `mean` (relative to the shift) and
// `deviation` of that row as well, and whether it is finite.
template <class Type, int Rows, bool Normalise>
MARA_DEVICE float multiply_item(const SimtItem<Rows>& item, const void* layer, int32_t units, int32_t inputs,
                                bool vectors, float& mean, float& deviation_reciprocal, bool& valid) {
    constexpr int columns = simt_channels + 2;
    auto* const parts =
        reinterpret_cast<float*>(shared_memory() + shared_head_bytes);  // [warps][Rows][8 channels, sum, squares]
    const int32_t t = thread_index(), lane = t % 32, warp = t / 32;
    RowSums<Rows> sums{};
    if (Normalise) {
        const int32_t some = inputs < 32 ? inputs : 32;
        MARA_UNROLL
        for (int r = 0; r < Rows; ++r)
            sums.shift[r] = warp_sum(lane < some ? item.x[r][lane] : 0.0f) / static_cast<float>(some);
    }
    const int32_t channel = item.channel0 + lane / 4;
    const auto* const weights =
        static_cast<const typename Type::Element*>(layer) +
        (static_cast<int64_t>(channel / tile_channels) * units * tile_channels + channel % tile_channels) * depth_unit +
        lane % 4 * 8;
    if (vectors)
        accumulate<Type, Rows, Normalise, true>(item, weights, inputs, sums);
    else
        accumulate<Type, Rows, Normalise, false>(item, weights, inputs, sums);
    MARA_UNROLL
    for (int r = 0; r < Rows; ++r) {
        MARA_UNROLL
        for (int32_t mask = 1; mask <= 2; mask <<= 1) {
            sums.dot[r] += shuffle_xor(sums.dot[r], mask);
            if (Normalise) {
                sums.sum[r] += shuffle_xor(sums.sum[r], mask);
                sums.squares[r] += shuffle_xor(sums.squares[r], mask);
            }
        }
        float* const part = parts + (warp * Rows + r) * columns;
        if (lane % 4 == 0) part[lane / 4] = sums.dot[r];
        if (Normalise && lane == 0) {
            part[simt_channels] = sums.sum[r];
            part[simt_channels + 1] = sums.squares[r];
        }
    }
    block_sync();
    float total = 0;
    if (t < simt_channels * Rows) {
        float sum = 0, squares = 0;
        MARA_UNROLL
        for (int32_t w = 0; w < block_warps; ++w) {
            const float* const part = parts + (w * Rows + t / simt_channels) * columns;
            total += part[t % simt_channels];
            if (Normalise) {
                sum += part[simt_channels];
                squares += part[simt_channels + 1];
            }
        }
        if (Normalise) {
            mean = sum / static_cast<float>(inputs);
            const float variance = squares / static_cast<float>(inputs) - mean * mean;
            deviation_reciprocal = 1.0f / sqrtf((variance > 0 ? variance : 0.0f) + 1e-5f);
            valid = is_finite(sum) && is_finite(squares);
        }
    }
    return total;
}

// Copies the rows into `a.states`, so that rows in host memory cross the bus once and not once per block.
MARA_DEVICE void stage_rows(const Arguments& a) {
    auto* const states = static_cast<float*>(a.states);
    for (int32_t row = block_index(); row < a.count; row += block_count()) {
        const float* const from = a.base + a.rows[row] * a.row_stride;
        float* const to = states + static_cast<int64_t>(row) * a.units1 * depth_unit;
        // Unrolled: so many reads are under way on the bus at once.
        MARA_UNROLL_8
        for (int32_t i = thread_index(); i < a.width; i += block_threads) to[i] = from[i];
    }
}

template <int Rows>
MARA_DEVICE SimtItem<Rows> item_at(int32_t index, int32_t blocks_of_channels) {
    return {{}, index / blocks_of_channels * Rows, index % blocks_of_channels * simt_channels};
}

template <class Type, int Rows>
MARA_DEVICE void fused_simt(const Arguments& a) {
    const int32_t t = thread_index();
    const int32_t row_groups = (a.count + Rows - 1) / Rows;
    const int32_t channel_blocks1 = a.groups1 * (group_channels / simt_channels);
    const int32_t channel_blocks2 = a.tiles2 * (tile_channels / simt_channels);
    const int32_t hidden_stride = a.units2 * depth_unit;
    auto* const hidden = static_cast<float*>(a.hidden);
    prefetch_second_layer<Type>(a);
    if (a.staged != 0) {
        stage_rows(a);
        arrive(&a.counters[states_ready]);
        await(&a.counters[states_ready], block_count());
    }

    for (int32_t i = block_index(); i < row_groups * channel_blocks1; i += block_count()) {
        SimtItem<Rows> item = item_at<Rows>(i, channel_blocks1);
        MARA_UNROLL
        for (int r = 0; r < Rows; ++r) {
            const int32_t row = item.first_row + r < a.count ? item.first_row + r : a.count - 1;
            item.x[r] = a.staged != 0
                            ? static_cast<const float*>(a.states) + static_cast<int64_t>(row) * a.units1 * depth_unit
                            : a.base + a.rows[row] * a.row_stride;
        }
        float mean = 0, deviation_reciprocal = 0;
        bool valid = false;
        const float dot = multiply_item<Type, Rows, true>(item, a.weights1, a.units1, a.width, a.vectors != 0, mean,
                                                          deviation_reciprocal, valid);
        const int32_t row = item.first_row + t / simt_channels;
        if (t < simt_channels * Rows && row < a.count) {
            const int32_t channel = item.channel0 + t % simt_channels;
            const float y = (dot - mean * a.sum1[channel]) * deviation_reciprocal + a.bias1[channel];
            hidden[static_cast<int64_t>(row) * hidden_stride + channel] = y > 0 ? y : 0.0f;
            if (channel == 0) a.valid[row] = valid ? 1 : 0;
        }
        block_sync();
    }
    arrive(&a.counters[hidden_ready]);

    const int32_t items2 = row_groups * channel_blocks2;
    if (block_index() < items2) await(&a.counters[hidden_ready], block_count());
    for (int32_t i = block_index(); i < items2; i += block_count()) {
        SimtItem<Rows> item = item_at<Rows>(i, channel_blocks2);
        MARA_UNROLL
        for (int r = 0; r < Rows; ++r) {
            const int32_t row = item.first_row + r < a.count ? item.first_row + r : a.count - 1;
            item.x[r] = hidden + static_cast<int64_t>(row) * hidden_stride;
        }
        float unused_mean, unused_deviation;
        bool unused_valid;
        const float dot = multiply_item<Type, Rows, false>(item, a.weights2, a.units2, hidden_stride, true, unused_mean,
                                                           unused_deviation, unused_valid);
        if (t < 32) {  // 8 · Rows of these lanes hold a product; a state's 8 channels are added by shuffles
            const int32_t channel = item.channel0 + t % simt_channels;
            const float y = dot + a.bias2[channel];
            float part = y > 0 ? y * a.head[channel] : 0.0f;
            MARA_UNROLL
            for (int32_t mask = 1; mask < simt_channels; mask <<= 1) part += shuffle_xor(part, mask);
            const int32_t row = item.first_row + t / simt_channels;
            if (t < simt_channels * Rows && t % simt_channels == 0 && row < a.count)
                a.head_parts[item.channel0 / simt_channels * max_rows + row] = part;
        }
        block_sync();
    }
    finish(a, channel_blocks2);
}

}  // namespace mara::kernel::cuda
