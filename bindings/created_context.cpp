#include "created_context.h"

namespace mara::bindings {
namespace {

void* unwrap(Napi::Env env, const Napi::Value& value, const char* what) {
    void* pointer = nullptr;
    if (!value.IsObject() || napi_unwrap(env, value, &pointer) != napi_ok || pointer == nullptr)
        unavailable(env, std::string("node-llama-cpp's ") + what + " is no longer a wrapped native object");
    return pointer;
}

uint32_t field(const Napi::Object& object, const char* name) {
    return object.Get(name).As<Napi::Number>().Uint32Value();
}

}  // namespace

void unavailable(Napi::Env env, const std::string& problem) {
    throw Napi::Error::New(env, "LANES_UNAVAILABLE: " + problem);
}

CreatedContext::CreatedContext(Napi::Env env, const Napi::Value& addon_context, const Napi::Value& addon_model,
                               const Napi::Value& expected, const Napi::Value& lanes, const Napi::Value& extra_cells) {
    void* const context = unwrap(env, addon_context, "context");
    addon_model_ = unwrap(env, addon_model, "model");
    const auto wanted = expected.As<Napi::Object>();
    lanes_ = lanes.As<Napi::Number>().Int32Value();
    sequences_ = field(wanted, "sequences");
    swa_full_ = wanted.Get("swaFull").ToBoolean();
    recurrent_ = wanted.Get("recurrent").ToBoolean();

    std::string problem;
    if (!llama::resolve_api(*static_cast<void**>(context), api_, problem)) unavailable(env, problem);
    const llama::ExpectedParams params{field(wanted, "contextSize"), field(wanted, "batchSize"), sequences_, swa_full_,
                                       wanted.Get("noPerf").ToBoolean()};
    const llama::Defaults defaults = llama::read_defaults(api_);
    if (!llama::find_layout(context, addon_model_, defaults, params, layout_, problem)) unavailable(env, problem);
    llama::patch_params(layout_, all_sequences(), extra_cells.As<Napi::Number>().Uint32Value());
}

llama_context* CreatedContext::verify(Napi::Env env) const {
    std::string problem;
    if (!llama::verify_context(api_, layout_, addon_model_, all_sequences(), problem)) unavailable(env, problem);
    return *layout_.context;
}

// The sequences are the caller's, the lanes, the cache's own for discarded cells, and the keepers of states.
uint32_t CreatedContext::all_sequences() const {
    return sequences_ + static_cast<uint32_t>(lanes_) + 1 + (recurrent_ ? sequences_ : 0);
}

}  // namespace mara::bindings
