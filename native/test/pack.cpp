// Packed weights of every variant, bit for bit against plain loops over one weight after the other.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "check.h"
#include "items.h"
#include "kernel/network.h"
#include "kernel/numbers.h"
#include "kernel/weight_types.h"
#include "model.h"

namespace {

using namespace mara::test;
namespace kernel = mara::kernel;
using kernel::ItemType;
using kernel::Matrix;

// A layer's weights in the items of a file, with the strides of one order.
struct Items {
    std::vector<std::byte> bytes;
    Matrix matrix;
    Floats values;  // [rows][columns], as they are read
};

Items items_of(int32_t rows, int32_t columns, ItemType type, ptrdiff_t row_stride, ptrdiff_t column_stride,
               uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 0.3f);
    Items out;
    const size_t size = kernel::item_size(type);
    out.bytes.resize(1 + size * static_cast<size_t>((rows - 1) * row_stride + (columns - 1) * column_stride + 1));
    out.matrix = {out.bytes.data() + 1, type, row_stride, column_stride};
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t c = 0; c < columns; ++c) {
            // Of all magnitudes, so that some are beyond f16's range and some subnormal there, and zeros of both signs.
            const int exponent = static_cast<int>(random() % 60) - 35;
            float value = random() % 4 == 0 ? std::ldexp(normal(random), exponent) : normal(random);
            if (random() % 16 == 0) value = random() % 2 == 0 ? 0.0f : -0.0f;
            const ptrdiff_t at = (r * row_stride + c * column_stride) * static_cast<ptrdiff_t>(size);
            out.values.push_back(store_item(type, value, out.bytes.data() + 1 + at));
        }
    return out;
}

// The bits of a weight and what they stand for.
float encode(kernel::WeightType type, float value, uint32_t& bits) {
    switch (type) {
        case kernel::WeightType::f32:
            std::memcpy(&bits, &value, sizeof bits);
            return value;
        case kernel::WeightType::f16:
            bits = kernel::float_to_f16(value);
            return kernel::f16_to_float(static_cast<uint16_t>(bits));
        case kernel::WeightType::bf16:
            bits = kernel::float_to_bf16(value);
            return kernel::bf16_to_float(static_cast<uint16_t>(bits));
        default:
            bits = static_cast<uint32_t>(std::lrintf(value)) & 0xffu;
            return std::rint(value);
    }
}

void compare(const kernel::Layer& layer, const kernel::WeightFormat& format, const Floats& values, const float* gain,
             const float* shift, const float* given_bias, const char* variant) {
    const auto bytes = static_cast<size_t>(format.bits / 8);
    std::vector<std::byte> wanted(static_cast<size_t>(layer.panels) * layer.panel_bytes);
    const int32_t channels = layer.panels * kernel::panel_channels;
    for (int32_t c = 0; c < channels; ++c) {
        const bool is_real = c < layer.outputs;
        const float* const row = is_real ? values.data() + static_cast<size_t>(c) * layer.inputs : nullptr;
        const auto weight = [&](int32_t i) { return gain == nullptr ? row[i] : row[i] * gain[i]; };
        float largest = 0, unit = is_real ? 1.0f : 0.0f;
        for (int32_t i = 0; is_real && i < layer.inputs; ++i) largest = std::max(largest, std::fabs(weight(i)));
        if (format.max_code > 0 && largest > 0) unit = largest / static_cast<float>(format.max_code);
        double total = 0, offset = is_real ? given_bias[c] : 0;
        for (int32_t i = 0; is_real && i < layer.inputs; ++i) {
            uint32_t bits = 0;
            total += encode(format.type, format.max_code > 0 ? weight(i) / unit : weight(i), bits);
            offset += row[i] * (shift == nullptr ? 0.0 : static_cast<double>(shift[i]));
            const size_t lane = static_cast<size_t>(i / format.group) * kernel::panel_channels +
                                static_cast<size_t>(c % kernel::panel_channels);
            const size_t at =
                static_cast<size_t>(c / kernel::panel_channels) * layer.panel_bytes +
                (lane * static_cast<size_t>(format.group) + static_cast<size_t>(i % format.group)) * bytes;
            std::memcpy(wanted.data() + at, &bits, bytes);
        }
        CHECK(layer.scale[c] == unit && layer.sum[c] == static_cast<float>(total) &&
                  layer.bias[c] == static_cast<float>(offset),
              "%s, %s, channel %d: %g %g %g", variant, format.name, c, static_cast<double>(layer.scale[c]),
              static_cast<double>(layer.sum[c]), static_cast<double>(layer.bias[c]));
        CHECK(layer.code_sum == nullptr || layer.code_sum[c] == static_cast<int32_t>(total), "%s, code sum %d", variant,
              c);
    }
    CHECK(std::memcmp(wanted.data(), layer.weights, wanted.size()) == 0, "%s, %s: %d × %d weights differ", variant,
          format.name, layer.outputs, layer.inputs);
}

// Every variant and type, from every format of files and in every order, of sizes around those of blocks and panels.
void every_way() {
    constexpr Shape shapes[] = {{1, 1, 1}, {64, 16, 16}, {131, 37, 17}, {4100, 65, 3}};
    constexpr ItemType sources[] = {ItemType::f32, ItemType::f16, ItemType::bf16, ItemType::f64};
    uint32_t seed = 1;
    for (const Shape& shape : shapes)
        for (const ItemType source : sources)
            for (int order = 0; order < 3; ++order) {
                // Large enough that several threads pack it, for which one case will do.
                if (shape.width > 1000 && (source != ItemType::f16 || order != 0)) continue;
                const Model model(shape, ++seed);
                const auto layer = [&](int32_t rows, int32_t columns) {
                    if (order == 0) return items_of(rows, columns, source, columns, 1, ++seed);
                    if (order == 1) return items_of(rows, columns, source, 1, rows, ++seed);
                    return items_of(rows, columns, source, 2 * columns + 1, 2, ++seed);
                };
                const Items w1 = layer(shape.hidden1, shape.width), w2 = layer(shape.hidden2, shape.hidden1);
                kernel::NetworkWeights weights = model.weights();
                weights.w1 = w1.matrix;
                weights.w2 = w2.matrix;
                for (const char* variant : variant_names())
                    for (const kernel::WeightType type : all_types) {
                        const kernel::WeightFormat& format = *kernel::find_format(type);
                        kernel::PackedNetwork packed;
                        CHECK(kernel::pack_network(weights, format, *kernel::find_variant(variant), packed) ==
                                  kernel::Status::ok,
                              "%s refuses", variant);
                        compare(packed.layer1, format, w1.values, model.ln_weight.data(), model.ln_bias.data(),
                                model.b1.data(), variant);
                        compare(packed.layer2, format, w2.values, nullptr, nullptr, model.b2.data(), variant);
                    }
            }
}

// One weight that is not finite, anywhere, is found by every variant.
void not_finite() {
    constexpr Shape shape{131, 37, 17};
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF})
        for (const size_t at : {size_t{0}, size_t{130}, size_t{131 * 36 + 64}, size_t{131 * 37 - 1}})
            for (const char* variant : variant_names())
                for (const kernel::WeightType type : all_types) {
                    Model model(shape, 3);
                    model.w1[at] = bad;
                    CHECK(make_network(model, type, variant) == nullptr, "%s packs %g", variant,
                          static_cast<double>(bad));
                }
}

}  // namespace

int main() {
    every_way();
    not_finite();
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
