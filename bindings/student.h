// The Student class (lib/native.ts: NativeStudent), and how lanes reach it.
#pragma once

#include <napi.h>

#include <memory>

#include "kernel/student.h"

namespace mara::bindings {

void init_student(Napi::Env env, Napi::Object exports);

// Throws if `value` is no Student.
std::shared_ptr<const kernel::Student> student_of(const Napi::Value& value);

// (tokens, logProbabilities), most probable first. Throws if a token has no row in the table.
std::vector<kernel::StudentCandidate> read_candidates(const kernel::Student& student, const Napi::Value& tokens,
                                                      const Napi::Value& log_probabilities);

// [candidates][mu, sigma]
Napi::Value verdicts_of(Napi::Env env, const std::vector<kernel::StudentVerdict>& verdicts);

}  // namespace mara::bindings
