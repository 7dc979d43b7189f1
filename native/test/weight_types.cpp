// The table of weight types: every variant of this machine has every type, a missing one is refused, and a type of
// four bits can be added.
#include "kernel/weight_types.h"

#include <cstring>

#include "check.h"
#include "kernel/network.h"
#include "kernel/operations.h"
#include "kernel/pack.h"
#include "model.h"

namespace {

using namespace mara::test;
namespace kernel = mara::kernel;
using kernel::WeightType;

void table() {
    WeightType types[8];
    const int32_t count = kernel::weight_types(types, 8);
    CHECK(count == 4, "%d types", count);
    for (int32_t t = 0; t < count; ++t) {
        const kernel::WeightFormat& format = *kernel::find_format(types[t]);
        WeightType named{};
        CHECK(kernel::find_weight_type(format.name, named) && named == types[t], "%s is not found", format.name);
        CHECK(std::strcmp(kernel::weight_type_name(types[t]), format.name) == 0, "%s", format.name);
        CHECK(format.bits * format.group % 8 == 0 && format.depth_unit % format.group == 0, "%s", format.name);
        for (const char* variant : variant_names())
            CHECK(kernel::find_operations(format, variant) != nullptr, "%s lacks %s", variant, format.name);
    }
    WeightType untouched = WeightType::bf16;
    CHECK(!kernel::find_weight_type("f64", untouched) && untouched == WeightType::bf16, "f64 is a type");
    CHECK(kernel::find_format(static_cast<WeightType>(9)) == nullptr, "type 9");
}

void missing() {
    const Model model({20, 16, 4}, 1);
    kernel::Network* network = nullptr;
    CHECK(kernel::network_create(model.weights(), static_cast<WeightType>(9), nullptr, &network) ==
                  kernel::Status::unsupported_type &&
              network == nullptr,
          "an unknown type");
    constexpr kernel::Variant bare{"bare", [] { return true; }, WeightType::f32};
    kernel::PackedNetwork packed;
    for (const WeightType type : all_types)
        CHECK(kernel::pack_network(model.weights(), *kernel::find_format(type), bare, packed) ==
                  kernel::Status::unsupported_type,
              "a variant without types packed %s", kernel::weight_type_name(type));
}

// Codes from −7 to 7, two to a byte.
struct I4 {
    using Word = uint32_t;
    static constexpr int32_t group = 8, max_code = 7;
    static Word encode(float value) { return kernel::round_to_integer(value) & 15u; }
    static float decode(Word bits) { return static_cast<float>(static_cast<int32_t>(bits << 28) >> 28); }
};

void multiply_i4(const kernel::Layer& layer, const kernel::Activations& input, int32_t first, int32_t panel_count,
                 float* out, ptrdiff_t out_stride) {
    for (int32_t r = 0; r < input.count; ++r)
        for (int32_t c = 0; c < panel_count * kernel::panel_channels; ++c) {
            const int32_t channel = first * kernel::panel_channels + c;
            const std::byte* const panel =
                layer.weights + static_cast<size_t>(channel / kernel::panel_channels) * layer.panel_bytes;
            double dot = 0;
            for (int32_t i = 0; i < layer.inputs; ++i) {
                const int32_t at = (i / I4::group * kernel::panel_channels + channel % kernel::panel_channels) * 4;
                const int32_t code = static_cast<int32_t>(panel[at + i % 8 / 2] >> i % 2 * 4) & 15;
                dot += static_cast<double>(input.rows[r][i]) * (code < 8 ? code : code - 16);
            }
            const double y =
                (dot - input.mean[r] * static_cast<double>(layer.sum[channel])) * input.mul[r] * layer.scale[channel] +
                layer.bias[channel];
            out[r * out_stride + c] = y > 0 ? static_cast<float>(y) : 0;
        }
}

// A row of weights as the four bits should store it.
void round_to_codes(const float* gain, int32_t inputs, float* row) {
    float largest = 0;
    for (int32_t i = 0; i < inputs; ++i)
        largest = std::max(largest, std::fabs(gain == nullptr ? row[i] : row[i] * gain[i]));
    const float unit = largest / I4::max_code;
    for (int32_t i = 0; i < inputs; ++i) {
        const float weight = gain == nullptr ? row[i] : row[i] * gain[i];
        row[i] = std::rint(weight / unit) * unit / (gain == nullptr ? 1 : gain[i]);
    }
}

void four_bits() {
    const kernel::Operations operations{kernel::reference_f32.moments, nullptr, 0, multiply_i4,
                                        kernel::pack_panel<kernel::Scalar, I4>};
    const kernel::Implementation implementations[] = {{"reference", &operations}};
    const kernel::WeightFormat format =
        kernel::make_format<I4>(static_cast<WeightType>(9), "int4", I4::group, implementations);
    CHECK(format.bits == 4 && format.panel_bytes(16) == 128, "%d bits", format.bits);
    const Model model({100, 37, 19}, 5);
    const int32_t count = 9;
    const Floats states = random_states(static_cast<size_t>(count) * 100, 6);
    kernel::Network network;
    CHECK(kernel::pack_network(model.weights(), format, *kernel::find_variant("reference"), network.packed) ==
              kernel::Status::ok,
          "packing");
    CHECK(network.packed.bytes < 100 * 48 / 2 * 2, "%zu bytes", network.packed.bytes);

    Model rounded = model;
    for (int32_t c = 0; c < 37; ++c) round_to_codes(model.ln_weight.data(), 100, rounded.w1.data() + c * 100);
    for (int32_t c = 0; c < 19; ++c) round_to_codes(nullptr, 37, rounded.w2.data() + c * 37);
    // LayerNorm's shift meets the weights before they are rounded.
    for (size_t c = 0; c < 37; ++c)
        for (size_t i = 0; i < 100; ++i)
            rounded.b1[c] += (model.w1[c * 100 + i] - rounded.w1[c * 100 + i]) * model.ln_bias[i];
    const kernel::Network* const networks[] = {&network};
    Floats out(static_cast<size_t>(count));
    kernel::score(networks, 1, states.data(), 100, nullptr, count, out.data(), make_pool(1).get(), 1);
    for (int32_t r = 0; r < count; ++r) {
        const double wanted = rounded.probability(states.data() + r * 100);
        const double got = out[static_cast<size_t>(r)];
        CHECK(std::fabs(got - wanted) < 1e-5, "state %d: %.7f instead of %.7f", r, got, wanted);
    }
}

}  // namespace

int main() {
    table();
    missing();
    four_bits();
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
