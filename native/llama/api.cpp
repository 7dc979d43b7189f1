#include "llama/api.h"

#include <cstring>
#include <new>

#ifdef _WIN32
#define NOMINMAX
#include <psapi.h>
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace mara::llama {
namespace {

#ifdef _WIN32

// GetProcAddress does not look into a module's dependencies, so the library is the loaded module that lies in the
// same directory as the addon and exports llama_decode.
std::wstring directory_of(HMODULE module) {
    wchar_t path[32768];
    const DWORD length = GetModuleFileNameW(module, path, 32768);
    std::wstring text(path, length);
    const size_t slash = text.find_last_of(L"\\/");
    return slash == std::wstring::npos ? std::wstring() : text.substr(0, slash);
}

void* find_library(const void* address, std::string& problem) {
    HMODULE addon = nullptr;
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            static_cast<LPCWSTR>(address), &addon)) {
        problem = "the module of node-llama-cpp's addon could not be found";
        return nullptr;
    }
    if (GetProcAddress(addon, "llama_decode") != nullptr) return addon;
    HMODULE modules[1024];
    DWORD bytes = 0;
    if (!K32EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &bytes)) bytes = 0;
    const std::wstring directory = directory_of(addon);
    for (size_t i = 0; i < bytes / sizeof(HMODULE) && i < 1024; i++) {
        if (GetProcAddress(modules[i], "llama_decode") != nullptr && directory_of(modules[i]) == directory)
            return modules[i];
    }
    problem = "no loaded llama.cpp library was found beside node-llama-cpp's addon";
    return nullptr;
}

void* find_symbol(void* library, const char* name) {
    return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

#else

// dlsym on a handle also searches the library's dependencies, so libllama's own (varying) file name is never needed.
void* find_library(const void* address, std::string& problem) {
    Dl_info info;
    if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
        problem = "the module of node-llama-cpp's addon could not be found";
        return nullptr;
    }
    void* library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) problem = std::string("node-llama-cpp's addon could not be reopened: ") + info.dli_fname;
    return library;
}

void* find_symbol(void* library, const char* name) { return dlsym(library, name); }

#endif

}  // namespace

bool resolve_api(const void* address, Api& api, std::string& problem) {
    void* library = find_library(address, problem);
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
    find(api.model_get_vocab, "llama_model_get_vocab");
    find(api.vocab_n_tokens, "llama_vocab_n_tokens");
    find(api.n_ctx, "llama_n_ctx");
    find(api.n_ctx_seq, "llama_n_ctx_seq");
    find(api.n_batch, "llama_n_batch");
    find(api.n_ubatch, "llama_n_ubatch");
    find(api.n_seq_max, "llama_n_seq_max");
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
