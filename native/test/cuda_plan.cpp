// The CUDA kernel's launch parameters for every (K, D, type, architecture), and the layout of its packed weights.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "check.h"
#include "kernel/cuda/layout.h"
#include "kernel/cuda/plan.h"
#include "kernel/numbers.h"
#include "model.h"

namespace {

using namespace mara::test;
using namespace mara::kernel::cuda;
using mara::kernel::WeightType;
using Shape = mara::kernel::cuda::LayerSizes;

struct Device {
    const char* name;
    Limits limits;
    size_t multiprocessor_shared;  // CUDA programming guide, "technical specifications per compute capability"
    int32_t registers = 65536;
};

constexpr size_t operator""_KiB(unsigned long long count) { return static_cast<size_t>(count) << 10; }

// One small and one large of each compiled architecture.
const Device devices[] = {
    {"T4", {7, 5, 40, 64_KiB}, 64_KiB},        {"RTX 2060", {7, 5, 30, 64_KiB}, 64_KiB},
    {"A100", {8, 0, 108, 163_KiB}, 164_KiB},   {"A30", {8, 0, 56, 163_KiB}, 164_KiB},
    {"RTX 3050", {8, 6, 16, 99_KiB}, 100_KiB}, {"A40", {8, 6, 84, 99_KiB}, 100_KiB},
    {"RTX 4060", {8, 9, 24, 99_KiB}, 100_KiB}, {"L40S", {8, 9, 142, 99_KiB}, 100_KiB},
    {"H100", {9, 0, 132, 227_KiB}, 228_KiB},   {"H100 slice", {9, 0, 16, 227_KiB}, 228_KiB},
    {"B200", {10, 0, 148, 227_KiB}, 228_KiB},  {"RTX 5090", {12, 0, 170, 99_KiB}, 100_KiB},
};
const int32_t widths[] = {1, 64, 160, 576, 2048, 3072, 4096, 5120, 8192};
const mara::test::Shape hidden_sizes[] = {{0, 1, 1}, {0, 1024, 256}, {0, 8192, 2048}};

void check_plan(const Device& device, const Shape& shape, WeightType type, int32_t count) {
    const Plan plan = make_plan(device.limits, shape, type, count);
    const auto label = [&] {
        return std::printf("  %s D=%d H=%d type %d K=%d\n", device.name, shape.width, shape.hidden1,
                           static_cast<int>(type), count);
    };
    const int before = failures;
    CHECK((plan.path == Path::mma) == (count > small_rows && has_mma(device.limits, type)), "path %d",
          static_cast<int>(plan.path));
    CHECK(plan.grid == device.limits.multiprocessors, "grid %d", plan.grid);
    // One block per multiprocessor is resident whatever else: __launch_bounds__(256, 1) keeps registers within 255 per
    // thread.
    CHECK(plan.shared_bytes <= device.limits.shared_bytes, "%zu bytes of shared memory", plan.shared_bytes);
    CHECK(plan.shared_bytes + 1024 <= device.multiprocessor_shared,
          "no block fits a multiprocessor");  // 1 KiB is the system's
    CHECK(block_threads * 255 <= device.registers, "registers");
    if (plan.path == Path::simt) {
        CHECK(plan.rows == (count == 1 ? 1 : small_rows), "%d rows", plan.rows);
        CHECK(plan.shared_bytes >= shared_head_bytes + block_warps * plan.rows * (simt_channels + 2) * sizeof(float),
              "shared");
    } else {
        CHECK(plan.rows * row_tile >= count, "%d row tiles", plan.rows);
        CHECK(plan.slices >= 1 && (plan.slices - 1) * plan.slice_units < shape.units1() &&
                  plan.slices * plan.slice_units >= shape.units1(),
              "%d slices of %d", plan.slices, plan.slice_units);
        CHECK(plan.slices == 1 || plan.slices * shape.groups1() <= plan.grid, "slices beyond the grid");
        CHECK(plan.stages == 1 || plan.stages == 2, "%d stages", plan.stages);
        CHECK(plan.chunk_units >= 4 && plan.chunk_units % 4 == 0, "chunks of %d", plan.chunk_units);
        const size_t stages = static_cast<size_t>(plan.stages * plan.chunk_units) *
                              (group_channels + plan.rows * row_tile) * depth_unit * 2;
        const size_t reduction = static_cast<size_t>(2 * 2 * 8 * plan.rows * 32) * sizeof(float);
        const size_t second = (block_warps * 128 + row_tile * tile_channels) * sizeof(float);
        CHECK(plan.shared_bytes >= shared_head_bytes + std::max({stages, reduction, second}),
              "%zu bytes do not hold the stages", plan.shared_bytes);
        const DeviceScratch scratch = scratch_for(device.limits, shape, type);
        const auto rows = static_cast<size_t>(plan.rows * row_tile);
        CHECK(scratch.states >= rows * shape.units1() * depth_unit * 2, "states");
        CHECK(scratch.partials >= static_cast<size_t>(plan.slices) * shape.groups1() * group_channels * rows * 4,
              "partials");
        CHECK(scratch.hidden >= rows * shape.units2() * depth_unit * 2, "hidden");
        CHECK(scratch.head_parts >= static_cast<size_t>(shape.tiles2()) * max_rows * 4, "head parts");
        // The order of the sums over a state must not depend on the other states.
        const Plan other = make_plan(device.limits, shape, type, small_rows + 1);
        CHECK(other.slices == plan.slices && other.slice_units == plan.slice_units, "slices depend on K");
    }
    if (failures > before) label();
}

void check_plans() {
    int32_t plans = 0;
    for (const Device& device : devices)
        for (const int32_t width : widths)
            for (const mara::test::Shape& hidden : hidden_sizes)
                for (const WeightType type : {WeightType::f32, WeightType::f16, WeightType::bf16}) {
                    const Shape shape{width, hidden.hidden1, hidden.hidden2};
                    CHECK(supports(device.limits, shape, type), "%s refuses D=%d", device.name, width);
                    for (int32_t count = 1; count <= max_rows; ++count, ++plans) check_plan(device, shape, type, count);
                }
    std::printf("  %d plans\n", plans);
    const Limits h100 = devices[8].limits;
    const Plan target = make_plan(h100, {4096, 1024, 256}, WeightType::bf16, 40);
    CHECK(target.slices == 8 && target.slice_units == 16 && target.stages == 1 && target.chunk_units == 16,
          "the H100's plan is %d slices of %d, %d stages of %d", target.slices, target.slice_units, target.stages,
          target.chunk_units);
    CHECK(preferred_type(h100) == WeightType::bf16 && preferred_type(devices[0].limits) == WeightType::f16,
          "preferred types");
    CHECK(!has_mma(devices[0].limits, WeightType::bf16) && !has_mma(h100, WeightType::f32), "tensor cores");
    CHECK(!supports({7, 0, 80, 96_KiB}, {64, 64, 16}, WeightType::f16), "7.0 has no code in the build");
    CHECK(!supports(h100, {8193, 1024, 256}, WeightType::bf16) && !supports(h100, {64, 64, 16}, WeightType::i8) &&
              !supports(h100, {64, 64, 16}, static_cast<WeightType>(9)),
          "what is not supported");
}

float element(const Packed& packed, size_t offset, size_t index) {
    const std::byte* const from = packed.memory.data() + offset;
    if (packed.type == WeightType::f32) {
        float value;
        std::memcpy(&value, from + index * 4, 4);
        return value;
    }
    uint16_t bits;
    std::memcpy(&bits, from + index * 2, 2);
    return packed.type == WeightType::f16 ? mara::kernel::f16_to_float(bits) : mara::kernel::bf16_to_float(bits);
}

// [channels / 16][inputs / 32][16][32], spelt out; zero outside of the network.
void check_layer(const Packed& packed, size_t offset, int32_t channels, int32_t units, int32_t real_channels,
                 int32_t real_inputs, const std::function<float(int32_t, int32_t)>& wanted) {
    size_t index = 0;
    for (int32_t tile = 0; tile < channels / 16; ++tile)
        for (int32_t unit = 0; unit < units; ++unit)
            for (int32_t c = tile * 16; c < tile * 16 + 16; ++c)
                for (int32_t i = unit * 32; i < unit * 32 + 32; ++i, ++index) {
                    const bool real = c < real_channels && i < real_inputs;
                    const float want = real ? wanted(c, i) : 0.0f, got = element(packed, offset, index);
                    const float room = packed.type == WeightType::f32   ? 0
                                       : packed.type == WeightType::f16 ? 0x1p-11f
                                                                        : 0x1p-8f;
                    CHECK(real ? std::fabs(got - want) <= std::fabs(want) * room + 0x1p-25f : got == 0,
                          "channel %d input %d: %g, not %g", c, i, static_cast<double>(got), static_cast<double>(want));
                }
}

void check_layout() {
    for (const mara::test::Shape& s : {mara::test::Shape{1, 1, 1}, {33, 65, 17}, {100, 129, 31}, {64, 64, 16}})
        for (const WeightType type : {WeightType::f32, WeightType::f16, WeightType::bf16}) {
            const Model model(s, 7);
            const Packed packed = pack(model.weights(), *find_device_format(type));
            const Shape& shape = packed.shape;
            CHECK(packed.memory.size() == packed.offsets.bytes, "bytes");
            for (const size_t offset : {packed.offsets.weights2, packed.offsets.bias1, packed.offsets.sum1,
                                        packed.offsets.bias2, packed.offsets.head})
                CHECK(offset % 256 == 0 && offset < packed.offsets.bytes, "offset %zu", offset);
            const auto d = static_cast<size_t>(s.width), h = static_cast<size_t>(s.hidden1);
            check_layer(packed, packed.offsets.weights1, shape.groups1() * 64, shape.units1(), s.hidden1, s.width,
                        [&](int32_t c, int32_t i) {
                            return model.w1[static_cast<size_t>(c) * d + static_cast<size_t>(i)] *
                                   model.ln_weight[static_cast<size_t>(i)];
                        });
            check_layer(
                packed, packed.offsets.weights2, shape.tiles2() * 16, shape.units2(), s.hidden2, s.hidden1,
                [&](int32_t c, int32_t i) { return model.w2[static_cast<size_t>(c) * h + static_cast<size_t>(i)]; });
            const auto* const sum1 = reinterpret_cast<const float*>(packed.memory.data() + packed.offsets.sum1);
            const auto* const bias1 = reinterpret_cast<const float*>(packed.memory.data() + packed.offsets.bias1);
            for (int32_t c = 0; c < s.hidden1; ++c) {
                double sum = 0, bias = model.b1[static_cast<size_t>(c)];
                for (int32_t i = 0; i < s.width; ++i) {
                    sum +=
                        static_cast<double>(element(packed, packed.offsets.weights1, element_at(shape.units1(), c, i)));
                    bias += static_cast<double>(model.w1[static_cast<size_t>(c) * d + static_cast<size_t>(i)]) *
                            model.ln_bias[static_cast<size_t>(i)];
                }
                CHECK(std::fabs(sum1[c] - sum) < 1e-5 && std::fabs(bias1[c] - bias) < 1e-5,
                      "channel %d: sum %g bias %g", c, static_cast<double>(sum1[c]), static_cast<double>(bias1[c]));
            }
            CHECK(packed.hidden_scale == 1, "scale %g", static_cast<double>(packed.hidden_scale));
        }
    // Weights so large that the hidden layer could leave f16's range are met by a power of two.
    Model huge({64, 64, 16}, 7);
    for (float& weight : huge.w1) weight *= 30000;
    const Packed packed = pack(huge.weights(), *find_device_format(WeightType::f16));
    int exponent = 0;
    CHECK(packed.hidden_scale < 1 && std::frexp(packed.hidden_scale, &exponent) == 0.5f, "scale %g",
          static_cast<double>(packed.hidden_scale));
    CHECK(pack(huge.weights(), *find_device_format(WeightType::bf16)).hidden_scale == 1, "bf16 needs no scale");
}

}  // namespace

int main() {
    check_plans();
    check_layout();
    std::printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
