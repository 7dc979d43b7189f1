// A context of node-llama-cpp between its construction and its init(), and what must be true of it after that.
#pragma once

#include <napi.h>

#include <string>

#include "llama/layout.h"

namespace mara::bindings {

[[noreturn]] void unavailable(Napi::Env env, const std::string& problem);

class CreatedContext {
public:
    // Verifies the layout and asks for lanes by changing the parameters. Throws LANES_UNAVAILABLE.
    CreatedContext(Napi::Env env, const Napi::Value& addon_context, const Napi::Value& addon_model,
                   const Napi::Value& expected, const Napi::Value& lanes, const Napi::Value& extra_cells);

    // After init(): the context, once it has turned out to be what was asked for. Throws LANES_UNAVAILABLE.
    llama_context* verify(Napi::Env env) const;

    const llama::Api& api() const { return api_; }
    int32_t sequences() const { return static_cast<int32_t>(sequences_); }
    int32_t lanes() const { return lanes_; }
    bool swa_full() const { return swa_full_; }
    bool recurrent() const { return recurrent_; }

private:
    uint32_t all_sequences() const;

    llama::Api api_{};
    // These point into node-llama-cpp's objects. They are alive whenever a method is called: the hook that calls it
    // hangs on the context, which holds the model. References from here would keep a forgotten context from ever being
    // collected.
    llama::Layout layout_;
    const void* addon_model_ = nullptr;
    uint32_t sequences_ = 0;
    int32_t lanes_ = 0;
    bool swa_full_ = false;
    bool recurrent_ = false;
};

}  // namespace mara::bindings
