#include "llama/rows.h"

#include <algorithm>
#include <utility>

namespace mara::llama {

Rows::Rows(const Api& api, llama_context* context)
    : api_(api),
      context_(context),
      vocabulary_(api.vocab_n_tokens(api.model_get_vocab(api.get_model(context)))),
      width_(api.model_n_embd_out(api.get_model(context))) {}

int32_t Rows::hold(int32_t index) {
    if (parts_.empty()) return hold_last(index);
    const auto part = static_cast<size_t>(index);
    return part < parts_.size() ? std::exchange(parts_[part], no_logits) : no_logits;
}

int32_t Rows::hold_last(int32_t index) {
    if (api_.get_logits_ith(context_, index) == nullptr) return no_logits;
    const auto free_row =
        std::find_if(rows_.begin(), rows_.end(), [](const Row& row) { return !row.held && !row.presented; });
    const auto number = static_cast<int32_t>(free_row - rows_.begin());
    if (free_row == rows_.end()) rows_.emplace_back();
    Row& row = rows_[static_cast<size_t>(number)];
    row.held = true;
    row.index = index;
    row.state.clear();
    const float* const state = keeps_states_ && has_states_ ? api_.get_embeddings_ith(context_, index) : nullptr;
    if (state != nullptr) row.state.assign(state, state + width_);
    return number;
}

void Rows::begin_parts() {
    before_decode();
    collects_ = true;
}

void Rows::add_part() { parts_.push_back(hold_last(0)); }

void Rows::free(int32_t number) { rows_[static_cast<size_t>(number)].held = false; }

const float* Rows::state(int32_t number) const {
    const Row& row = rows_[static_cast<size_t>(number)];
    return row.state.empty() ? nullptr : row.state.data();
}

bool Rows::any() const {
    return std::any_of(rows_.begin(), rows_.end(), [](const Row& row) { return row.held; });
}

void Rows::keep(Row& row) {
    row.kept.resize(static_cast<size_t>(vocabulary_));
    std::copy_n(api_.get_logits_ith(context_, row.index), vocabulary_, row.kept.data());
    row.index = -1;
}

void Rows::before_decode() {
    if (!collects_) {
        for (const int32_t number : parts_)
            if (number >= 0) free(number);
        parts_.clear();
    }
    for (Row& row : rows_)
        if (row.held && row.index >= 0) keep(row);
}

void Rows::after_decode(const std::vector<int8_t>& outputs, bool has_states) {
    has_states_ = has_states;
    outputs_.clear();
    for (size_t i = 0; i < outputs.size(); i++)
        if (outputs[i] != 0) outputs_.push_back(static_cast<int32_t>(i));
}

float* Rows::logits_of(Row& row) { return row.index < 0 ? row.kept.data() : api_.get_logits_ith(context_, row.index); }

void Rows::top(int32_t number, int32_t count, std::vector<TokenLogit>& out) {
    append_top_logits(logits_of(rows_[static_cast<size_t>(number)]), vocabulary_, count, out);
}

bool Rows::is_held(int32_t index) const {
    return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return row.held && row.index == index; });
}

bool Rows::is_presented(int32_t index) const {
    return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return row.presented && row.index == index; });
}

int32_t Rows::present(int32_t number) {
    Row& row = rows_[static_cast<size_t>(number)];
    if (row.index < 0) {
        if (outputs_.empty()) return no_logits;
        auto place = std::find_if(outputs_.begin(), outputs_.end(),
                                  [&](int32_t index) { return !is_held(index) && !is_presented(index); });
        if (place == outputs_.end())
            place = std::find_if(outputs_.begin(), outputs_.end(), [&](int32_t index) { return !is_presented(index); });
        if (place == outputs_.end()) return no_place_free;
        for (Row& other : rows_)
            if (other.held && other.index == *place) keep(other);
        std::copy(row.kept.begin(), row.kept.end(), api_.get_logits_ith(context_, *place));
        row.index = *place;
    }
    row.presented = true;
    return row.index;
}

void Rows::withdraw(int32_t number) { rows_[static_cast<size_t>(number)].presented = false; }

void Rows::read(int32_t number, float* logits) {
    std::copy_n(logits_of(rows_[static_cast<size_t>(number)]), vocabulary_, logits);
}

void Rows::write(int32_t number, const float* logits) {
    std::copy_n(logits, vocabulary_, logits_of(rows_[static_cast<size_t>(number)]));
}

}  // namespace mara::llama
