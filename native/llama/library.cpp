#include "llama/library.h"

#ifdef _WIN32
#define NOMINMAX
#include <psapi.h>
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace mara::llama {

#ifdef _WIN32

// GetProcAddress does not look into a module's dependencies, so the library is the loaded module that lies in the
// same directory as the addon and exports the name.
static std::wstring directory_of(HMODULE module) {
    wchar_t path[32768];
    const DWORD length = GetModuleFileNameW(module, path, 32768);
    std::wstring text(path, length);
    const size_t slash = text.find_last_of(L"\\/");
    return slash == std::wstring::npos ? std::wstring() : text.substr(0, slash);
}

void* find_library(const void* address, const char* name, std::string& problem) {
    HMODULE addon = nullptr;
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            static_cast<LPCWSTR>(address), &addon)) {
        problem = "the module of node-llama-cpp's addon could not be found";
        return nullptr;
    }
    if (GetProcAddress(addon, name) != nullptr) return addon;
    HMODULE modules[1024];
    DWORD bytes = 0;
    if (!K32EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &bytes)) bytes = 0;
    const std::wstring directory = directory_of(addon);
    for (size_t i = 0; i < bytes / sizeof(HMODULE) && i < 1024; i++) {
        if (GetProcAddress(modules[i], name) != nullptr && directory_of(modules[i]) == directory) return modules[i];
    }
    problem = std::string("no loaded library beside node-llama-cpp's addon has a function ") + name;
    return nullptr;
}

void* find_symbol(void* library, const char* name) {
    return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

#else

// dlsym on a handle also searches the library's dependencies, so libllama's own (varying) file name is never needed.
void* find_library(const void* address, const char*, std::string& problem) {
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

}  // namespace mara::llama
