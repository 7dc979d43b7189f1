#include "llama/lanes.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "kernel/device.h"

namespace mara::llama {
namespace {

constexpr int32_t too_many_tokens = -100;

double elapsed_ms(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Lanes::Lanes(const Api& api, llama_context* context, SequenceId first_lane, int32_t lane_count, kernel::Pool* pool)
    : api_(api),
      context_(context),
      memory_(api.get_memory(context)),
      first_lane_(first_lane),
      lane_used_(static_cast<size_t>(lane_count), 0),
      pool_(pool),
      width_(api.model_n_embd_out(api.get_model(context))),
      vocabulary_(api.vocab_n_tokens(api.model_get_vocab(api.get_model(context)))) {}

void Lanes::set_hidden_states(bool wanted) {
    // Left as it is between batches of the same kind: llama.cpp reuses its graph only while this does not change.
    if (hidden_states_ == wanted) return;
    api_.set_embeddings(context_, wanted);
    hidden_states_ = wanted;
}

int32_t Lanes::run(const std::vector<Entry>& entries, bool all_outputs, double& decode_ms) {
    const size_t count = entries.size();
    if (count > api_.n_batch(context_)) return too_many_tokens;  // llama.cpp would abort the process
    tokens_.resize(count);
    positions_.resize(count);
    sequence_counts_.resize(count);
    sequences_.clear();
    sequence_pointers_.resize(count);
    outputs_.resize(count);
    for (size_t i = 0; i < count; i++) {
        tokens_[i] = entries[i].token;
        positions_[i] = entries[i].position;
        outputs_[i] = all_outputs || entries[i].output;
        const size_t first = sequences_.size();
        sequences_.push_back(entries[i].sequence);
        if (entries[i].fork_from == shared_with_forks)
            for (const Entry& other : entries)
                if (other.fork_from == entries[i].sequence) sequences_.push_back(other.sequence);
        sequence_counts_[i] = static_cast<int32_t>(sequences_.size() - first);
    }
    SequenceId* next = sequences_.data();
    for (size_t i = 0; i < count; next += sequence_counts_[i++]) sequence_pointers_[i] = next;
    const Batch batch{static_cast<int32_t>(count), tokens_.data(), nullptr, positions_.data(), sequence_counts_.data(),
                      sequence_pointers_.data(),   outputs_.data()};
    const auto start = std::chrono::steady_clock::now();
    const int32_t status = api_.decode(context_, batch);
    if (status == 0) api_.synchronize(context_);
    decode_ms = elapsed_ms(start);
    return status;
}

WaveResult Lanes::decode(const std::vector<Entry>& entries) {
    // With hidden states every token is an output. Where that is wanted anyway they stay on: switching costs a new
    // graph.
    const bool every_output =
        std::all_of(entries.begin(), entries.end(), [](const Entry& entry) { return entry.output; });
    if (!every_output) set_hidden_states(false);
    WaveResult result;
    result.status = run(entries, false, result.decode_ms);
    if (result.status == 0) look_ahead(entries, result);
    return result;
}

WaveResult Lanes::wave(const std::vector<Entry>& entries, const std::vector<NetworkRef>& networks, int32_t threads) {
    WaveResult result;
    for (const Entry& entry : entries) {
        if (entry.fork_from < 0) continue;
        lane_used_[static_cast<size_t>(entry.sequence - first_lane_)] = 1;
        api_.memory_seq_cp(memory_, entry.fork_from, entry.sequence, -1, -1);
    }
    set_hidden_states(true);
    result.status = run(entries, true, result.decode_ms);
    if (result.status != 0) {
        for (const Entry& entry : entries) take_back(entry.sequence, entry.position);
        release();
        return result;
    }
    judge(entries, networks, threads, result);
    look_ahead(entries, result);
    return result;
}

void Lanes::judge(const std::vector<Entry>& entries, const std::vector<NetworkRef>& networks, int32_t threads,
                  WaveResult& result) {
    const auto start = std::chrono::steady_clock::now();
    result.probabilities.assign(entries.size(), std::numeric_limits<float>::quiet_NaN());
    const float* const base = api_.get_embeddings(context_);
    for (size_t n = 0; n < networks.size(); n++) {
        rows_.clear();
        judged_.clear();
        for (size_t i = 0; i < entries.size(); i++) {
            if (entries[i].network != static_cast<int32_t>(n)) continue;
            const float* const row =
                base == nullptr ? nullptr : api_.get_embeddings_ith(context_, static_cast<int32_t>(i));
            if (row == nullptr) {
                result.probabilities[i] = 0;  // no state, no acceptance: what a NaN state gets
                continue;
            }
            rows_.push_back(static_cast<int32_t>((row - base) / width_));
            judged_.push_back(static_cast<int32_t>(i));
        }
        if (rows_.empty()) continue;
        scratch_.resize(rows_.size());
        const kernel::Network* const network = networks[n].get();
        kernel::score_on_device(network, base, width_, rows_.data(), static_cast<int32_t>(rows_.size()),
                                scratch_.data(), pool_, threads);
        for (size_t i = 0; i < judged_.size(); i++) result.probabilities[static_cast<size_t>(judged_[i])] = scratch_[i];
    }
    result.kernel_ms = elapsed_ms(start);
}

// The first token of each sequence that was not rejected is, nearly always, the one that goes on.
void Lanes::look_ahead(const std::vector<Entry>& entries, WaveResult& result) {
    continued_.clear();
    result.top_counts.assign(entries.size(), 0);
    for (size_t i = 0; i < entries.size(); i++) {
        const Entry& entry = entries[i];
        if (entry.top <= 0 || !entry.output || (entry.network >= 0 && !(result.probabilities[i] > entry.threshold)))
            continue;
        const SequenceId sequence = entry.fork_from >= 0 ? entry.fork_from : entry.sequence;
        if (std::find(continued_.begin(), continued_.end(), sequence) != continued_.end()) continue;
        continued_.push_back(sequence);
        const float* const logits = api_.get_logits_ith(context_, static_cast<int32_t>(i));
        if (logits == nullptr) continue;
        const size_t before = result.top.size();
        append_top_logits(logits, vocabulary_, entry.top, result.top);
        result.top_counts[i] = static_cast<int32_t>(result.top.size() - before);
    }
}

void Lanes::take_back(SequenceId sequence, Position position) { api_.memory_seq_rm(memory_, sequence, position, -1); }

void Lanes::adopt(SequenceId sequence, Position position, SequenceId lane) {
    take_back(sequence, position);
    api_.memory_seq_cp(memory_, lane, sequence, position, position + 1);
}

void Lanes::share(SequenceId source, SequenceId target, Position start, Position end) {
    api_.memory_seq_cp(memory_, source, target, start, end);
}

void Lanes::read_states(int32_t count, float* states) const {
    for (int32_t i = 0; i < count; i++, states += width_) {
        const float* const row = hidden_states_ ? api_.get_embeddings_ith(context_, i) : nullptr;
        if (row == nullptr)
            std::fill_n(states, width_, std::numeric_limits<float>::quiet_NaN());
        else
            std::copy_n(row, width_, states);
    }
}

void Lanes::release() {
    for (size_t i = 0; i < lane_used_.size(); i++) {
        if (lane_used_[i] == 0) continue;
        lane_used_[i] = 0;
        take_back(first_lane_ + static_cast<SequenceId>(i), -1);
    }
}

}  // namespace mara::llama
