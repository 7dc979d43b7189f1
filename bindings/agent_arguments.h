// The arguments of an Agent (lib/native.ts), checked.
#pragma once

#include <napi.h>

#include <optional>
#include <string>

#include "kernel/kernel.h"

namespace mara::bindings {

// The constructor's arguments. The float arrays still belong to JS.
struct AgentOptions {
    kernel::NetworkWeights weights;
    kernel::WeightType type;
    std::string kernel;  // empty: the default
    int32_t threads;
};

AgentOptions read_agent_options(const Napi::Value& weights, const Napi::Value& options);

kernel::NetworkWeights read_weights(const Napi::Value& value);
// The option `dtype`; "auto" stands for no type.
std::optional<kernel::WeightType> read_weight_type(const Napi::Object& options);

}  // namespace mara::bindings
