// The Learner class (lib/native-learners.ts: NativeLearner).
#pragma once

#include <napi.h>

namespace mara::bindings {

void init_learner(Napi::Env env, Napi::Object exports);

}  // namespace mara::bindings
