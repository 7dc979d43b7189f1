// One call: all networks over all rows, in blocks of rows. Within a block the phases are
//   0 moments (and packing) of each state   1 first layers   2 packing of the hidden states   3 second layers   4 heads
// Phases 1 and 3 are split by output channels, the others by rows: a sum is never split, so the number of threads
// changes nothing.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernel/arena.h"
#include "kernel/network.h"
#include "kernel/pool.h"
#include "kernel/probability.h"

namespace mara::kernel {
namespace {

constexpr float rejected = -std::numeric_limits<float>::infinity();

// States as one kind of kernel wants them; networks of the same kind share it.
struct States {
    const Operations* operations;
    int32_t inputs;
    int32_t depth;
    Activations input;
    bool* valid;  // per row: no NaN, no infinity
};

struct Pass {
    const PackedNetwork* network;
    const States* states;
    float* hidden1;  // [rows][stride1]
    Activations input2;
    float* hidden2;  // [rows][stride2]
    float* logits;   // of this network's first row of the block
};

struct Call {
    int32_t rows;
    int32_t state_count;
    int32_t pass_count;
    States* states;
    Pass* passes;
};

// A line more than the panels, so that rows do not all start in the same cache set.
ptrdiff_t stride_of(const Layer& layer) { return static_cast<ptrdiff_t>(layer.panels + 1) * panel_channels; }

int32_t chunks_of(const Layer& layer) { return (layer.panels + chunk_panels - 1) / chunk_panels; }

int32_t padded_rows(int32_t rows) { return (rows + tile_rows - 1) / tile_rows * tile_rows; }

Activations take_input(Arena& arena, const Operations& operations, int32_t rows, const float* const* pointers,
                       int32_t depth) {
    const size_t packed = static_cast<size_t>(padded_rows(rows)) * static_cast<size_t>(depth) *
                          static_cast<size_t>(operations.packed_bytes);
    auto* mean = arena.take<float>(static_cast<size_t>(rows));
    auto* mul = arena.take<float>(static_cast<size_t>(rows));
    return {rows, pointers, arena.take<std::byte>(packed), mean, mul};
}

// Cuts the scratch for up to `rows` rows. Writes nothing through a null base.
size_t lay_out(std::byte* base, const Network* const* networks, int32_t count, int32_t rows, Call& call,
               const float*** pointers) {
    Arena arena{base};
    const auto row_count = static_cast<size_t>(rows);
    call.states = arena.take<States>(static_cast<size_t>(count));
    call.passes = arena.take<Pass>(static_cast<size_t>(count));
    *pointers = arena.take<const float*>(row_count);
    call.pass_count = count;
    call.state_count = 0;
    for (int32_t a = 0; a < count; ++a) {
        const PackedNetwork& network = networks[a]->packed;
        int32_t shared = 0;
        while (shared < a && networks[shared]->packed.operations != network.operations) ++shared;
        if (shared == a) {
            const Activations input = take_input(arena, *network.operations, rows, *pointers, network.layer1.depth);
            auto* valid = arena.take<bool>(row_count);
            if (base != nullptr)
                call.states[call.state_count] = {network.operations, network.width, network.layer1.depth, input, valid};
            ++call.state_count;
        }
        auto* hidden1 = arena.take<float>(row_count * static_cast<size_t>(stride_of(network.layer1)));
        auto* hidden_pointers = arena.take<const float*>(row_count);
        const Activations input2 = take_input(arena, *network.operations, rows, hidden_pointers, network.layer2.depth);
        auto* hidden2 = arena.take<float>(row_count * static_cast<size_t>(stride_of(network.layer2)));
        if (base == nullptr) continue;
        const States* states = call.states;
        while (states->operations != network.operations) ++states;
        for (int32_t r = 0; r < rows; ++r) hidden_pointers[r] = hidden1 + r * stride_of(network.layer1);
        call.passes[a] = {&network, states, hidden1, input2, hidden2, nullptr};
    }
    return arena.used;
}

void prepare_state(const States& states, int32_t row) {
    const Operations& operations = *states.operations;
    const Activations& input = states.input;
    operations.moments(input.rows[row], states.inputs, &input.mean[row], &input.mul[row]);
    states.valid[row] = std::isfinite(input.mean[row]) && std::isfinite(input.mul[row]);
    if (operations.prepare != nullptr) operations.prepare(input, row, states.inputs, states.depth);
}

void prepare_hidden(const Pass& pass, int32_t row) {
    const Layer& layer = pass.network->layer2;
    pass.input2.mean[row] = 0;
    pass.input2.mul[row] = 1;
    const Operations& operations = *pass.network->operations;
    if (operations.prepare != nullptr) operations.prepare(pass.input2, row, layer.inputs, layer.depth);
}

void multiply_chunk(const Pass& pass, const Layer& layer, const Activations& input, int32_t chunk, float* out) {
    const int32_t first = chunk * chunk_panels;
    const int32_t count = std::min(chunk_panels, layer.panels - first);
    pass.network->operations->multiply(layer, input, first, count, out + static_cast<ptrdiff_t>(first) * panel_channels,
                                       stride_of(layer));
}

// The last layer: the difference of its two outputs. Partial sums in a fixed order.
float head(const PackedNetwork& network, const float* hidden) {
    constexpr int32_t lanes = 16;
    float sum[lanes] = {};
    int32_t i = 0;
    for (; i + lanes <= network.hidden2; i += lanes)
        for (int32_t l = 0; l < lanes; ++l) sum[l] += hidden[i + l] * network.head[i + l];
    double difference = network.head_bias;
    for (; i < network.hidden2; ++i) difference += static_cast<double>(hidden[i]) * network.head[i];
    for (const float part : sum) difference += part;
    return std::isnan(difference) ? rejected : static_cast<float>(difference);
}

void run_item(void* context, int32_t phase, int32_t item) {
    const Call& call = *static_cast<Call*>(context);
    if (phase == 0) return prepare_state(call.states[item / call.rows], item % call.rows);
    if (phase == 2) return prepare_hidden(call.passes[item / call.rows], item % call.rows);
    if (phase == 4) {
        const Pass& pass = call.passes[item / call.rows];
        const int32_t row = item % call.rows;
        const float* hidden = pass.hidden2 + row * stride_of(pass.network->layer2);
        pass.logits[row] = pass.states->valid[row] ? head(*pass.network, hidden) : rejected;
        return;
    }
    const Pass* pass = call.passes;
    const auto layer = [&]() -> const Layer& { return phase == 1 ? pass->network->layer1 : pass->network->layer2; };
    for (; item >= chunks_of(layer()); ++pass) item -= chunks_of(layer());
    if (phase == 1)
        multiply_chunk(*pass, layer(), pass->states->input, item, pass->hidden1);
    else
        multiply_chunk(*pass, layer(), pass->input2, item, pass->hidden2);
}

// A further thread has to be woken (some 30 µs) and pays only with enough to do: 2 MiB of weights take about 75 µs to
// read. Each row counts as an eighth of reading the weights.
int32_t useful_threads(const Network* const* networks, int32_t count, int32_t rows) {
    size_t bytes = 0;
    for (int32_t a = 0; a < count; ++a) bytes += networks[a]->packed.bytes;
    const size_t work = bytes + bytes / 8 * static_cast<size_t>(rows);
    return static_cast<int32_t>(std::clamp<size_t>(work >> 21, 1, 256));
}

// logits_of(a): where the logits of network a go.
template <class LogitsOf>
Status run(const Network* const* networks, int32_t network_count, const float* base, ptrdiff_t row_stride,
           const int32_t* rows, int32_t count, const LogitsOf& logits_of, Pool* pool, int32_t threads) {
    if (network_count <= 0 || count <= 0) return Status::ok;
    for (int32_t a = 0; a < network_count; ++a) std::fill_n(logits_of(a), count, rejected);
    for (int32_t a = 1; a < network_count; ++a)
        if (networks[a]->packed.width != networks[0]->packed.width) return Status::bad_shape;

    Call call;
    const float** pointers;
    const int32_t largest = std::min(count, block_rows);
    std::byte* scratch = pool_scratch(*pool, lay_out(nullptr, networks, network_count, largest, call, &pointers));
    if (scratch == nullptr) return Status::out_of_memory;
    lay_out(scratch, networks, network_count, largest, call, &pointers);

    int32_t chunks1 = 0;
    int32_t chunks2 = 0;
    for (int32_t a = 0; a < network_count; ++a) {
        chunks1 += chunks_of(networks[a]->packed.layer1);
        chunks2 += chunks_of(networks[a]->packed.layer2);
    }
    for (int32_t first = 0; first < count; first += block_rows) {
        call.rows = std::min(block_rows, count - first);
        for (int32_t r = 0; r < call.rows; ++r)
            pointers[r] = base + (rows == nullptr ? first + r : rows[first + r]) * row_stride;
        for (int32_t s = 0; s < call.state_count; ++s) call.states[s].input.count = call.rows;
        for (int32_t a = 0; a < network_count; ++a) {
            call.passes[a].input2.count = call.rows;
            call.passes[a].logits = logits_of(a) + first;
        }
        const int32_t all = network_count * call.rows;
        const Job job{run_item, &call, max_phases, {call.state_count * call.rows, chunks1, all, chunks2, all}};
        pool_run(*pool, job, std::min(threads, useful_threads(networks, network_count, call.rows)));
    }
    return Status::ok;
}

}  // namespace

Status score_logits(const Network* const* networks, int32_t network_count, const float* base, ptrdiff_t row_stride,
                    const int32_t* rows, int32_t count, float* const* logits, Pool* pool, int32_t threads) {
    const auto logits_of = [&](int32_t a) { return logits[a]; };
    return run(networks, network_count, base, row_stride, rows, count, logits_of, pool, threads);
}

Status score(const Network* const* networks, int32_t network_count, const float* base, ptrdiff_t row_stride,
             const int32_t* rows, int32_t count, float* probabilities, Pool* pool, int32_t threads) {
    const auto logits_of = [&](int32_t a) { return probabilities + static_cast<ptrdiff_t>(a) * count; };
    const Status status = run(networks, network_count, base, row_stride, rows, count, logits_of, pool, threads);
    if (network_count > 0 && count > 0)
        std::transform(probabilities, logits_of(network_count), probabilities, probability_of);
    return status;
}

}  // namespace mara::kernel
