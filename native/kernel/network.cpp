// Packing: float32 weights from an agent file into panels, with LayerNorm's affine folded into the first layer.
//   LN(x)·Wᵀ + b = ((x − μ)/σ)·(W·diag(g))ᵀ + (b + W·β)
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <thread>

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

// Stores a weight and returns what is stored.
template <WeightType type>
float store(std::byte* where, float value) {
    if constexpr (type == WeightType::f32) {
        std::memcpy(where, &value, 4);
        return value;
    } else if constexpr (type == WeightType::i8) {
        const auto code = static_cast<int8_t>(std::lrintf(value));
        std::memcpy(where, &code, 1);
        return static_cast<float>(code);
    } else {
        const uint16_t bits = type == WeightType::f16 ? float_to_f16(value) : float_to_bf16(value);
        std::memcpy(where, &bits, 2);
        return type == WeightType::f16 ? f16_to_float(bits) : bf16_to_float(bits);
    }
}

constexpr int64_t shared_packing = int64_t{1} << 18;  // weights of a layer from which on several threads pack it
constexpr int32_t pack_block = 64;  // inputs packed in one run: what is written stays in the first-level cache

// Where the channels of a panel are filled in. `total` and `offset` are summed in the order of the inputs.
struct Channel {
    const float* row = nullptr;  // [inputs]
    float unit = 1;
    double total = 0;
    double offset = 0;
};

// Packs inputs [begin, end) of `count` channels from place `first` of the panel on; several at once hide the latency of
// the sums.
template <WeightType type, int32_t count>
void pack_channels(const Source& source, Channel* channels, std::byte* panel, int32_t first, int32_t begin,
                   int32_t end) {
    constexpr int32_t group = group_of(type);
    for (int32_t i = begin; i < end; ++i) {
        const float gain = source.gain == nullptr ? 1.0f : source.gain[i];
        const double shift = source.shift == nullptr ? 0.0 : source.shift[i];
        const int32_t line = (i / group) * panel_channels * group + i % group;
        for (int32_t c = 0; c < count; ++c) {
            Channel& channel = channels[first + c];
            const float value = channel.row[i] * gain;
            std::byte* const where = panel + static_cast<ptrdiff_t>(line + (first + c) * group) * size_of(type);
            channel.total += store<type>(where, type == WeightType::i8 ? value / channel.unit : value);
            channel.offset += channel.row[i] * shift;
        }
    }
}

template <WeightType type>
void pack_panel(const Source& source, Channel* channels, int32_t count, int32_t inputs, std::byte* panel) {
    for (int32_t begin = 0; begin < inputs; begin += pack_block) {
        const int32_t end = std::min(inputs, begin + pack_block);
        int32_t c = 0;
        for (; c + 4 <= count; c += 4) pack_channels<type, 4>(source, channels, panel, c, begin, end);
        for (; c < count; ++c) pack_channels<type, 1>(source, channels, panel, c, begin, end);
    }
}

float largest_weight(const Source& source, const float* row, int32_t inputs) {
    float largest = 0;
    for (int32_t i = 0; i < inputs; ++i)
        largest = std::max(largest, std::fabs(source.gain == nullptr ? row[i] : row[i] * source.gain[i]));
    return largest;
}

// Calls body(first, last) for shares of [0, count), on a few threads at once. What a system refuses to start runs here.
template <class Body>
void in_shares(int32_t count, const Body& body) {
    constexpr int32_t most = 4;
    const int32_t shares = std::clamp(static_cast<int32_t>(std::thread::hardware_concurrency()), 1, most);
    const auto start = [&](int32_t share) { return static_cast<int32_t>(int64_t{count} * share / shares); };
    std::thread threads[most];
    for (int32_t share = 1; share < shares; ++share) {
        const auto run = [&body, first = start(share), last = start(share + 1)] { body(first, last); };
        try {
            threads[share] = std::thread(run);
        } catch (...) {
            run();
        }
    }
    body(0, start(1));
    for (std::thread& thread : threads)
        if (thread.joinable()) thread.join();
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

    constexpr auto pack_type = [](WeightType of) {
        return of == WeightType::f32   ? pack_panel<WeightType::f32>
               : of == WeightType::f16 ? pack_panel<WeightType::f16>
               : of == WeightType::i8  ? pack_panel<WeightType::i8>
                                       : pack_panel<WeightType::bf16>;
    };
    const auto fill = [&](int32_t index) {
        const int32_t first = index * panel_channels;
        const int32_t count = std::min(panel_channels, outputs - first);
        Channel panel[panel_channels];
        for (int32_t c = 0; c < count; ++c) {
            panel[c].row = source.weights + static_cast<ptrdiff_t>(first + c) * inputs;
            panel[c].offset = source.bias[first + c];
            const float largest = type == WeightType::i8 ? largest_weight(source, panel[c].row, inputs) : 0;
            if (largest > 0) panel[c].unit = largest / 127.0f;
        }
        pack_type(type)(source, panel, count, inputs, weights + static_cast<size_t>(index) * layer.panel_bytes);
        for (int32_t c = 0; c < count; ++c) {
            scale[first + c] = panel[c].unit;
            sum[first + c] = static_cast<float>(panel[c].total);
            bias[first + c] = static_cast<float>(panel[c].offset);
            if (code_sum != nullptr) code_sum[first + c] = static_cast<int32_t>(panel[c].total);
        }
    };
    const auto fill_all = [&](int32_t begin, int32_t end) {
        for (int32_t index = begin; index < end; ++index) fill(index);
    };
    if (static_cast<int64_t>(inputs) * outputs < shared_packing)
        fill_all(0, layer.panels);
    else
        in_shares(layer.panels, fill_all);
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
