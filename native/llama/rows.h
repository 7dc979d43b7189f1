// Rows of logits that are still to be sampled from, though other batches are decoded meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "llama/api.h"
#include "llama/top_logits.h"

namespace mara::llama {

// A row is held by number. Its logits stay in llama.cpp's buffer until the next decode, which copies them into one
// of our own first. Not thread-safe: nothing may be decoding while a method runs. Decoding itself calls
// `before_decode` and `after_decode`.
class Rows {
public:
    Rows(const Api& api, llama_context* context);

    // Holds the row of the last decode's `index`-th token. Returns its number, or -1 where llama.cpp has no logits.
    int32_t hold(int32_t index);
    void free(int32_t number);
    bool any() const;

    void before_decode();
    // `output` is the index of a token whose logits the decode gave, or -1. `has_states`: it gave hidden states as
    // well.
    void after_decode(int32_t output, bool has_states) {
        output_ = output;
        has_states_ = has_states;
    }

    // From now on rows are held with the hidden states that their logits come from, where the decode gave any.
    void keep_states(bool wanted) { keeps_states_ = wanted; }
    bool keeps_states() const { return keeps_states_; }
    // The state of a held row, or null if there is none.
    const float* state(int32_t number) const;

    // The row's largest logits, as `append_top_logits` gives them.
    void top(int32_t number, int32_t count, std::vector<TokenLogit>& out);

    // Until `withdraw`, the logits stand in llama.cpp's buffer for the token of the returned index; -1 if it has none.
    // One row at a time.
    int32_t present(int32_t number);
    void withdraw(int32_t number);

    int32_t vocabulary() const { return vocabulary_; }
    void read(int32_t number, float* logits);
    void write(int32_t number, const float* logits);

private:
    struct Row {
        bool held = false;
        int32_t index = -1;  // in the last decode; -1: the logits are in `kept`
        std::vector<float> kept;
        std::vector<float> state;  // empty: none
    };

    float* logits_of(Row& row);
    void exchange(Row& row);

    Api api_;
    llama_context* context_;
    int32_t vocabulary_;
    int32_t width_;
    int32_t output_ = -1;
    bool has_states_ = false;
    bool keeps_states_ = false;
    std::vector<Row> rows_;
};

}  // namespace mara::llama
