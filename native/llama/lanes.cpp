#include "llama/lanes.h"

#include <algorithm>
#include <bitset>
#include <chrono>
#include <limits>

#include "kernel/judge.h"

namespace mara::llama {
namespace {

constexpr int32_t too_many_tokens = -100;

// llama.cpp's attention on CPUs computes batches from this size on in tiles (ggml-cpu: GGML_FA_TILE_Q).
constexpr size_t tiled_batch_min = 64;

// llama.cpp attends to a multiple of 256 cells, and splits the attention of a single token from 512 on.
constexpr size_t unsplit_cells_max = 256;

double elapsed_ms(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Lanes::Lanes(const Api& api, llama_context* context, SequenceId first_lane, int32_t lane_count, bool tiled,
             bool swa_full, kernel::Pool* pool, Separable separable)
    : api_(api),
      context_(context),
      first_lane_(first_lane),
      cache_(api, context, first_lane, first_lane + lane_count, swa_full),
      rows_(api, context),
      tiled_(tiled),
      pool_(pool),
      width_(api.model_n_embd_out(api.get_model(context))),
      separable_(separable) {}

void Lanes::set_hidden_states(bool wanted) {
    // The setting is left as it is between batches of the same kind: llama.cpp reuses its graph only while it does not
    // change.
    if (hidden_states_ == wanted) return;
    api_.set_embeddings(context_, wanted);
    hidden_states_ = wanted;
}

// Windows are left out, since a decode may take the cells that they no longer reach, and so are states of recurrent
// layers, of which only the one before the batch is kept.
bool Lanes::may_separate(const std::vector<Entry>& entries, bool is_wave) const {
    const bool is_forced = separable_.way == BatchWay::apart;
    if (!tiled_ || cache_.window() > 0 || cache_.recurrent()) return false;
    if (entries.size() > (is_forced ? tiled_batch_min : apart_max)) return false;
    // With more cells the attention of a single token is split among threads, which rounds otherwise.
    const bool is_unsplit = api_.n_threads(context_) == 1 || cache_.size() + entries.size() <= unsplit_cells_max;
    const bool is_alike = (separable_.rounding && is_unsplit) || (separable_.waves && is_wave);
    if (!is_alike && !is_forced) return false;
    std::bitset<sequences_max> seen;
    return std::all_of(entries.begin(), entries.end(), [&](const Entry& entry) {
        const auto sequence = static_cast<size_t>(entry.sequence);
        const bool is_first = !seen.test(sequence);
        seen.set(sequence);
        return is_first && (is_wave || entry.output);
    });
}

int32_t Lanes::run(const std::vector<Entry>& entries, bool is_wave, double& decode_ms) {
    if (!may_separate(entries, is_wave)) return run_whole(entries, is_wave, decode_ms);
    const size_t count = entries.size();
    const bool is_learned = separable_.way == BatchWay::learned;
    const bool is_apart = is_learned ? costs_.apart(count) : separable_.way == BatchWay::apart;
    if (count > 1 && is_apart) return run_apart(entries, decode_ms);
    const int32_t status = run_whole(entries, is_wave, decode_ms);
    if (status == 0) costs_.observe(count, decode_ms);
    return status;
}

// One decode for each entry. The rows and states of all are kept as if they were of one batch.
int32_t Lanes::run_apart(const std::vector<Entry>& entries, double& decode_ms) {
    const auto width = static_cast<size_t>(width_);
    int32_t status = 0;
    decode_ms = 0;
    apart_states_.resize(hidden_states_ ? entries.size() * width : 0);
    rows_.begin_parts();
    for (size_t i = 0; i < entries.size() && status == 0; i++) {
        const auto start = std::chrono::steady_clock::now();
        double ms = 0;
        single_.assign(1, entries[i]);
        status = run_whole(single_, true, ms);
        if (status != 0) break;
        rows_.add_part();
        if (hidden_states_) read_states(1, apart_states_.data() + i * width);
        ms = elapsed_ms(start);
        costs_.observe(1, ms);
        decode_ms += ms;
    }
    rows_.end_parts();
    was_apart_ = status == 0;
    return status;
}

int32_t Lanes::run_whole(const std::vector<Entry>& entries, bool all_outputs, double& decode_ms) {
    was_apart_ = false;
    const size_t count = entries.size();
    if (count > api_.n_batch(context_)) return too_many_tokens;  // llama.cpp would abort the process
    tokens_.resize(count);
    positions_.resize(count);
    sequence_counts_.assign(count, 1);
    sequences_.resize(count);
    sequence_pointers_.resize(count);
    outputs_.resize(count);
    for (size_t i = 0; i < count; i++) {
        tokens_[i] = entries[i].token;
        positions_[i] = entries[i].position;
        sequences_[i] = entries[i].sequence;
        sequence_pointers_[i] = &sequences_[i];
        outputs_[i] = all_outputs || entries[i].output;
    }
    // A held row is sampled from in the place of a row that this decode gives.
    if (rows_.any() && std::find(outputs_.begin(), outputs_.end(), 1) == outputs_.end()) outputs_.back() = 1;
    rows_.before_decode();
    std::bitset<sequences_max> begun;
    for (const Entry& entry : entries) {
        if (begun.test(static_cast<size_t>(entry.sequence))) continue;
        begun.set(static_cast<size_t>(entry.sequence));
        cache_.keep(entry.sequence, entry.position);
    }
    const Batch batch{static_cast<int32_t>(count), tokens_.data(), nullptr, positions_.data(), sequence_counts_.data(),
                      sequence_pointers_.data(),   outputs_.data()};
    const auto start = std::chrono::steady_clock::now();
    const int32_t status = api_.decode(context_, batch);
    if (status == 0) api_.synchronize(context_);
    decode_ms = elapsed_ms(start);
    if (status != 0) std::fill(outputs_.begin(), outputs_.end(), int8_t{0});
    rows_.after_decode(outputs_, status == 0 && hidden_states_);
    if (status != 0) return status;
    cache_.decoded();
    for (const Entry& entry : entries) cache_.appended(entry.sequence, entry.position);
    return status;
}

// Lets llama.cpp turn the keys of shifted cells, by the decode of one token, which is given up. Were it left to the
// next batch, a long one could not be laid out before it; and whether two shifts of a cell are rounded once or twice
// would depend on what other sequences decode in between.
int32_t Lanes::turn_keys() {
    if (!cache_.keys_wait()) return 0;
    double decode_ms = 0;
    const int32_t status = run({{0, 0, first_lane_, no_fork, -1, false}}, false, decode_ms);
    cache_.remove(first_lane_, 0, whole);
    return status;
}

void Lanes::shift(SequenceId sequence, Position start, Position end, Position delta) {
    if (cache_.keys_wait(sequence, start, end)) turn_keys();
    cache_.shift(sequence, start, end, delta);
}

void Lanes::prepare_state(int32_t count) {
    if (turn_keys() == 0) cache_.make_room(count);
}

WaveResult Lanes::decode(const std::vector<Entry>& entries) {
    // With hidden states every token is an output. Where all are wanted anyway they stay on, because switching costs a
    // new graph; and they are turned on there for a student, which reads them.
    const bool every_output =
        std::all_of(entries.begin(), entries.end(), [](const Entry& entry) { return entry.output; });
    if (!every_output)
        set_hidden_states(false);
    else if (rows_.keeps_states())
        set_hidden_states(true);
    WaveResult result;
    result.status = turn_keys();
    if (result.status != 0) return result;
    cache_.make_room(static_cast<int32_t>(entries.size()));
    if (tiled_ && entries.size() >= tiled_batch_min)
        cache_.lay_out(entries.front().sequence, static_cast<int32_t>(entries.size()));
    result.status = run(entries, false, result.decode_ms);
    if (result.status != 0)
        for (const Entry& entry : entries) cache_.remove(entry.sequence, entry.position, whole);
    return result;
}

WaveResult Lanes::wave(const std::vector<Entry>& entries, const std::vector<WaveJudge>& judges, int32_t threads) {
    WaveResult result;
    result.status = turn_keys();
    if (result.status != 0) return result;
    cache_.make_room(static_cast<int32_t>(entries.size()));
    for (const Entry& entry : entries)
        if (entry.fork_from >= 0) cache_.fork(entry.fork_from, entry.sequence);
    set_hidden_states(true);
    result.status = run(entries, true, result.decode_ms);
    if (result.status != 0) {
        for (const Entry& entry : entries) cache_.remove(entry.sequence, entry.position, whole);
        cache_.release_forks();
        return result;
    }
    judge(entries, judges, threads, result);
    return result;
}

void Lanes::judge(const std::vector<Entry>& entries, const std::vector<WaveJudge>& judges, int32_t threads,
                  WaveResult& result) {
    const auto start = std::chrono::steady_clock::now();
    for (const WaveJudge& judge : judges) result.agents = std::max(result.agents, static_cast<int32_t>(judge.size()));
    const auto stride = static_cast<size_t>(result.agents);
    result.logits.assign(entries.size() * stride, std::numeric_limits<float>::quiet_NaN());
    const float* const base = was_apart_ ? apart_states_.data() : api_.get_embeddings(context_);
    for (size_t n = 0; n < judges.size(); n++) {
        networks_.clear();
        for (const auto& network : judges[n]) networks_.push_back(network.get());
        state_rows_.clear();
        judged_.clear();
        for (size_t i = 0; i < entries.size(); i++) {
            if (entries[i].judge != static_cast<int32_t>(n)) continue;
            const float* const row = base == nullptr ? nullptr : state_of(static_cast<int32_t>(i));
            if (row == nullptr) {
                // A token without a state is not accepted, like one with a NaN state.
                std::fill_n(result.logits.data() + i * stride, networks_.size(),
                            -std::numeric_limits<float>::infinity());
                continue;
            }
            state_rows_.push_back(static_cast<int32_t>((row - base) / width_));
            judged_.push_back(i);
        }
        const size_t count = judged_.size();
        logits_.resize(count * networks_.size());
        kernel::judge(networks_.data(), static_cast<int32_t>(networks_.size()), base, width_, state_rows_.data(),
                      static_cast<int32_t>(count), logits_.data(), pool_, threads);
        for (size_t i = 0; i < count; i++)
            for (size_t a = 0; a < networks_.size(); a++)
                result.logits[judged_[i] * stride + a] = logits_[a * count + i];
    }
    result.kernel_ms = elapsed_ms(start);
}

const float* Lanes::state_of(int32_t index) const {
    if (was_apart_) return apart_states_.data() + static_cast<size_t>(index) * static_cast<size_t>(width_);
    return api_.get_embeddings_ith(context_, index);
}

void Lanes::read_states(int32_t count, float* states) const {
    for (int32_t i = 0; i < count; i++, states += width_) {
        const float* const row = hidden_states_ ? state_of(i) : nullptr;
        if (row == nullptr)
            std::fill_n(states, width_, std::numeric_limits<float>::quiet_NaN());
        else
            std::copy_n(row, width_, states);
    }
}

}  // namespace mara::llama
