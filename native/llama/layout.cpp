#include "llama/layout.h"

#include <cstring>

namespace mara::llama {
namespace {

// The Napi::ObjectWrap base in front of `model` takes 5 to 8 words in the builds seen; AddonContext itself is far
// larger.
constexpr size_t searched_words = 24;
// AddonModel keeps its llama_model* behind model_params and kv_overrides, within its first words.
constexpr size_t model_words = 40;

const void* word_at(const void* object, size_t index) {
    const void* word;
    std::memcpy(&word, static_cast<const char*>(object) + index * sizeof(void*), sizeof word);
    return word;
}

std::string mismatch(const char* field, uint64_t expected, uint64_t found) {
    return std::string("node-llama-cpp's context holds ") + field + " = " + std::to_string(found) + " where " +
           std::to_string(expected) + " was expected";
}

// Compares the fields whose values node-llama-cpp was asked for, and then those that it leaves at their defaults.
// Fields that only the user's options decide (threads, cache types, flash attention) are not compared.
bool has_expected_values(const ParamsLayout& table, const char* params, const ExpectedParams& expected,
                         std::string& problem) {
    struct Check {
        const char* field;
        uint64_t value;
    };
    const Check checks[] = {
        {"n_ctx", expected.context_size},
        {"n_batch", expected.batch_size},
        {"n_ubatch", expected.batch_size},
        {"n_seq_max", expected.sequences},
        {"embeddings", 0},
        {"no_perf", expected.no_perf},
        {"swa_full", expected.swa_full},
        {"kv_unified", 0},
    };
    for (const Check& check : checks) {
        const uint64_t found = read_field(*find_field(table, check.field), params);
        if (found == check.value) continue;
        problem = mismatch(check.field, check.value, found);
        return false;
    }
    for (size_t i = 0; i < table.field_count; i++) {
        const Field& field = table.fields[i];
        const uint64_t found = read_field(field, params);
        if (field.setter == Setter::addon || found == field.standard) continue;
        problem = mismatch(field.name, field.standard, found);
        return false;
    }
    return true;
}

void write_field(const Layout& layout, const char* name, uint64_t value) {
    const Field& field = *find_field(*layout.table, name);
    std::memcpy(layout.params + field.offset, &value, field.size);
}

}  // namespace

bool find_layout(void* addon_context, const void* addon_model, const Defaults& defaults, const ExpectedParams& expected,
                 Layout& layout, std::string& problem) {
    const ParamsLayout* const table = recognise(defaults);
    if (table == nullptr) {
        problem = "llama.cpp's context parameters are laid out differently than in the known releases";
        return false;
    }
    size_t index = 0;
    while (index < searched_words && word_at(addon_context, index) != addon_model) index++;
    if (index == searched_words) {
        problem = "the model was not found inside node-llama-cpp's context object";
        return false;
    }
    char* const params = static_cast<char*>(addon_context) + (index + 1) * sizeof(void*);
    if (!has_expected_values(*table, params, expected, problem)) return false;

    // Releases up to 3.20 do not set the pointer before init(), so anything may stand there. Where the struct's size
    // could not be told, only a null is taken for the pointer.
    auto** const context = reinterpret_cast<llama_context**>(params + table->size);
    const bool is_size_known = defaults.written < Defaults::room;
    if (is_size_known ? defaults.written != table->size : *context != nullptr) {
        problem = "node-llama-cpp's context object is laid out differently than in the known releases";
        return false;
    }
    *context = nullptr;
    layout = {table, params, context};
    return true;
}

void patch_params(const Layout& layout, uint32_t n_seq_max, uint32_t extra_cells) {
    write_field(layout, "kv_unified", 1);
    write_field(layout, "n_seq_max", n_seq_max);
    write_field(layout, "n_ctx", read_field(*find_field(*layout.table, "n_ctx"), layout.params) + extra_cells);
}

bool verify_context(const Api& api, const Layout& layout, const void* addon_model, uint32_t n_seq_max,
                    std::string& problem) {
    llama_context* const context = *layout.context;
    if (context == nullptr || reinterpret_cast<uintptr_t>(context) % alignof(void*) != 0) {
        problem = "node-llama-cpp's context was not created where it was expected";
        return false;
    }
    const llama_model* const model = api.get_model(context);
    size_t index = 0;
    while (index < model_words && word_at(addon_model, index) != static_cast<const void*>(model)) index++;
    if (model == nullptr || index == model_words) {
        problem = "the created context does not belong to the session's model";
        return false;
    }
    if (api.n_seq_max(context) != n_seq_max) {
        problem = mismatch("n_seq_max", n_seq_max, api.n_seq_max(context));
        return false;
    }
    // Only a unified cache gives every sequence the whole context.
    if (api.n_ctx_seq(context) != api.n_ctx(context)) {
        problem = mismatch("n_ctx_seq", api.n_ctx(context), api.n_ctx_seq(context));
        return false;
    }
    return true;
}

}  // namespace mara::llama
