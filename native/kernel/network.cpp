// Packing: float32 weights from an agent file into panels, with LayerNorm's affine folded into the first layer.
//   LN(x)·Wᵀ + b = ((x − μ)/σ)·(W·diag(g))ᵀ + (b + W·β)
#include <cmath>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernel/arena.h"
#include "kernel/layer.h"
#include "kernel/numbers.h"

namespace mara::kernel {
namespace {

constexpr size_t huge_page = size_t{1} << 21;

struct Source {
    const float* weights;  // [outputs][inputs]
    const float* gain;     // [inputs] or nullptr
    const float* shift;    // [inputs] or nullptr
    const float* bias;     // [outputs]
};

void store(std::byte* where, WeightType type, float value) {
    switch (type) {
        case WeightType::f32:
            std::memcpy(where, &value, 4);
            break;
        case WeightType::f16: {
            const uint16_t bits = float_to_f16(value);
            std::memcpy(where, &bits, 2);
            break;
        }
        case WeightType::bf16: {
            const uint16_t bits = float_to_bf16(value);
            std::memcpy(where, &bits, 2);
            break;
        }
        case WeightType::i8: {
            const auto code = static_cast<int8_t>(std::lrintf(value));
            std::memcpy(where, &code, 1);
            break;
        }
    }
}

float stored(const std::byte* where, WeightType type) {
    if (type == WeightType::f32) {
        float value;
        std::memcpy(&value, where, 4);
        return value;
    }
    if (type == WeightType::i8) return static_cast<float>(static_cast<int8_t>(*where));
    uint16_t bits;
    std::memcpy(&bits, where, 2);
    return type == WeightType::f16 ? f16_to_float(bits) : bf16_to_float(bits);
}

// Lays the layer out in `arena` and, if that has memory, fills it.
Layer pack(Arena& arena, WeightType type, int32_t inputs, int32_t outputs, const Source& source) {
    Layer layer{};
    layer.inputs = inputs;
    layer.outputs = outputs;
    layer.panels = (outputs + panel_channels - 1) / panel_channels;
    layer.depth = depth_of(type, inputs);
    layer.panel_bytes = round_to_line(static_cast<size_t>(layer.depth) * panel_channels * size_of(type));
    const size_t channels = static_cast<size_t>(layer.panels) * panel_channels;
    auto* weights = arena.take<std::byte>(layer.panels * layer.panel_bytes);
    auto* scale = arena.take<float>(channels);
    auto* sum = arena.take<float>(channels);
    auto* bias = arena.take<float>(channels);
    auto* code_sum = type == WeightType::i8 ? arena.take<int32_t>(channels) : nullptr;
    layer.weights = weights;
    layer.scale = scale;
    layer.sum = sum;
    layer.bias = bias;
    layer.code_sum = code_sum;
    if (arena.base == nullptr) return layer;

    const int32_t group = group_of(type);
    const int32_t size = size_of(type);
    for (int32_t c = 0; c < outputs; ++c) {
        const float* row = source.weights + static_cast<ptrdiff_t>(c) * inputs;
        const auto folded = [&](int32_t i) { return source.gain == nullptr ? row[i] : row[i] * source.gain[i]; };
        float unit = 1;
        if (type == WeightType::i8) {
            float largest = 0;
            for (int32_t i = 0; i < inputs; ++i) largest = std::fmax(largest, std::fabs(folded(i)));
            unit = largest > 0 ? largest / 127.0f : 1.0f;
        }
        double total = 0;
        double offset = source.bias[c];
        std::byte* panel = weights + static_cast<size_t>(c / panel_channels) * layer.panel_bytes;
        for (int32_t i = 0; i < inputs; ++i) {
            const ptrdiff_t element =
                (static_cast<ptrdiff_t>(i / group) * panel_channels + c % panel_channels) * group + i % group;
            std::byte* where = panel + element * size;
            store(where, type, type == WeightType::i8 ? folded(i) / unit : folded(i));
            total += stored(where, type);
            if (source.shift != nullptr) offset += static_cast<double>(row[i]) * source.shift[i];
        }
        scale[c] = unit;
        sum[c] = static_cast<float>(total);
        bias[c] = static_cast<float>(offset);
        if (code_sum != nullptr) code_sum[c] = static_cast<int32_t>(total);
    }
    return layer;
}

// The whole network in one block, in reading order. Returns the bytes it takes.
size_t lay_out(Network& network, const NetworkWeights& from, WeightType type, std::byte* memory) {
    Arena arena{memory};
    network.layer1 = pack(arena, type, from.width, from.hidden1, {from.w1, from.ln_weight, from.ln_bias, from.b1});
    network.layer2 = pack(arena, type, from.hidden1, from.hidden2, {from.w2, nullptr, nullptr, from.b2});
    const auto count = static_cast<size_t>(from.hidden2);
    auto* head = arena.take<float>(count);
    for (size_t i = 0; memory != nullptr && i < count; ++i) head[i] = from.w3[count + i] - from.w3[i];
    network.head = head;
    network.head_bias = static_cast<double>(from.b3[1]) - from.b3[0];
    return arena.used;
}

}  // namespace

Status network_create(const NetworkWeights& weights, WeightType type, const char* variant, Network** out) {
    *out = nullptr;
    const int32_t largest = 1 << 16;  // keeps every 32-bit integer sum of the i8 kernels exact
    const auto fits = [&](int32_t size) { return size >= 1 && size <= largest; };
    if (!fits(weights.width) || !fits(weights.hidden1) || !fits(weights.hidden2)) return Status::bad_shape;
    if (static_cast<int32_t>(type) < 0 || static_cast<int32_t>(type) >= weight_type_count)
        return Status::unsupported_type;
    const Variant* chosen = find_variant(variant);
    if (chosen == nullptr) return Status::unsupported_variant;

    auto* network = new (std::nothrow) Network{};
    if (network == nullptr) return Status::out_of_memory;
    network->width = weights.width;
    network->type = type;
    network->variant = chosen;
    network->operations = chosen->operations[static_cast<int32_t>(type)];
    network->hidden2 = weights.hidden2;
    network->bytes = lay_out(*network, weights, type, nullptr);
    network->memory_alignment = network->bytes >= huge_page ? huge_page : 64;
    network->memory = ::operator new(network->bytes, std::align_val_t{network->memory_alignment}, std::nothrow);
    if (network->memory == nullptr) {
        delete network;
        return Status::out_of_memory;
    }
#if defined(__linux__)
    // Every call streams through all of it: with 4 KiB pages that is a TLB miss every 64 lines. Only advice, so ignored
    // on failure.
    if (network->bytes >= huge_page) madvise(network->memory, network->bytes, MADV_HUGEPAGE);
#endif
    std::memset(network->memory, 0, network->bytes);
    lay_out(*network, weights, type, static_cast<std::byte*>(network->memory));
    *out = network;
    return Status::ok;
}

void network_free(Network* network) {
    if (network == nullptr) return;
    delete network_device(network);
    ::operator delete(network->memory, std::align_val_t{network->memory_alignment});
    delete network;
}

int32_t network_width(const Network* network) { return network->width; }
WeightType network_type(const Network* network) { return network->type; }
const char* network_variant(const Network* network) { return network->variant->name; }
size_t network_bytes(const Network* network) { return network->bytes; }

}  // namespace mara::kernel
