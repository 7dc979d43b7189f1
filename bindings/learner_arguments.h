// What JavaScript hands to a learner, checked.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "arguments.h"
#include "train/learner.h"

namespace mara::bindings {

train::Options read_learner_options(const Napi::Value& value);

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

template <class Array>
void check_length(const Array& array, const char* name, size_t length) {
    if (array.ElementLength() != length)
        invalid_argument(array.Env(), name, std::to_string(length) + " items",
                         Napi::Number::New(array.Env(), static_cast<double>(array.ElementLength())));
}

// Every item must pass; the first that does not is named.
template <class Array, class Passes>
void check_items(const Array& array, const char* name, const char* expected, Passes passes) {
    const auto* const end = array.Data() + array.ElementLength();
    const auto* const found = std::find_if_not(array.Data(), end, passes);
    if (found == end) return;
    invalid_argument(array.Env(), std::string(name) + '[' + std::to_string(found - array.Data()) + ']', expected,
                     Napi::Number::New(array.Env(), static_cast<double>(*found)));
}

inline bool is_finite(float value) { return std::isfinite(value); }
inline bool is_bit(uint8_t value) { return value <= 1; }

}  // namespace mara::bindings
