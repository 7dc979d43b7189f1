#include "kernel/cuda/plan.h"

#include <algorithm>
#include <cstring>

#include "kernel/numbers.h"

namespace mara::kernel::cuda {
namespace {

constexpr int32_t min_slice_units = 4;  // a unit for each of the four warps that share a chunk's depth
constexpr int32_t max_slices = 16;      // bounds the partial sums: 16 · 64 rows · H floats

float store_f32(std::byte* weights, size_t index, float value) {
    std::memcpy(weights + index * 4, &value, 4);
    return value;
}

template <uint16_t (*encode)(float), float (*decode)(uint16_t)>
float store_16_bits(std::byte* weights, size_t index, float value) {
    const uint16_t bits = encode(value);
    std::memcpy(weights + index * 2, &bits, 2);
    return decode(bits);
}

constexpr DeviceFormat formats[] = {
    {WeightType::f32, 4, 0, store_f32},
    {WeightType::f16, 2, 75, store_16_bits<float_to_f16, f16_to_float>},
    {WeightType::bf16, 2, 80, store_16_bits<float_to_bf16, bf16_to_float>},
};

constexpr int32_t divide_up(int32_t a, int32_t b) { return (a + b - 1) / b; }

// Weights (64 channels) and states (row tiles of 8) of one unit of 32 two-byte inputs.
constexpr size_t unit_bytes(int32_t row_tiles) {
    return static_cast<size_t>(group_channels + row_tiles * row_tile) * depth_unit * 2;
}

// Two slots in which warps hand each other their accumulators; they lie over the stages.
constexpr size_t reduction_bytes(int32_t row_tiles) { return static_cast<size_t>(row_tiles) * 4096; }

int32_t row_tiles_for(int32_t count) { return count <= 16 ? 2 : count <= 40 ? 5 : 8; }

struct Slices {
    int32_t count;
    int32_t units;
};

// As many slices as give every multiprocessor a block, evenly filled.
Slices slice(const Limits& limits, const LayerSizes& shape) {
    const int32_t wanted = std::clamp(limits.multiprocessors / shape.groups1(), 1, max_slices);
    const int32_t units = std::max(divide_up(shape.units1(), wanted), std::min(min_slice_units, shape.units1()));
    return {divide_up(shape.units1(), units), units};
}

}  // namespace

const DeviceFormat* find_device_format(WeightType type) {
    for (const DeviceFormat& format : formats)
        if (format.type == type) return &format;
    return nullptr;
}

bool has_mma(const Limits& limits, WeightType type) {
    const DeviceFormat* const format = find_device_format(type);
    return format != nullptr && format->mma_capability > 0 &&
           limits.major * 10 + limits.minor >= format->mma_capability;
}

WeightType preferred_type(const Limits& limits) {
    return has_mma(limits, WeightType::bf16) ? WeightType::bf16 : WeightType::f16;
}

bool supports(const Limits& limits, const LayerSizes& shape, WeightType type) {
    const auto fits = [](int32_t size, int32_t max) { return size >= 1 && size <= max; };
    return limits.major * 10 + limits.minor >= 75 && limits.multiprocessors >= 1 &&
           limits.shared_bytes >= (size_t{48} << 10) && fits(shape.width, max_width) &&
           fits(shape.hidden1, max_hidden) && fits(shape.hidden2, max_hidden) && find_device_format(type) != nullptr;
}

Plan make_plan(const Limits& limits, const LayerSizes& shape, WeightType type, int32_t count) {
    Plan plan{};
    plan.grid = limits.multiprocessors;
    if (count <= small_rows || !has_mma(limits, type)) {
        plan.path = Path::simt;
        plan.rows = count == 1 ? 1 : small_rows;
        plan.shared_bytes = shared_head_bytes + size_t{4096};
        return plan;
    }
    plan.path = Path::mma;
    plan.rows = row_tiles_for(count);
    const Slices slices = slice(limits, shape);
    plan.slices = slices.count;
    plan.slice_units = slices.units;
    // The whole slice at once if it fits: its weights then stream in while the states are being normalised. Else two
    // stages, and one where even two of the smallest are too large (7.5, more than 40 states).
    const auto available = static_cast<int32_t>((limits.shared_bytes - shared_head_bytes) / unit_bytes(plan.rows));
    const int32_t whole = divide_up(slices.units, 4) * 4;
    plan.stages = whole <= available || available < 2 * min_slice_units ? 1 : 2;
    plan.chunk_units = std::min(whole, available / plan.stages / 4 * 4);
    const size_t staged = static_cast<size_t>(plan.stages * plan.chunk_units) * unit_bytes(plan.rows);
    plan.shared_bytes = shared_head_bytes + std::max(staged, reduction_bytes(plan.rows) + 4096);
    return plan;
}

DeviceScratch scratch_for(const Limits& limits, const LayerSizes& shape, WeightType type) {
    const auto rows = static_cast<size_t>(max_rows);
    const size_t partials = has_mma(limits, type) ? static_cast<size_t>(slice(limits, shape).count) * shape.groups1() *
                                                        group_channels * rows
                                                  : 0;
    return {rows * shape.units1() * depth_unit * sizeof(float), partials * sizeof(float),
            rows * shape.units2() * depth_unit * sizeof(float), rows * shape.tiles2() * 2 * sizeof(float)};
}

}  // namespace mara::kernel::cuda
