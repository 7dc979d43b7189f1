#include "llama/api.h"

#include <cstring>
#include <new>

#include "llama/library.h"

namespace mara::llama {

bool resolve_api(const void* address, Api& api, std::string& problem) {
    void* library = find_library(address, "llama_decode", problem);
    if (library == nullptr) return false;
    bool complete = true;
    auto find = [&](auto& slot, const char* name) {
        void* symbol = find_symbol(library, name);
        if (symbol == nullptr && complete) {
            complete = false;
            problem = std::string("the llama.cpp library has no function ") + name;
        }
        slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(symbol);
    };
    find(api.context_default_params, "llama_context_default_params");
    find(api.decode, "llama_decode");
    find(api.synchronize, "llama_synchronize");
    find(api.set_embeddings, "llama_set_embeddings");
    find(api.get_logits_ith, "llama_get_logits_ith");
    find(api.get_embeddings, "llama_get_embeddings");
    find(api.get_embeddings_ith, "llama_get_embeddings_ith");
    find(api.get_memory, "llama_get_memory");
    find(api.memory_seq_rm, "llama_memory_seq_rm");
    find(api.memory_seq_cp, "llama_memory_seq_cp");
    find(api.memory_seq_pos_min, "llama_memory_seq_pos_min");
    find(api.memory_seq_pos_max, "llama_memory_seq_pos_max");
    find(api.state_seq_get_size, "llama_state_seq_get_size");
    find(api.state_seq_get_data, "llama_state_seq_get_data");
    find(api.state_seq_set_data, "llama_state_seq_set_data");
    find(api.get_model, "llama_get_model");
    find(api.model_n_embd_out, "llama_model_n_embd_out");
    find(api.model_n_swa, "llama_model_n_swa");
    find(api.model_is_recurrent, "llama_model_is_recurrent");
    find(api.model_is_hybrid, "llama_model_is_hybrid");
    find(api.model_get_vocab, "llama_model_get_vocab");
    find(api.vocab_n_tokens, "llama_vocab_n_tokens");
    find(api.n_ctx, "llama_n_ctx");
    find(api.n_ctx_seq, "llama_n_ctx_seq");
    find(api.n_batch, "llama_n_batch");
    find(api.n_ubatch, "llama_n_ubatch");
    find(api.n_seq_max, "llama_n_seq_max");
    find(api.n_threads, "llama_n_threads");
    return complete;
}

Defaults read_defaults(const Api& api) {
    // The room is filled with one pattern and then with another. A byte that keeps its pattern both times was not
    // written. A compiler that returns into a temporary first leaves the rest unknown, which counts as written.
    constexpr unsigned char patterns[] = {0xa5, 0x5a};
    alignas(16) static thread_local unsigned char rooms[2][sizeof(ParamsRoom)];
    for (size_t i = 0; i < 2; i++) {
        volatile unsigned char* const room = rooms[i];
        for (size_t at = 0; at < sizeof(ParamsRoom); at++) room[at] = patterns[i];
        ::new (static_cast<void*>(rooms[i])) ParamsRoom(api.context_default_params());
    }
    Defaults defaults;
    std::memcpy(defaults.bytes, rooms[0], sizeof defaults.bytes);
    defaults.written = sizeof(ParamsRoom);
    while (defaults.written > 0 && rooms[0][defaults.written - 1] == patterns[0] &&
           rooms[1][defaults.written - 1] == patterns[1])
        defaults.written--;
    return defaults;
}

}  // namespace mara::llama
