// The part of llama.cpp's C interface that the lanes use, found at run time in the library that node-llama-cpp loaded.
//
// Declarations follow llama.h of release v0.5.0. Nothing is linked: a machine without llama.cpp still loads the addon.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

struct llama_context;
struct llama_model;
struct llama_memory_i;
struct llama_vocab;

namespace mara::llama {

using Token = int32_t;
using Position = int32_t;
using SequenceId = int32_t;

// struct llama_batch
struct Batch {
    int32_t n_tokens;
    Token* token;
    float* embd;
    Position* pos;
    int32_t* n_seq_id;
    SequenceId** seq_id;
    int8_t* output;
};

// struct llama_context_params
struct ContextParams {
    uint32_t n_ctx;
    uint32_t n_batch;
    uint32_t n_ubatch;
    uint32_t n_seq_max;
    uint32_t n_rs_seq;
    uint32_t n_outputs_max;
    uint32_t n_outputs_max_per_seq;
    int32_t n_threads;
    int32_t n_threads_batch;
    int32_t ctx_type;
    int32_t rope_scaling_type;
    int32_t pooling_type;
    int32_t attention_type;
    int32_t flash_attn_type;
    float rope_freq_base;
    float rope_freq_scale;
    float yarn_ext_factor;
    float yarn_attn_factor;
    float yarn_beta_fast;
    float yarn_beta_slow;
    uint32_t yarn_orig_ctx;
    float defrag_thold;
    void* cb_eval;
    void* cb_eval_user_data;
    int32_t type_k;
    int32_t type_v;
    void* abort_callback;
    void* abort_callback_data;
    uint8_t embeddings;
    uint8_t offload_kqv;
    uint8_t no_perf;
    uint8_t op_offload;
    uint8_t swa_full;
    uint8_t kv_unified;
    void* samplers;
    size_t n_samplers;
    llama_context* ctx_other;
};

struct Api {
    int32_t (*decode)(llama_context*, Batch);
    void (*synchronize)(llama_context*);
    void (*set_embeddings)(llama_context*, bool);
    void (*set_n_threads)(llama_context*, int32_t, int32_t);
    float* (*get_logits_ith)(llama_context*, int32_t);
    float* (*get_embeddings)(llama_context*);
    float* (*get_embeddings_ith)(llama_context*, int32_t);
    llama_memory_i* (*get_memory)(const llama_context*);
    bool (*memory_seq_rm)(llama_memory_i*, SequenceId, Position, Position);
    void (*memory_seq_cp)(llama_memory_i*, SequenceId, SequenceId, Position, Position);
    const llama_model* (*get_model)(const llama_context*);
    int32_t (*model_n_embd_out)(const llama_model*);
    const llama_vocab* (*model_get_vocab)(const llama_model*);
    int32_t (*vocab_n_tokens)(const llama_vocab*);
    int32_t (*pooling_type)(const llama_context*);
    uint32_t (*n_ctx)(const llama_context*);
    uint32_t (*n_ctx_seq)(const llama_context*);
    uint32_t (*n_batch)(const llama_context*);
    uint32_t (*n_seq_max)(const llama_context*);
    size_t (*max_parallel_sequences)();
};

// Fills `api` from the llama.cpp library used by the module that contains `address` (a vtable of node-llama-cpp's addon).
// Returns false and says in `problem` what is missing.
bool resolve_api(const void* address, Api& api, std::string& problem);

}  // namespace mara::llama
