// What decodes and rows give, as lib/native.ts describes it.
#pragma once

#include <napi.h>

#include <vector>

#include "llama/lanes.h"

namespace mara::bindings {

// {status, decodeMs}
Napi::Object decode_object(Napi::Env env, const llama::WaveResult& result);
// {status, decodeMs, agents, logits, probabilities, kernelMs}
Napi::Object wave_object(Napi::Env env, const llama::WaveResult& result);
// {tokens, logits}
Napi::Object top_logits_object(Napi::Env env, const std::vector<llama::TokenLogit>& found);

}  // namespace mara::bindings
