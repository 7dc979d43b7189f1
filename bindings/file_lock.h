// Locks of files by the operating system, which takes them back when the process ends, however it ends.
#pragma once

#include <napi.h>

namespace mara::bindings {

// Exports lockFile() (lib/native.ts).
void init_file_lock(Napi::Env env, Napi::Object exports);

}  // namespace mara::bindings
