// The portable variant: plain loops over the packed weights, float32 throughout. Every other variant is measured
// against it.
#include <cmath>
#include <cstring>

#include "kernel/numbers.h"
#include "kernel/operations.h"
#include "kernel/pack.h"

namespace mara::kernel {
namespace {

void moments(const float* row, int32_t inputs, float* mean, float* deviation_reciprocal) {
    double sum = 0;
    for (int32_t i = 0; i < inputs; ++i) sum += row[i];
    const double average = sum / inputs;
    double squares = 0;
    for (int32_t i = 0; i < inputs; ++i) squares += (row[i] - average) * (row[i] - average);
    *mean = static_cast<float>(average);
    *deviation_reciprocal = static_cast<float>(1.0 / std::sqrt(squares / inputs + 1e-5));
}

struct F32 {
    using Element = float;
    static float value(float element) { return element; }
};
struct F16 {
    using Element = uint16_t;
    static float value(uint16_t element) { return f16_to_float(element); }
};
struct Bf16 {
    using Element = uint16_t;
    static float value(uint16_t element) { return bf16_to_float(element); }
};
struct I8 {
    using Element = int8_t;
    static float value(int8_t element) { return element; }
};

template <class Type, int32_t group>
void multiply(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
              ptrdiff_t out_stride) {
    for (int32_t p = 0; p < panel_count; ++p) {
        const auto* panel = reinterpret_cast<const typename Type::Element*>(
            layer.weights + static_cast<size_t>(first + p) * layer.panel_bytes);
        const int32_t channel0 = (first + p) * panel_channels;
        for (int32_t r = 0; r < input.count; ++r) {
            const float* x = input.rows[r];
            float total[panel_channels] = {};
            for (int32_t start = 0; start < layer.inputs; start += depth_block) {
                const int32_t end = start + depth_block < layer.inputs ? start + depth_block : layer.inputs;
                float dot[panel_channels] = {};
                for (int32_t i = start; i < end; ++i) {
                    const typename Type::Element* weights =
                        panel + (static_cast<ptrdiff_t>(i / group) * panel_channels) * group + i % group;
                    for (int32_t c = 0; c < panel_channels; ++c) dot[c] += x[i] * Type::value(weights[c * group]);
                }
                for (int32_t c = 0; c < panel_channels; ++c) total[c] += dot[c];
            }
            for (int32_t c = 0; c < panel_channels; ++c) {
                const float y =
                    (total[c] - input.mean[r] * layer.sum[channel0 + c]) * (input.mul[r] * layer.scale[channel0 + c]) +
                    layer.bias[channel0 + c];
                out[r * out_stride + p * panel_channels + c] = y > 0 ? y : 0;
            }
        }
    }
}

}  // namespace

const Operations reference_f32{moments, nullptr, 0, multiply<F32, 1>, pack_panel<Scalar, codecs::F32>};
const Operations reference_f16{moments, nullptr, 0, multiply<F16, 1>, pack_panel<Scalar, codecs::F16>};
const Operations reference_bf16{moments, nullptr, 0, multiply<Bf16, 2>, pack_panel<Scalar, codecs::Bf16>};
const Operations reference_i8{moments, nullptr, 0, multiply<I8, 4>, pack_panel<Scalar, codecs::I8>};

}  // namespace mara::kernel
