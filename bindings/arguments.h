// Argument checks with the one wording of lib/errors.ts: "INVALID_ARGUMENT: Expected X for Y but received Z".
#pragma once

#include <napi.h>

#include <string>

namespace mara::bindings {

// Throws "CODE: text", which lib/native.ts turns into a MaraError.
[[noreturn]] void fail(Napi::Env env, const char* code, const std::string& text);
[[noreturn]] void invalid_argument(Napi::Env env, const std::string& name, const std::string& expected,
                                   const Napi::Value& received);

// Members of an object, named `object.member` in messages.
int32_t positive_integer(const Napi::Object& object, const char* name);
Napi::Float32Array float_array(const Napi::Object& object, const char* name, size_t length);

}  // namespace mara::bindings
