// Checks the arguments that JavaScript gives to a learner.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "arguments.h"
#include "train/learner.h"

namespace mara::bindings {

train::LearnerOptions read_learner_options(const Napi::Value& value);

// An integer from 1 up.
int32_t count_of(Napi::Env env, const char* name, const Napi::Value& value);

template <class Array>
Array typed_array(const Napi::Value& value, napi_typedarray_type type, const char* name, const char* expected) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
        invalid_argument(value.Env(), name, expected, value);
    return value.As<Array>();
}

inline Napi::Float32Array floats(const Napi::Value& value, const char* name) {
    return typed_array<Napi::Float32Array>(value, napi_float32_array, name, "Float32Array");
}
inline Napi::Int32Array integers(const Napi::Value& value, const char* name) {
    return typed_array<Napi::Int32Array>(value, napi_int32_array, name, "Int32Array");
}
inline Napi::Uint8Array bytes(const Napi::Value& value, const char* name) {
    return typed_array<Napi::Uint8Array>(value, napi_uint8_array, name, "Uint8Array");
}

inline void check_length(Napi::Env env, size_t length, const char* name, size_t expected) {
    if (length != expected)
        invalid_argument(env, name, std::to_string(expected) + " items",
                         Napi::Number::New(env, static_cast<double>(length)));
}

// A copy to check and to keep: JavaScript in another thread may write to an array over shared memory at any time.
template <class Array>
auto copy_of(const Array& array) {
    return std::vector(array.Data(), array.Data() + array.ElementLength());
}

// Every item must pass; the first that does not is named.
template <class Item, class Passes>
void check_items(Napi::Env env, std::span<const Item> items, const char* name, const char* expected, Passes passes) {
    const auto found = std::find_if_not(items.begin(), items.end(), passes);
    if (found == items.end()) return;
    invalid_argument(env, std::string(name) + '[' + std::to_string(found - items.begin()) + ']', expected,
                     Napi::Number::New(env, static_cast<double>(*found)));
}

inline bool is_finite(float value) { return std::isfinite(value); }
inline bool is_bit(uint8_t value) { return value <= 1; }

}  // namespace mara::bindings
