// Finds llama.cpp's structures inside node-llama-cpp's C++ objects, and refuses whatever it does not recognise.
//
// AddonContext (node-llama-cpp, llama/addon/AddonContext.h) holds, one after the other:
//     AddonModel* model;  llama_context_params context_params;  llama_context* ctx;
// The position of `model` is found by value; everything after it is checked before anything is read as a pointer or written.
#pragma once

#include "llama/api.h"

namespace mara::llama {

struct ExpectedParams {
    uint32_t context_size;
    uint32_t batch_size;
    uint32_t sequences;
    bool swa_full;
    bool no_perf;
};

struct Layout {
    ContextParams* params = nullptr;
    llama_context** context = nullptr;
};

// Before AddonContext.init(): locates the fields and compares them with what node-llama-cpp was asked for.
bool find_layout(void* addon_context, const void* addon_model, const ExpectedParams& expected, Layout& layout,
                 std::string& problem);

// After AddonContext.init(): the context must belong to the model object and have taken the patched parameters.
bool verify_context(const Api& api, const Layout& layout, const void* addon_model, uint32_t n_seq_max, std::string& problem);

}  // namespace mara::llama
