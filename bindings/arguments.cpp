#include "arguments.h"

#include <cmath>

namespace mara::bindings {
namespace {

// Describes a value in the same words as describe() in lib/errors.ts.
std::string describe(const Napi::Value& value) {
    if (value.IsString()) return '"' + value.As<Napi::String>().Utf8Value() + '"';
    if (value.IsFunction()) return "a function";
    if (!value.IsObject()) return value.ToString().Utf8Value();
    const Napi::Value constructor = value.As<Napi::Object>().Get("constructor");
    std::string name = "object";
    if (constructor.IsFunction()) name = constructor.As<Napi::Object>().Get("name").ToString().Utf8Value();
    if (value.IsTypedArray()) name += '(' + std::to_string(value.As<Napi::TypedArray>().ElementLength()) + ')';
    return name;
}

}  // namespace

void fail(Napi::Env env, const char* code, const std::string& text) {
    throw Napi::Error::New(env, std::string(code) + ": " + text);
}

void invalid_argument(Napi::Env env, const std::string& name, const std::string& expected,
                      const Napi::Value& received) {
    fail(env, "INVALID_ARGUMENT", "Expected " + expected + " for " + name + " but received " + describe(received));
}

int32_t positive_integer(const Napi::Object& object, const char* name) {
    const Napi::Value value = object.Get(name);
    if (value.IsNumber()) {
        const double number = value.As<Napi::Number>().DoubleValue();
        if (number >= 1 && number <= 65536 && number == std::floor(number)) return static_cast<int32_t>(number);
    }
    invalid_argument(object.Env(), name, "an integer from 1 to 65536", value);
}

Napi::Float32Array float_array(const Napi::Object& object, const char* name, size_t length) {
    const Napi::Value value = object.Get(name);
    if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array) {
        const auto array = value.As<Napi::Float32Array>();
        if (array.ElementLength() == length) return array;
    }
    invalid_argument(object.Env(), name, "Float32Array(" + std::to_string(length) + ")", value);
}

}  // namespace mara::bindings
