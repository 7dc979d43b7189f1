// Candidate lanes: spare sequences of a unified KV cache in which the candidates of a decision are decoded as one
// batch.
//
// A lane is forked from the main sequence (metadata only), decodes one candidate, and is either adopted (its one new
// cell joins the main sequence) or released. Not thread-safe: the owner runs one call at a time, decodes always on one
// thread.
#pragma once

#include <memory>
#include <vector>

#include "kernel/judge.h"
#include "llama/api.h"
#include "llama/batch_costs.h"
#include "llama/cache.h"
#include "llama/rows.h"

namespace mara::llama {

// The way in which a batch is decoded; `learned`: the one that takes less time.
enum class BatchWay { learned, whole, apart };

// Which batches may be decoded token by token.
struct Separable {
    // Those of candidates: where the sizes of waves are learnt, the clock decides about these batches anyway.
    bool waves = false;
    // All, where a token's products are rounded alike in a batch and alone, so that no bit changes.
    bool rounding = false;
    BatchWay way = BatchWay::learned;
};

constexpr SequenceId no_fork = -1;

// One token of a batch.
struct Entry {
    Token token;
    Position position;
    SequenceId sequence;
    SequenceId fork_from;  // `sequence` is a lane, first forked from this one; no_fork: decode into it as it is
    int32_t judge;         // index of the judge that looks at the state, or -1
    bool output;           // logits wanted (waves always produce them)
};

// The agents that look at an entry's state together.
using WaveJudge = std::vector<std::shared_ptr<const kernel::Network>>;

struct WaveResult {
    int32_t status = 0;         // llama_decode's: 0 ok, 1 no KV slot, others fatal
    int32_t agents = 0;         // most that looked at one entry
    std::vector<float> logits;  // [entries][agents], log-odds of accepting; NaN where no agent looked
    double decode_ms = 0;
    double kernel_ms = 0;
};

class Lanes {
public:
    // Lanes are the sequences from `first_lane` on; the one after them is the cache's, for discarded cells.
    // `tiled`: long batches are computed in tiles of cells (CPUs), so that texts are laid out for them.
    Lanes(const Api& api, llama_context* context, SequenceId first_lane, int32_t lane_count, bool tiled, bool swa_full,
          kernel::Pool* pool, Separable separable = {});

    // Decodes a batch without judging: prompts, and tokens of sequences that are not aligned.
    WaveResult decode(const std::vector<Entry>& entries);

    // Forks, decodes with hidden states, judges. On failure every lane is released, and the main sequences are left as
    // they were.
    WaveResult wave(const std::vector<Entry>& entries, const std::vector<WaveJudge>& judges, int32_t threads);

    // The caller is about to add `delta` to the positions of the sequence in [start, end).
    void shift(SequenceId sequence, Position start, Position end, Position delta);

    // Before the caller reads a sequence's state, or writes one of at most `count` cells.
    void prepare_state(int32_t count);

    // Hidden states of the first `count` entries of the last wave, [count][width]; NaN where llama.cpp has none. Valid
    // until the next decode. `states` has room for count * width values.
    void read_states(int32_t count, float* states) const;

    // The weights are no longer those that were rounded alike in a batch and alone.
    void adapt() { separable_.rounding = false; }

    int32_t width() const { return width_; }
    Cache& cache() { return cache_; }
    Rows& rows() { return rows_; }

private:
    void set_hidden_states(bool wanted);
    bool may_separate(const std::vector<Entry>& entries, bool is_wave) const;
    // Decodes the batch in the way that takes less time. All tokens of a wave are outputs.
    int32_t run(const std::vector<Entry>& entries, bool is_wave, double& decode_ms);
    int32_t run_whole(const std::vector<Entry>& entries, bool all_outputs, double& decode_ms);
    int32_t run_apart(const std::vector<Entry>& entries, double& decode_ms);
    // The state of an entry of the last batch; null where llama.cpp has none.
    const float* state_of(int32_t index) const;
    int32_t turn_keys();
    void judge(const std::vector<Entry>& entries, const std::vector<WaveJudge>& judges, int32_t threads,
               WaveResult& result);

    Api api_;
    llama_context* context_;
    SequenceId first_lane_;
    Cache cache_;
    Rows rows_;
    bool tiled_;
    kernel::Pool* pool_;
    int32_t width_;
    Separable separable_;
    BatchCosts costs_;
    bool hidden_states_ = false;
    bool was_apart_ = false;
    std::vector<float> apart_states_;  // of a batch that was decoded token by token, [entries][width]
    std::vector<Entry> single_;

    // Reused between batches, so that a step allocates nothing once it has seen its largest batch.
    std::vector<Token> tokens_;
    std::vector<Position> positions_;
    std::vector<int32_t> sequence_counts_;
    std::vector<SequenceId> sequences_;
    std::vector<SequenceId*> sequence_pointers_;
    std::vector<int8_t> outputs_;
    std::vector<int32_t> state_rows_;
    std::vector<size_t> judged_;
    std::vector<const kernel::Network*> networks_;
    std::vector<float> logits_;
};

}  // namespace mara::llama
