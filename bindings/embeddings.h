// rowBytes and dequantise (lib/native.ts).
#pragma once

#include <napi.h>

namespace mara::bindings {

void init_embeddings(Napi::Env env, Napi::Object exports);

}  // namespace mara::bindings
