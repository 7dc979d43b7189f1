// The shared library of llama.cpp that node-llama-cpp loaded, whatever its file is called.
#pragma once

#include <string>

namespace mara::llama {

// The library in which `find_symbol` finds `name`, seen from the module that contains `address` (a vtable of
// node-llama-cpp's addon). Null, with a `problem`, if there is none.
void* find_library(const void* address, const char* name, std::string& problem);
void* find_symbol(void* library, const char* name);

}  // namespace mara::llama
