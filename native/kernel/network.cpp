// Packing: weights from an agent file into panels, with LayerNorm's affine folded into the first layer.
//   LN(x)·Wᵀ + b = ((x − μ)/σ)·(W·diag(g))ᵀ + (b + W·β)
#include "kernel/network.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <thread>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernel/arena.h"

namespace mara::kernel {
namespace {

constexpr size_t huge_page = size_t{1} << 21;
constexpr int64_t shared_packing = int64_t{1} << 18;  // weights of a layer from which on several threads pack it

// True if no exponent has all its bits set. Adding one to it carries into the sign's bit where it does.
bool all_finite(const float* values, int32_t count) {
    uint32_t carries = 0;
    for (int32_t i = 0; i < count; ++i) {
        uint32_t bits;
        std::memcpy(&bits, values + i, sizeof(bits));
        carries |= (bits & 0x7fffffffu) + 0x00800000u;
    }
    return (carries & 0x80000000u) == 0;
}

// Calls body(first, last) for shares of [0, count), on a few threads at once. Shares whose thread the system refuses
// run here.
template <class Body>
void in_shares(int32_t count, const Body& body) {
    constexpr int32_t max_shares = 4;
    const int32_t shares = std::clamp(static_cast<int32_t>(std::thread::hardware_concurrency()), 1, max_shares);
    const auto start = [&](int32_t share) { return static_cast<int32_t>(int64_t{count} * share / shares); };
    std::thread threads[max_shares];
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

// Lays the layer out in `arena` and, if that has memory, fills it. Sets `problem` if that fails.
Layer pack(Arena& arena, const WeightFormat& format, const Operations& operations, int32_t inputs, int32_t outputs,
           const Source& source, std::atomic<Status>& problem) {
    Layer layer{};
    layer.inputs = inputs;
    layer.outputs = outputs;
    layer.panels = (outputs + panel_channels - 1) / panel_channels;
    layer.depth = format.depth_of(inputs);
    layer.panel_bytes = round_to_line(format.panel_bytes(layer.depth));
    const size_t channels = static_cast<size_t>(layer.panels) * panel_channels;
    auto* weights = arena.take<std::byte>(layer.panels * layer.panel_bytes);
    auto* scale = arena.take<float>(channels);
    auto* sum = arena.take<float>(channels);
    auto* bias = arena.take<float>(channels);
    auto* code_sum = format.max_code > 0 ? arena.take<int32_t>(channels) : nullptr;
    layer.weights = weights;
    layer.scale = scale;
    layer.sum = sum;
    layer.bias = bias;
    layer.code_sum = code_sum;
    if (arena.base == nullptr) return layer;
    for (float* const values : {scale, sum, bias}) std::fill_n(values, channels, 0.0f);
    if (code_sum != nullptr) std::fill_n(code_sum, channels, 0);
    if (!all_finite(source.bias, outputs)) problem = Status::not_finite;

    const size_t filled = format.panel_bytes((inputs + format.group - 1) / format.group * format.group);
    const auto fill = [&](int32_t begin, int32_t end) {
        for (int32_t index = begin; index < end; ++index) {
            const int32_t first = index * panel_channels;
            const int32_t count = std::min(panel_channels, outputs - first);
            std::byte* const to = weights + static_cast<size_t>(index) * layer.panel_bytes;
            std::memset(to + filled, 0, layer.panel_bytes - filled);
            Panel panel;
            if (!operations.pack(source, first, count, inputs, to, panel)) {
                problem = Status::not_finite;
                return;
            }
            for (int32_t c = 0; c < count; ++c) {
                scale[first + c] = panel.unit[c];
                sum[first + c] = static_cast<float>(panel.total[c]);
                bias[first + c] = static_cast<float>(panel.offset[c]);
                if (code_sum != nullptr) code_sum[first + c] = static_cast<int32_t>(panel.total[c]);
            }
        }
    };
    if (static_cast<int64_t>(inputs) * outputs < shared_packing)
        fill(0, layer.panels);
    else
        in_shares(layer.panels, fill);
    return layer;
}

// The whole network in one block, in reading order. Returns the bytes it takes. Sets `problem` if it cannot be filled.
size_t lay_out(PackedNetwork& network, const NetworkWeights& from, const WeightFormat& format, std::byte* memory,
               std::atomic<Status>& problem) {
    Arena arena{memory};
    network.layer1 = pack(arena, format, *network.operations, from.width, from.hidden1,
                          {from.w1, from.ln_weight, from.ln_bias, from.b1}, problem);
    network.layer2 = pack(arena, format, *network.operations, from.hidden1, from.hidden2,
                          {from.w2, nullptr, nullptr, from.b2}, problem);
    const auto count = static_cast<size_t>(from.hidden2);
    auto* head = arena.take<float>(count);
    for (size_t i = 0; memory != nullptr && i < count; ++i) head[i] = from.w3[count + i] - from.w3[i];
    if (memory != nullptr) {
        const bool is_finite = all_finite(from.ln_weight, from.width) && all_finite(from.ln_bias, from.width) &&
                               all_finite(from.w3, 2 * from.hidden2) && all_finite(from.b3, 2);
        if (!is_finite) problem = Status::not_finite;
    }
    network.head = head;
    network.head_bias = static_cast<double>(from.b3[1]) - from.b3[0];
    return arena.used;
}

}  // namespace

Status pack_network(const NetworkWeights& weights, const WeightFormat& format, const Variant& variant,
                    PackedNetwork& out) {
    const int32_t max_size = 1 << 16;  // keeps every 32-bit integer sum of the i8 kernels exact
    const auto fits = [&](int32_t size) { return size >= 1 && size <= max_size; };
    if (!fits(weights.width) || !fits(weights.hidden1) || !fits(weights.hidden2)) return Status::bad_shape;
    out.operations = find_operations(format, variant.name);
    if (out.operations == nullptr) return Status::unsupported_type;
    out.variant = &variant;
    out.width = weights.width;
    out.hidden2 = weights.hidden2;
    std::atomic<Status> problem = Status::ok;
    out.bytes = lay_out(out, weights, format, nullptr, problem);
    const std::align_val_t alignment{out.bytes >= huge_page ? huge_page : 64};
    auto* const memory = static_cast<std::byte*>(::operator new(out.bytes, alignment, std::nothrow));
    out.memory = {memory, AlignedDelete{alignment}};
    if (memory == nullptr) return Status::out_of_memory;
#if defined(__linux__)
    // Every call streams through all of it: with 4 KiB pages that is a TLB miss every 64 lines. Only advice, so ignored
    // on failure.
    if (out.bytes >= huge_page) madvise(memory, out.bytes, MADV_HUGEPAGE);
#endif
    lay_out(out, weights, format, memory, problem);
    return problem;
}

Status network_create(const NetworkWeights& weights, WeightType type, const char* variant, Network** out) {
    *out = nullptr;
    const WeightFormat* const format = find_format(type);
    if (format == nullptr) return Status::unsupported_type;
    const Variant* const chosen = find_variant(variant);
    if (chosen == nullptr) return Status::unsupported_variant;
    std::unique_ptr<Network> network(new (std::nothrow) Network{});
    if (network == nullptr) return Status::out_of_memory;
    const Status status = pack_network(weights, *format, *chosen, network->packed);
    if (status == Status::ok) *out = network.release();
    return status;
}

void network_free(Network* network) { delete network; }

int32_t network_width(const Network* network) { return network->packed.width; }
const char* network_variant(const Network* network) { return network->packed.variant->name; }
size_t network_bytes(const Network* network) { return network->packed.bytes; }

}  // namespace mara::kernel
