// The addon: what lib/native.ts types. No static state: everything belongs to the environment that loaded it.
#include <napi.h>

#include "agent.h"
#include "cuda.h"
#include "embeddings.h"
#include "file_lock.h"
#include "kernel/kernel.h"
#include "lane_context.h"
#include "learner.h"
#include "stay_loaded.h"
#include "student.h"
#include "student_learner.h"

namespace {

Napi::Value kernels(const Napi::CallbackInfo& info) {
    const char* names[32];
    const int32_t count = mara::kernel::variants(names, 32);
    Napi::Array array = Napi::Array::New(info.Env());
    for (int32_t i = 0; i < count && i < 32; ++i)
        array.Set(static_cast<uint32_t>(i), Napi::String::New(info.Env(), names[i]));
    return array;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
    mara::bindings::stay_loaded();
    mara::bindings::init_agent(env, exports);
    mara::bindings::init_cuda(env, exports);
    mara::bindings::init_embeddings(env, exports);
    mara::bindings::init_file_lock(env, exports);
    mara::bindings::init_lanes(env, exports);
    mara::bindings::init_learner(env, exports);
    mara::bindings::init_student(env, exports);
    mara::bindings::init_student_learner(env, exports);
    exports.Set("kernels", Napi::Function::New<kernels>(env, "kernels"));
    return exports;
}

}  // namespace

NODE_API_MODULE(mara, init)
