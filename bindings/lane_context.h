#pragma once

#include <napi.h>

namespace mara::bindings {

// Exports the LaneContext class (lib/native.ts: NativeLaneContext).
void init_lanes(Napi::Env env, Napi::Object exports);

}  // namespace mara::bindings
