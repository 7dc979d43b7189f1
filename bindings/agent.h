// The Agent class (lib/native.ts: NativeAgent), and how other bindings reach its network.
#pragma once

#include <napi.h>

#include <memory>

#include "kernel/kernel.h"

namespace mara::bindings {

void init_agent(Napi::Env env, Napi::Object exports);

// The network of a JS Agent; null if `value` is no Agent or is disposed. The weights live as long as any copy of the
// result.
std::shared_ptr<const kernel::Network> network_of(const Napi::Value& value);

}  // namespace mara::bindings
