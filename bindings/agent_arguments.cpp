#include "agent_arguments.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <thread>
#include <vector>

#include "arguments.h"

namespace mara::bindings {
namespace {

constexpr int32_t default_threads_max = 8;

std::vector<std::string> kernel_names() {
    const char* names[32];
    const int32_t count = std::min(kernel::variants(names, 32), 32);
    return {names, names + count};
}

// The values that an option takes, in the form of a message.
std::string one_of(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + '"';
    return "one of " + text;
}

std::vector<std::string> type_names() {
    kernel::WeightType types[32];
    const int32_t count = std::min(kernel::weight_types(types, 32), 32);
    std::vector<std::string> names{"auto"};
    for (int32_t i = 0; i < count; ++i) names.emplace_back(kernel::weight_type_name(types[i]));
    return names;
}

std::string read_kernel(const Napi::Object& options) {
    const Napi::Value value = options.Get("kernel");
    const std::vector<std::string> known = kernel_names();
    const auto unknown = [&](const std::string& name) {
        return std::find(known.begin(), known.end(), name) == known.end();
    };
    if (!value.IsUndefined()) {
        if (!value.IsString() || unknown(value.As<Napi::String>()))
            invalid_argument(options.Env(), "kernel", one_of(known), value);
        return value.As<Napi::String>();
    }
    const char* forced = std::getenv("MARA_KERNEL");
    if (forced == nullptr || *forced == '\0') return "";
    if (unknown(forced))
        invalid_argument(options.Env(), "MARA_KERNEL", one_of(known), Napi::String::New(options.Env(), forced));
    return forced;
}

int32_t read_threads(const Napi::Object& options) {
    if (!options.Get("threads").IsUndefined()) return std::min(positive_integer(options, "threads"), 256);
    return std::clamp(static_cast<int32_t>(std::thread::hardware_concurrency()), 1, default_threads_max);
}

// The size, offset or stride of a matrix: a whole number that may index memory.
size_t whole_number(const Napi::Object& object, const char* name) {
    const Napi::Value value = object.Get(name);
    if (value.IsNumber()) {
        const double number = value.As<Napi::Number>().DoubleValue();
        if (number >= 0 && number <= 0x1p40 && number == std::floor(number)) return static_cast<size_t>(number);
    }
    invalid_argument(object.Env(), name, "a whole number", value);
}

kernel::ItemType read_item_type(const Napi::Object& matrix) {
    const Napi::Value value = matrix.Get("dtype");
    const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
    if (name == "F32") return kernel::ItemType::f32;
    if (name == "F16") return kernel::ItemType::f16;
    if (name == "BF16") return kernel::ItemType::bf16;
    if (name == "F64") return kernel::ItemType::f64;
    invalid_argument(matrix.Env(), "dtype", "\"F32\", \"F16\", \"BF16\" or \"F64\"", value);
}

// {dtype, data, offset, rowStride, columnStride}: items of `data` that need not be aligned. All of them lie within it.
kernel::Matrix read_matrix(const Napi::Object& object, const char* name, size_t rows, size_t columns) {
    const Napi::Value value = object.Get(name);
    if (!value.IsObject()) invalid_argument(object.Env(), name, "a matrix", value);
    const auto matrix = value.As<Napi::Object>();
    const kernel::ItemType type = read_item_type(matrix);
    const size_t offset = whole_number(matrix, "offset");
    const size_t row_stride = whole_number(matrix, "rowStride");
    const size_t column_stride = whole_number(matrix, "columnStride");
    // Last, because a getter of the others could take its memory away.
    const Napi::Value data = matrix.Get("data");
    if (!data.IsTypedArray() || data.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
        invalid_argument(object.Env(), "data", "a Uint8Array", data);
    const auto bytes = data.As<Napi::Uint8Array>();
    const size_t items = bytes.ByteLength() / kernel::item_size(type);
    // None of these overflows: sizes end at 2^16, offset and strides at 2^40.
    if (offset + (rows - 1) * row_stride + (columns - 1) * column_stride >= items)
        fail(object.Env(), "INVALID_ARGUMENT",
             std::string("Expected the matrix ") + name + " to lie within its " + std::to_string(items) + " items");
    return {reinterpret_cast<const std::byte*>(bytes.Data()) + offset * kernel::item_size(type), type,
            static_cast<ptrdiff_t>(row_stride), static_cast<ptrdiff_t>(column_stride)};
}

}  // namespace

kernel::NetworkWeights read_weights(const Napi::Value& value) {
    if (!value.IsObject()) invalid_argument(value.Env(), "weights", "an object", value);
    const auto object = value.As<Napi::Object>();
    kernel::NetworkWeights weights{};
    weights.width = positive_integer(object, "width");
    weights.hidden1 = positive_integer(object, "hidden1");
    weights.hidden2 = positive_integer(object, "hidden2");
    const auto width = static_cast<size_t>(weights.width);
    const auto hidden1 = static_cast<size_t>(weights.hidden1);
    const auto hidden2 = static_cast<size_t>(weights.hidden2);
    weights.ln_weight = float_array(object, "lnWeight", width).Data();
    weights.ln_bias = float_array(object, "lnBias", width).Data();
    weights.w1 = read_matrix(object, "w1", hidden1, width);
    weights.b1 = float_array(object, "b1", hidden1).Data();
    weights.w2 = read_matrix(object, "w2", hidden2, hidden1);
    weights.b2 = float_array(object, "b2", hidden2).Data();
    weights.w3 = float_array(object, "w3", 2 * hidden2).Data();
    weights.b3 = float_array(object, "b3", 2).Data();
    return weights;
}

std::optional<kernel::WeightType> read_weight_type(const Napi::Object& options) {
    const Napi::Value value = options.Get("dtype");
    const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
    kernel::WeightType type;
    if (name == "auto") return std::nullopt;
    if (!kernel::find_weight_type(name.c_str(), type))
        invalid_argument(options.Env(), "dtype", one_of(type_names()), value);
    return type;
}

AgentOptions read_agent_options(const Napi::Value& weight_arrays, const Napi::Value& options) {
    const kernel::NetworkWeights weights = read_weights(weight_arrays);
    if (!options.IsObject()) invalid_argument(options.Env(), "options", "an object", options);
    const auto object = options.As<Napi::Object>();
    const std::string kernel = read_kernel(object);
    const auto type = read_weight_type(object);
    const auto preferred = kernel::preferred_type(kernel.empty() ? nullptr : kernel.c_str());
    return {weights, type.value_or(preferred), kernel, read_threads(object)};
}

}  // namespace mara::bindings
