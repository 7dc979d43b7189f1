// Finds llama.cpp's structures inside node-llama-cpp's C++ objects, and refuses any layout it does not recognise.
//
// AddonContext (node-llama-cpp, llama/addon/AddonContext.h) holds, one after the other:
//     AddonModel* model;  llama_context_params context_params;  llama_context* ctx;
// The position of `model` is found by value. llama_context_params grew between releases; which of its known layouts
// this library has is told by its values alone (layout_table.h), never by a version number, and everything is compared
// before anything is read as a pointer or written.
#pragma once

#include "llama/api.h"
#include "llama/layout_table.h"

namespace mara::llama {

struct ExpectedParams {
    uint32_t context_size;
    uint32_t batch_size;
    uint32_t sequences;
    bool swa_full;
    bool no_perf;
};

struct Layout {
    const ParamsLayout* table = nullptr;
    char* params = nullptr;
    llama_context** context = nullptr;
};

// Before AddonContext.init(): locates the fields, and compares them with `defaults` (this library's
// llama_context_default_params()) and with what node-llama-cpp was asked for.
bool find_layout(void* addon_context, const void* addon_model, const Defaults& defaults, const ExpectedParams& expected,
                 Layout& layout, std::string& problem);

// Asks for a unified KV cache with so many sequences and so many cells more.
void patch_params(const Layout& layout, uint32_t n_seq_max, uint32_t extra_cells);

// After AddonContext.init(): the context must belong to the model object and have taken the patched parameters.
bool verify_context(const Api& api, const Layout& layout, const void* addon_model, uint32_t n_seq_max,
                    std::string& problem);

}  // namespace mara::llama
