// As much of llama.cpp as the cache's order needs: a unified KV cache, and logits that tell which token they belong to.
#pragma once

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "llama/api.h"

namespace mara::test {

using namespace mara::llama;

struct FakeCell {
    Position position;
    std::set<SequenceId> owners;
    Token token;
    Position turned;   // what its key was turned to: its position, once shifts have been applied
    Position pending;  // shift that the next decode applies
    int turns;         // how often its key was turned, and rounded
};

class FakeLlama {
public:
    static constexpr int32_t vocabulary = 8;
    static constexpr int32_t width = 4;

    explicit FakeLlama(size_t capacity) : cells(capacity) { current = this; }

    std::vector<FakeCell> cells;
    std::vector<std::vector<float>> logits;  // of the last batch, row by row; empty where none were wanted
    std::vector<float> states;               // of the last batch, each value of a token's row the token
    bool refuses_decodes = false;

    llama_context* context() { return reinterpret_cast<llama_context*>(this); }

    // Changes that the caller of the cache makes itself.
    void add(SequenceId sequence, Position start, Position end, Position delta) {
        for (FakeCell& cell : cells) {
            if (cell.owners.count(sequence) == 0 || cell.position < start || cell.position >= end) continue;
            cell.position += delta;
            cell.pending += delta;
        }
    }

    Position last_position(SequenceId sequence) const {
        Position last = -1;
        for (const FakeCell& cell : cells)
            if (cell.owners.count(sequence) > 0) last = std::max(last, cell.position);
        return last;
    }

    static Api api() {
        Api api{};
        api.get_memory = [](const llama_context*) { return static_cast<llama_memory_i*>(nullptr); };
        api.get_model = [](const llama_context*) { return static_cast<const llama_model*>(nullptr); };
        api.model_get_vocab = [](const llama_model*) { return static_cast<const llama_vocab*>(nullptr); };
        api.vocab_n_tokens = [](const llama_vocab*) { return vocabulary; };
        api.model_n_embd_out = [](const llama_model*) { return width; };
        api.model_n_swa = [](const llama_model*) { return 0; };
        api.model_is_recurrent = [](const llama_model*) { return false; };
        api.model_is_hybrid = [](const llama_model*) { return false; };
        api.n_ctx = [](const llama_context*) { return static_cast<uint32_t>(current->cells.size()); };
        api.n_batch = api.n_ctx;
        api.n_threads = [](llama_context*) { return 1; };
        api.decode = [](llama_context*, Batch batch) { return current->decode(batch); };
        api.synchronize = [](llama_context*) {};
        api.set_embeddings = [](llama_context*, bool) {};
        api.get_embeddings = [](llama_context*) { return current->states.data(); };
        api.get_embeddings_ith = [](llama_context*, int32_t index) { return current->states.data() + index * width; };
        api.get_logits_ith = [](llama_context*, int32_t index) {
            const auto at = static_cast<size_t>(index);
            return index < 0 || at >= current->logits.size() || current->logits[at].empty()
                       ? nullptr
                       : current->logits[at].data();
        };
        api.memory_seq_rm = [](llama_memory_i*, SequenceId sequence, Position start, Position end) {
            current->remove(sequence, start, end);
            return true;
        };
        api.memory_seq_cp = [](llama_memory_i*, SequenceId source, SequenceId target, Position start, Position end) {
            for (FakeCell& cell : current->cells)
                if (cell.owners.count(source) > 0 && within(cell, start, end)) cell.owners.insert(target);
        };
        api.memory_seq_pos_max = [](llama_memory_i*, SequenceId sequence) { return current->last_position(sequence); };
        api.memory_seq_pos_min = [](llama_memory_i*, SequenceId sequence) {
            Position first = -1;
            for (const FakeCell& cell : current->cells)
                if (cell.owners.count(sequence) > 0 && (first < 0 || cell.position < first)) first = cell.position;
            return first;
        };
        api.state_seq_get_size = [](llama_context*, SequenceId sequence) {
            return sizeof(Saved) * current->count(sequence);
        };
        api.state_seq_get_data = [](llama_context*, uint8_t* data, size_t, SequenceId sequence) {
            size_t size = 0;
            for (const FakeCell& cell : current->cells) {
                if (cell.owners.count(sequence) == 0) continue;
                const Saved saved{cell.position, cell.token, cell.turned, cell.turns};
                std::memcpy(data + size, &saved, sizeof saved);
                size += sizeof saved;
            }
            return size;
        };
        api.state_seq_set_data = [](llama_context*, const uint8_t* data, size_t size, SequenceId sequence) {
            current->remove(sequence, -1, -1);
            const size_t count = size / sizeof(Saved);
            const std::vector<size_t> places = current->find(count);
            if (places.size() < count) return size_t{0};
            for (size_t i = 0; i < count; i++) {
                Saved saved;
                std::memcpy(&saved, data + i * sizeof saved, sizeof saved);
                current->cells[places[i]] = {saved.position, {sequence}, saved.token, saved.turned, 0, saved.turns};
            }
            return size;
        };
        return api;
    }

private:
    struct Saved {
        Position position;
        Token token;
        Position turned;
        int turns;
    };

    static bool within(const FakeCell& cell, Position start, Position end) {
        return cell.position >= start && (end < 0 || cell.position < end);
    }

    size_t count(SequenceId sequence) const {
        return static_cast<size_t>(std::count_if(
            cells.begin(), cells.end(), [&](const FakeCell& cell) { return cell.owners.count(sequence) > 0; }));
    }

    // llama_kv_cache::find_slot: the first free cells from the head on, around the end; the head goes to the start
    // where that promises more.
    std::vector<size_t> find(size_t count) {
        const auto used = static_cast<size_t>(
            std::count_if(cells.begin(), cells.end(), [](const FakeCell& cell) { return !cell.owners.empty(); }));
        if (head_ > used + 2 * count) head_ = 0;
        std::vector<size_t> places;
        for (size_t i = 0; i < cells.size() && places.size() < count; i++) {
            const size_t place = (head_ + i) % cells.size();
            if (cells[place].owners.empty()) places.push_back(place);
        }
        return places;
    }

    void remove(SequenceId sequence, Position start, Position end) {
        size_t freed = cells.size();
        for (size_t i = 0; i < cells.size(); i++) {
            if (!within(cells[i], start, end) || cells[i].owners.erase(sequence) == 0) continue;
            if (cells[i].owners.empty()) freed = std::min(freed, i);
        }
        head_ = std::min(head_, freed);
    }

    int32_t decode(const Batch& batch) {
        const auto count = static_cast<size_t>(batch.n_tokens);
        for (FakeCell& cell : cells) {
            cell.turns += cell.pending != 0;
            cell.turned += cell.pending;
            cell.pending = 0;
        }
        const std::vector<size_t> places = find(count);
        if (places.size() < count || refuses_decodes) return 1;
        logits.assign(count, {});
        states.resize(count * width);
        for (size_t i = 0; i < count; i++) {
            cells[places[i]] = {batch.pos[i], {*batch.seq_id[i]}, batch.token[i], batch.pos[i], 0, 0};
            std::fill_n(states.data() + i * width, width, static_cast<float>(batch.token[i]));
            if (batch.output[i]) logits[i].assign(vocabulary, static_cast<float>(batch.token[i]));
        }
        head_ = places.back() + 1;
        return 0;
    }

    // The interface's functions carry no state of their own.
    static inline FakeLlama* current = nullptr;
    size_t head_ = 0;
};

}  // namespace mara::test
