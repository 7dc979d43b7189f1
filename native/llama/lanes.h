// Candidate lanes: spare sequences of a unified KV cache in which the candidates of a decision are decoded as one
// batch.
//
// A lane is forked from the main sequence (metadata only), decodes one candidate, and is either adopted (its one new
// cell joins the main sequence) or released. Not thread-safe: the owner runs one call at a time, decodes always on one
// thread.
#pragma once

#include <memory>
#include <vector>

#include "kernel/kernel.h"
#include "llama/api.h"
#include "llama/top_logits.h"

namespace mara::llama {

constexpr SequenceId no_fork = -1;
constexpr SequenceId shared_with_forks = -2;

// One token of a batch.
struct Entry {
    Token token;
    Position position;
    SequenceId sequence;
    // no_fork: decode into `sequence` as it is. shared_with_forks: into it and every lane that this wave forks from it.
    // Otherwise `sequence` is a lane, first forked from this one.
    SequenceId fork_from;
    int32_t network;      // index of the network that judges the state, or -1
    bool output;          // logits wanted (waves always produce them)
    int32_t top = 0;      // how many of its largest logits are to be given, if the token is not rejected
    float threshold = 0;  // rejected: judged, and not above this
};

using NetworkRef = std::shared_ptr<const kernel::Network>;

struct WaveResult {
    int32_t status = 0;                // llama_decode's: 0 ok, 1 no KV slot, others fatal
    std::vector<float> probabilities;  // per entry; NaN where no network judged it
    std::vector<int32_t> top_counts;   // per entry, how many of `top` are its
    std::vector<TokenLogit> top;       // one entry's after the other's
    double decode_ms = 0;
    double kernel_ms = 0;
};

class Lanes {
public:
    Lanes(const Api& api, llama_context* context, SequenceId first_lane, int32_t lane_count, kernel::Pool* pool);

    // A batch of which nothing is judged: prompts, and tokens of sequences that are not aligned.
    WaveResult decode(const std::vector<Entry>& entries);

    // Forks, decodes with hidden states, judges. On failure every lane is released and the main sequences are as
    // before.
    WaveResult wave(const std::vector<Entry>& entries, const std::vector<NetworkRef>& networks, int32_t threads);

    // Removes the cells of `sequence` from `position` on.
    void take_back(SequenceId sequence, Position position);

    // Makes the lane's cell at `position` the main sequence's, in place of whatever the main sequence held there.
    void adopt(SequenceId sequence, Position position, SequenceId lane);

    void release();  // empties every lane

    // Gives the cells of `source` in [start, end) to `target` as well. Metadata only.
    void share(SequenceId source, SequenceId target, Position start, Position end);

    // Hidden states of the first `count` entries of the last wave, [count][width]; NaN where llama.cpp has none. Valid
    // until the next decode. `states` has room for count * width values.
    void read_states(int32_t count, float* states) const;

    int32_t width() const { return width_; }

    void set_hidden_states(bool wanted);

private:
    int32_t run(const std::vector<Entry>& entries, bool all_outputs, double& decode_ms);
    void judge(const std::vector<Entry>& entries, const std::vector<NetworkRef>& networks, int32_t threads,
               WaveResult& result);
    void look_ahead(const std::vector<Entry>& entries, WaveResult& result);

    Api api_;
    llama_context* context_;
    llama_memory_i* memory_;
    SequenceId first_lane_;
    std::vector<uint8_t> lane_used_;
    kernel::Pool* pool_;
    int32_t width_;
    int32_t vocabulary_;
    bool hidden_states_ = false;

    // Reused between batches, so that a step allocates nothing once it has seen its largest batch.
    std::vector<Token> tokens_;
    std::vector<Position> positions_;
    std::vector<int32_t> sequence_counts_;
    std::vector<SequenceId> sequences_;  // those of the first token, of the second, …
    std::vector<SequenceId*> sequence_pointers_;
    std::vector<int8_t> outputs_;
    std::vector<int32_t> rows_, judged_;
    std::vector<SequenceId> continued_;
    std::vector<float> scratch_;
};

}  // namespace mara::llama
