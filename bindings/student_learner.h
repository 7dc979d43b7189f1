// The StudentLearner class (lib/native-learners.ts: NativeStudentLearner).
#pragma once

#include <napi.h>

namespace mara::bindings {

void init_student_learner(Napi::Env env, Napi::Object exports);

}  // namespace mara::bindings
