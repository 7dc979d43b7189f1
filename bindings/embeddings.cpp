#include "embeddings.h"

#include "arguments.h"
#include "llama/embeddings.h"

namespace mara::bindings {
namespace {

// The dequantiser of the type, from the library behind node-llama-cpp's model object.
llama::Dequantiser dequantiser_of(const Napi::Value& object, const Napi::Value& type) {
    const Napi::Env env = object.Env();
    void* model = nullptr;
    if (!object.IsObject() || napi_unwrap(env, object, &model) != napi_ok || model == nullptr)
        fail(env, "UNSUPPORTED_VERSION", "node-llama-cpp's model is no longer a wrapped native object");
    llama::Dequantiser dequantiser;
    std::string problem;
    // The first word of node-llama-cpp's object points to its class, in its own module.
    if (!llama::find_dequantiser(*static_cast<void**>(model), type.As<Napi::Number>().Int32Value(), dequantiser,
                                 problem))
        fail(env, "UNSUPPORTED_VERSION", problem);
    return dequantiser;
}

// (addonModel, type, width): the bytes of a row of so many values.
Napi::Value row_bytes(const Napi::CallbackInfo& info) {
    const auto bytes = dequantiser_of(info[0], info[1]).row_bytes(info[2].As<Napi::Number>().Int64Value());
    if (bytes == 0) invalid_argument(info.Env(), "width", "a multiple of the type's block", info[2]);
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// (addonModel, type, bytes, width): the values of the rows in `bytes`, of `width` values each.
Napi::Value dequantise(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const llama::Dequantiser dequantiser = dequantiser_of(info[0], info[1]);
    const auto bytes = info[2].As<Napi::Uint8Array>();
    const int64_t width = info[3].As<Napi::Number>().Int64Value();
    const size_t size = width < 1 ? 0 : dequantiser.row_bytes(width);
    if (size == 0 || bytes.ByteLength() % size != 0)
        invalid_argument(env, "bytes", "whole rows of " + std::to_string(width) + " values", bytes);
    const size_t rows = bytes.ByteLength() / size;
    auto values = Napi::Float32Array::New(env, rows * static_cast<size_t>(width));
    for (size_t i = 0; i < rows; i++)
        dequantiser.row(bytes.Data() + i * size, width, values.Data() + i * static_cast<size_t>(width));
    return values;
}

}  // namespace

void init_embeddings(Napi::Env env, Napi::Object exports) {
    exports.Set("rowBytes", Napi::Function::New<row_bytes>(env, "rowBytes"));
    exports.Set("dequantise", Napi::Function::New<dequantise>(env, "dequantise"));
}

}  // namespace mara::bindings
