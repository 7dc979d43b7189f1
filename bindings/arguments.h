// Argument checks. Their errors read as those of lib/errors.ts do: Expected X for Y but received Z.
#pragma once

#include <napi.h>

#include <string>

namespace mara::bindings {

// Throws an Error with the message "CODE: text", which lib/native.ts turns into a MaraError.
[[noreturn]] void fail(Napi::Env env, const char* code, const std::string& text);
// Throws with the code INVALID_ARGUMENT and the message "Expected … for … but received …".
[[noreturn]] void invalid_argument(Napi::Env env, const std::string& name, const std::string& expected,
                                   const Napi::Value& received);

// These read members of an object, which messages call by `name`. A positive integer is at most 65536.
int32_t positive_integer(const Napi::Object& object, const char* name);
Napi::Float32Array float_array(const Napi::Object& object, const char* name, size_t length);

}  // namespace mara::bindings
