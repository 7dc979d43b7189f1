#include "llama/layout_table.h"

#include <cstring>

namespace mara::llama {
namespace {

constexpr uint64_t minus_one = 0xffffffff;  // an enum's UNSPECIFIED or AUTO
constexpr uint64_t minus_one_float = 0xbf800000;
constexpr uint64_t f16 = 1;      // GGML_TYPE_F16
constexpr uint64_t threads = 4;  // GGML_DEFAULT_N_THREADS

// Every layout starts and ends with the same runs of fields; `at` is where a run starts.
#define HEAD                                                                     \
    {"n_ctx", 0, 4, Setter::addon, 512}, {"n_batch", 4, 4, Setter::addon, 2048}, \
        {"n_ubatch", 8, 4, Setter::addon, 512}, {                                \
        "n_seq_max", 12, 4, Setter::addon, 1                                     \
    }
#define THREADS(at) \
    {"n_threads", at, 4, Setter::addon, threads}, { "n_threads_batch", at + 4, 4, Setter::addon, threads }
#define SCALING(at)                                                                                                   \
    {"rope_scaling_type", at, 4, Setter::nobody, minus_one}, {"pooling_type", at + 4, 4, Setter::nobody, minus_one},  \
        {"attention_type", at + 8, 4, Setter::nobody, minus_one},                                                     \
        {"flash_attn_type", at + 12, 4, Setter::addon, minus_one}, {"rope_freq_base", at + 16, 4, Setter::nobody, 0}, \
        {"rope_freq_scale", at + 20, 4, Setter::nobody, 0},                                                           \
        {"yarn_ext_factor", at + 24, 4, Setter::nobody, minus_one_float},                                             \
        {"yarn_attn_factor", at + 28, 4, Setter::nobody, minus_one_float},                                            \
        {"yarn_beta_fast", at + 32, 4, Setter::nobody, minus_one_float},                                              \
        {"yarn_beta_slow", at + 36, 4, Setter::nobody, minus_one_float},                                              \
        {"yarn_orig_ctx", at + 40, 4, Setter::nobody, 0}, {                                                           \
        "defrag_thold", at + 44, 4, Setter::nobody, minus_one_float                                                   \
    }
#define TAIL(at)                                                                                                   \
    {"cb_eval", at, 8, Setter::nobody, 0}, {"cb_eval_user_data", at + 8, 8, Setter::nobody, 0},                    \
        {"type_k", at + 16, 4, Setter::addon, f16}, {"type_v", at + 20, 4, Setter::addon, f16},                    \
        {"abort_callback", at + 24, 8, Setter::nobody, 0}, {"abort_callback_data", at + 32, 8, Setter::nobody, 0}, \
        {"embeddings", at + 40, 1, Setter::addon, 0}, {"offload_kqv", at + 41, 1, Setter::nobody, 1},              \
        {"no_perf", at + 42, 1, Setter::addon, 1}, {"op_offload", at + 43, 1, Setter::nobody, 1},                  \
        {"swa_full", at + 44, 1, Setter::addon, 1}, {"kv_unified", at + 45, 1, Setter::addon, 0},                  \
        {"samplers", at + 48, 8, Setter::nobody, 0}, {                                                             \
        "n_samplers", at + 56, 8, Setter::nobody, 0                                                                \
    }

// llama.cpp b8352 and b8390
constexpr Field fields_3_18[] = {HEAD, THREADS(16), SCALING(24), TAIL(72)};

// llama.cpp b9842 and b10068
constexpr Field fields_3_19[] = {
    HEAD,        {"n_rs_seq", 16, 4, Setter::nobody, 0},  {"n_outputs_max", 20, 4, Setter::nobody, 0},
    THREADS(24), {"ctx_type", 32, 4, Setter::nobody, 0},  SCALING(36),
    TAIL(88),    {"ctx_other", 152, 8, Setter::nobody, 0}};

// llama.cpp b10361, v0.4.0 and v0.5.0
constexpr Field fields_3_20[] = {HEAD,
                                 {"n_rs_seq", 16, 4, Setter::nobody, 0},
                                 {"n_outputs_max", 20, 4, Setter::nobody, 0},
                                 {"n_outputs_max_per_seq", 24, 4, Setter::nobody, 1},
                                 THREADS(28),
                                 {"ctx_type", 36, 4, Setter::nobody, 0},
                                 SCALING(40),
                                 TAIL(88),
                                 {"ctx_other", 152, 8, Setter::nobody, 0}};

#undef HEAD
#undef THREADS
#undef SCALING
#undef TAIL

template <size_t count>
constexpr ParamsLayout layout(const char* releases, const Field (&fields)[count], size_t size) {
    return {releases, fields, count, size};
}

bool has_standard_values(const ParamsLayout& layout, const Defaults& defaults) {
    for (size_t i = 0; i < layout.field_count; i++)
        if (read_field(layout.fields[i], defaults.bytes) != layout.fields[i].standard) return false;
    return true;
}

}  // namespace

const ParamsLayout known_layouts[] = {
    layout("3.20 to 3.22", fields_3_20, 160),
    layout("3.19", fields_3_19, 160),
    layout("3.18", fields_3_18, 136),
};
const size_t known_layout_count = sizeof known_layouts / sizeof known_layouts[0];

const Field* find_field(const ParamsLayout& layout, const char* name) {
    for (size_t i = 0; i < layout.field_count; i++)
        if (std::strcmp(layout.fields[i].name, name) == 0) return &layout.fields[i];
    return nullptr;
}

uint64_t read_field(const Field& field, const void* params) {
    uint64_t value = 0;
    std::memcpy(&value, static_cast<const char*>(params) + field.offset,
                field.size);  // every platform is little-endian
    return value;
}

const ParamsLayout* recognise(const Defaults& defaults) {
    const ParamsLayout* found = nullptr;
    for (size_t i = 0; i < known_layout_count; i++) {
        if (!has_standard_values(known_layouts[i], defaults)) continue;
        if (found != nullptr) return nullptr;
        found = &known_layouts[i];
    }
    return found;
}

}  // namespace mara::llama
