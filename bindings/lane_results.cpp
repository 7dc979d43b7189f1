#include "lane_results.h"

#include <cmath>

#include "kernel/probability.h"

namespace mara::bindings {

Napi::Object decode_object(Napi::Env env, const llama::WaveResult& result) {
    auto object = Napi::Object::New(env);
    object.Set("status", result.status);
    object.Set("decodeMs", result.decode_ms);
    return object;
}

Napi::Object wave_object(Napi::Env env, const llama::WaveResult& result) {
    Napi::Object object = decode_object(env, result);
    auto logits = Napi::Float32Array::New(env, result.logits.size());
    auto probabilities = Napi::Float32Array::New(env, result.logits.size());
    for (size_t i = 0; i < result.logits.size(); i++) {
        logits[i] = result.logits[i];
        probabilities[i] = std::isnan(result.logits[i]) ? result.logits[i] : kernel::probability_of(result.logits[i]);
    }
    object.Set("agents", result.agents);
    object.Set("logits", logits);
    object.Set("probabilities", probabilities);
    object.Set("kernelMs", result.kernel_ms);
    return object;
}

Napi::Object top_logits_object(Napi::Env env, const std::vector<llama::TokenLogit>& found) {
    auto tokens = Napi::Int32Array::New(env, found.size());
    auto logits = Napi::Float32Array::New(env, found.size());
    for (size_t i = 0; i < found.size(); i++) {
        tokens[i] = found[i].token;
        logits[i] = found[i].logit;
    }
    auto object = Napi::Object::New(env);
    object.Set("tokens", tokens);
    object.Set("logits", logits);
    return object;
}

}  // namespace mara::bindings
