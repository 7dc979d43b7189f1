// The part of llama.cpp's C interface that the lanes use, found at run time in the library that node-llama-cpp loaded.
//
// Declarations are the same in llama.h from b8352 to v0.5.0 (node-llama-cpp 3.18 to 3.22). Nothing is linked: a machine
// without llama.cpp still loads the addon.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "llama/layout_table.h"

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

// llama_context_params as it is returned: of any size up to this.
struct ParamsRoom {
    unsigned char bytes[Defaults::room];
};

struct Api {
    // Returns a smaller struct. Every platform's calling convention returns a struct of more than 16 bytes through a
    // pointer that the caller passes, so the larger room does no harm.
    ParamsRoom (*context_default_params)();
    int32_t (*decode)(llama_context*, Batch);
    void (*synchronize)(llama_context*);
    void (*set_embeddings)(llama_context*, bool);
    float* (*get_logits_ith)(llama_context*, int32_t);
    float* (*get_embeddings)(llama_context*);
    float* (*get_embeddings_ith)(llama_context*, int32_t);
    llama_memory_i* (*get_memory)(const llama_context*);
    bool (*memory_seq_rm)(llama_memory_i*, SequenceId, Position, Position);
    void (*memory_seq_cp)(llama_memory_i*, SequenceId, SequenceId, Position, Position);
    Position (*memory_seq_pos_min)(llama_memory_i*, SequenceId);
    Position (*memory_seq_pos_max)(llama_memory_i*, SequenceId);
    size_t (*state_seq_get_size)(llama_context*, SequenceId);
    size_t (*state_seq_get_data)(llama_context*, uint8_t*, size_t, SequenceId);
    size_t (*state_seq_set_data)(llama_context*, const uint8_t*, size_t, SequenceId);
    const llama_model* (*get_model)(const llama_context*);
    int32_t (*model_n_embd_out)(const llama_model*);
    int32_t (*model_n_swa)(const llama_model*);
    bool (*model_is_recurrent)(const llama_model*);
    bool (*model_is_hybrid)(const llama_model*);
    const llama_vocab* (*model_get_vocab)(const llama_model*);
    int32_t (*vocab_n_tokens)(const llama_vocab*);
    uint32_t (*n_ctx)(const llama_context*);
    uint32_t (*n_ctx_seq)(const llama_context*);
    uint32_t (*n_batch)(const llama_context*);
    uint32_t (*n_ubatch)(const llama_context*);
    uint32_t (*n_seq_max)(const llama_context*);
    int32_t (*n_threads)(llama_context*);
};

// Fills `api` from the llama.cpp library used by the module that contains `address` (a vtable of node-llama-cpp's
// addon). Returns false and says in `problem` what is missing.
bool resolve_api(const void* address, Api& api, std::string& problem);

Defaults read_defaults(const Api& api);

}  // namespace mara::llama
