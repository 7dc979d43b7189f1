#include "llama/layout.h"

#include <cstring>

namespace mara::llama {
namespace {

// The Napi::ObjectWrap base in front of `model` takes 5 to 8 words in the builds seen; AddonContext itself is far larger.
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

}  // namespace

bool find_layout(void* addon_context, const void* addon_model, const ExpectedParams& expected, Layout& layout,
                 std::string& problem) {
    size_t index = 0;
    while (index < searched_words && word_at(addon_context, index) != addon_model) index++;
    if (index == searched_words) {
        problem = "the model was not found inside node-llama-cpp's context object";
        return false;
    }
    char* const base = static_cast<char*>(addon_context) + (index + 1) * sizeof(void*);
    auto* const params = reinterpret_cast<ContextParams*>(base);

    struct Check {
        const char* field;
        uint64_t expected, found;
    };
    const Check checks[] = {
        {"n_ctx", expected.context_size, params->n_ctx},
        {"n_batch", expected.batch_size, params->n_batch},
        {"n_ubatch", expected.batch_size, params->n_ubatch},
        {"n_seq_max", expected.sequences, params->n_seq_max},
        {"embeddings", 0, params->embeddings},
        {"offload_kqv", 1, params->offload_kqv},
        {"no_perf", expected.no_perf, params->no_perf},
        {"op_offload", 1, params->op_offload},
        {"swa_full", expected.swa_full, params->swa_full},
        {"kv_unified", 0, params->kv_unified},
        {"n_samplers", 0, params->n_samplers},
    };
    for (const Check& check : checks) {
        if (check.expected == check.found) continue;
        problem = mismatch(check.field, check.expected, check.found);
        return false;
    }
    auto** const context = reinterpret_cast<llama_context**>(base + sizeof(ContextParams));
    if (params->samplers != nullptr || params->ctx_other != nullptr || *context != nullptr) {
        problem = "node-llama-cpp's context object is laid out differently than in the known releases";
        return false;
    }
    layout = {params, context};
    return true;
}

bool verify_context(const Api& api, const Layout& layout, const void* addon_model, uint32_t n_seq_max, std::string& problem) {
    llama_context* const context = *layout.context;
    if (context == nullptr) {
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
