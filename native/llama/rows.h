// Rows of logits that are still to be sampled from, though other batches are decoded meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "llama/api.h"
#include "llama/top_logits.h"

namespace mara::llama {

// What `present` gives instead of an index.
constexpr int32_t no_logits = -1;
constexpr int32_t no_place_free = -2;

// A row is held by number. Its logits stay in llama.cpp's buffer until the next decode, which copies them into one
// of our own first. Not thread-safe: nothing may be decoding while a method runs. Decoding itself calls
// `before_decode` and `after_decode`.
class Rows {
public:
    Rows(const Api& api, llama_context* context);

    // Holds the row of the last decode's `index`-th token, or of the `index`-th decode where several made up a batch.
    // Each of those can be held once. Returns its number, or `no_logits`.
    int32_t hold(int32_t index);
    // A row that is presented stays so until it is withdrawn.
    void free(int32_t number);
    bool any() const;

    // From here to `end_parts` each decode gives one token's row of a batch, and `add_part` follows it. Rows that
    // nobody has held are given up at the next decode after that.
    void begin_parts();
    void add_part();
    void end_parts() { collects_ = false; }

    void before_decode();
    // outputs[i] is not 0 where the decode gave the logits of its i-th token. `has_states`: it gave hidden states as
    // well.
    void after_decode(const std::vector<int8_t>& outputs, bool has_states);

    // From now on rows are held with the hidden states that their logits come from, where the decode gave any.
    void keep_states(bool wanted) { keeps_states_ = wanted; }
    bool keeps_states() const { return keeps_states_; }
    // The state of a held row, or null if there is none.
    const float* state(int32_t number) const;

    // The row's largest logits, as `append_top_logits` gives them.
    void top(int32_t number, int32_t count, std::vector<TokenLogit>& out);

    // Until `withdraw`, the logits stand in llama.cpp's buffer for the token of the returned index. A row that a decode
    // has displaced takes the place of one that is not presented, of which another copy is kept if it is held.
    int32_t present(int32_t number);
    void withdraw(int32_t number);

    int32_t vocabulary() const { return vocabulary_; }
    void read(int32_t number, float* logits);
    void write(int32_t number, const float* logits);

private:
    struct Row {
        bool held = false;
        bool presented = false;
        int32_t index = -1;  // in the last decode; -1: the logits are in `kept`
        std::vector<float> kept;
        std::vector<float> state;  // empty: none
    };

    int32_t hold_last(int32_t index);
    float* logits_of(Row& row);
    void keep(Row& row);
    bool is_presented(int32_t index) const;
    bool is_held(int32_t index) const;

    Api api_;
    llama_context* context_;
    int32_t vocabulary_;
    int32_t width_;
    std::vector<int32_t> outputs_;  // the tokens of the last decode whose logits it gave
    bool has_states_ = false;
    bool keeps_states_ = false;
    std::vector<Row> rows_;
    // The rows' numbers where the last batch was decoded token by token; `no_logits` takes the place of one handed out.
    std::vector<int32_t> parts_;
    bool collects_ = false;
};

}  // namespace mara::llama
