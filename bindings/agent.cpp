#include "agent.h"

#include <algorithm>
#include <optional>
#include <string>
#include <thread>

#include "arguments.h"
#include "cuda.h"
#include "kernel/device.h"
#include "pool_shelf.h"

namespace mara::bindings {
namespace {

using NetworkPointer = std::shared_ptr<kernel::Network>;

constexpr napi_type_tag agent_tag = {0x6d617261'6167656eULL, 0x9d1c'4a37'52b0'e86fULL};
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

// The constructor's arguments, checked. The float arrays still belong to JS.
struct Options {
    kernel::NetworkWeights weights;
    kernel::WeightType type;
    std::string kernel;  // empty: the default
    int32_t threads;
};

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
    weights.w1 = float_array(object, "w1", hidden1 * width).Data();
    weights.b1 = float_array(object, "b1", hidden1).Data();
    weights.w2 = float_array(object, "w2", hidden2 * hidden1).Data();
    weights.b2 = float_array(object, "b2", hidden2).Data();
    weights.w3 = float_array(object, "w3", 2 * hidden2).Data();
    weights.b3 = float_array(object, "b3", 2).Data();
    return weights;
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

// "auto" stands for no type.
std::optional<kernel::WeightType> read_type(const Napi::Object& options) {
    const Napi::Value value = options.Get("dtype");
    const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
    kernel::WeightType type;
    if (name == "auto") return std::nullopt;
    if (!kernel::find_weight_type(name.c_str(), type))
        invalid_argument(options.Env(), "dtype", one_of(type_names()), value);
    return type;
}

int32_t read_threads(const Napi::Object& options) {
    if (!options.Get("threads").IsUndefined()) return std::min(positive_integer(options, "threads"), 256);
    return std::clamp(static_cast<int32_t>(std::thread::hardware_concurrency()), 1, default_threads_max);
}

// A call that refers to no JavaScript object, so that any thread can run it.
struct ScoreCall {
    NetworkPointer network;
    std::shared_ptr<PoolShelf> pools;
    const float* states;
    int32_t count;
    float* probabilities;

    // `may_wait`: true off Node's main thread, which never waits for a device.
    kernel::Status run(bool may_wait) const {
        PoolPointer pool = pools->take();
        if (pool == nullptr) return kernel::Status::out_of_memory;
        const kernel::Network* networks[] = {network.get()};
        const int32_t width = kernel::network_width(network.get());
        const kernel::Status status = may_wait ? kernel::score_on_device(network.get(), states, width, nullptr, count,
                                                                         probabilities, pool.get(), pools->threads())
                                               : kernel::score(networks, 1, states, width, nullptr, count,
                                                               probabilities, pool.get(), pools->threads());
        pools->give_back(std::move(pool));
        return status;
    }
};

constexpr const char* out_of_memory = "Out of memory while scoring states";

// Works on a copy of the states: JavaScript may resize, transfer or write to its array while the call runs.
class ScoreWorker : public Napi::AsyncWorker {
public:
    ScoreWorker(Napi::Env env, ScoreCall call, std::vector<float> states)
        : AsyncWorker(env, "node-llama-mara score"),
          call_(std::move(call)),
          deferred_(Napi::Promise::Deferred::New(env)),
          states_(std::move(states)),
          probabilities_(static_cast<size_t>(call_.count)) {
        call_.states = states_.data();
        call_.probabilities = probabilities_.data();
    }

    Napi::Promise promise() const { return deferred_.Promise(); }

protected:
    void Execute() override {
        try {
            if (call_.run(true) != kernel::Status::ok) SetError(out_of_memory);
        } catch (...) {
            SetError(out_of_memory);
        }
    }
    void OnOK() override {
        auto probabilities = Napi::Float32Array::New(Env(), probabilities_.size());
        std::copy(probabilities_.begin(), probabilities_.end(), probabilities.Data());
        deferred_.Resolve(probabilities);
    }
    void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

private:
    ScoreCall call_;
    Napi::Promise::Deferred deferred_;
    std::vector<float> states_;
    std::vector<float> probabilities_;
};

class Agent : public Napi::ObjectWrap<Agent> {
public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(
            env, "Agent",
            {InstanceMethod<&Agent::score>("score"), InstanceMethod<&Agent::score_async>("scoreAsync"),
             InstanceMethod<&Agent::dispose>("dispose"), InstanceMethod<&Agent::use_cuda>("useCuda"),
             InstanceAccessor<&Agent::kernel>("kernel"), InstanceAccessor<&Agent::dtype>("dtype"),
             InstanceAccessor<&Agent::bytes>("bytes"), InstanceAccessor<&Agent::device_failure>("deviceFailure")});
    }

    explicit Agent(const Napi::CallbackInfo& info) : ObjectWrap(info) {
        const Napi::Env env = info.Env();
        const Options options = read(info);
        kernel::Network* network = nullptr;
        const char* kernel = options.kernel.empty() ? nullptr : options.kernel.c_str();
        switch (kernel::network_create(options.weights, options.type, kernel, &network)) {
            case kernel::Status::ok:
                break;
            case kernel::Status::bad_shape:
                fail(env, "AGENT_TENSORS", "Expected layers of 1 to 65536 numbers for the agent");
            case kernel::Status::unsupported_type:
            case kernel::Status::unsupported_variant:
                fail(env, "INVALID_ARGUMENT",
                     "Expected a weight type that this machine's kernel computes with for dtype but received \"" +
                         std::string(kernel::weight_type_name(options.type)) + '"');
            case kernel::Status::out_of_memory:
                throw Napi::Error::New(env, "Out of memory while packing the agent's weights");
        }
        network_ = NetworkPointer(network, kernel::network_free);
        pools_ = std::make_shared<PoolShelf>(options.threads);
        kernel_ = kernel::network_variant(network);
        dtype_ = kernel::weight_type_name(options.type);
        account(static_cast<int64_t>(kernel::network_bytes(network)));
        info.This().As<Napi::Object>().TypeTag(&agent_tag);
    }

    ~Agent() override { release(); }

    const NetworkPointer& network() const { return network_; }

private:
    static Options read(const Napi::CallbackInfo& info) {
        const kernel::NetworkWeights weights = read_weights(info[0]);
        if (!info[1].IsObject()) invalid_argument(info.Env(), "options", "an object", info[1]);
        const auto object = info[1].As<Napi::Object>();
        const std::string kernel = read_kernel(object);
        const auto type = read_type(object);
        const auto preferred = kernel::preferred_type(kernel.empty() ? nullptr : kernel.c_str());
        return {weights, type.value_or(preferred), kernel, read_threads(object)};
    }

    Napi::Float32Array states_of(const Napi::CallbackInfo& info) const {
        const Napi::Env env = info.Env();
        if (network_ == nullptr) fail(env, "AGENT_DISPOSED", "The agent was disposed");
        if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
            invalid_argument(env, "states", "Float32Array", info[0]);
        const auto states = info[0].As<Napi::Float32Array>();
        const auto width = static_cast<size_t>(kernel::network_width(network_.get()));
        if (states.ElementLength() % width != 0 || states.ElementLength() / width > INT32_MAX)
            fail(env, "AGENT_WIDTH",
                 "Expected a multiple of the agent's width " + std::to_string(width) +
                     " for the length of states but received " + std::to_string(states.ElementLength()));
        return states;
    }

    int32_t count_of(const Napi::Float32Array& states) const {
        return static_cast<int32_t>(states.ElementLength() /
                                    static_cast<size_t>(kernel::network_width(network_.get())));
    }

    Napi::Value score(const Napi::CallbackInfo& info) {
        const Napi::Float32Array states = states_of(info);
        const int32_t count = count_of(states);
        auto probabilities = Napi::Float32Array::New(info.Env(), static_cast<size_t>(count));
        const ScoreCall call{network_, pools_, states.Data(), count, probabilities.Data()};
        if (call.run(false) != kernel::Status::ok) throw Napi::Error::New(info.Env(), out_of_memory);
        return probabilities;
    }

    Napi::Value score_async(const Napi::CallbackInfo& info) {
        const Napi::Float32Array states = states_of(info);
        auto* worker = new ScoreWorker(info.Env(), {network_, pools_, nullptr, count_of(states), nullptr},
                                       {states.Data(), states.Data() + states.ElementLength()});
        const Napi::Promise promise = worker->promise();
        worker->Queue();
        return promise;
    }

    // (weights, {dtype}): copies the network to the CUDA device too. Throws CUDA_UNAVAILABLE or CUDA_FAILED.
    void use_cuda(const Napi::CallbackInfo& info) {
        const Napi::Env env = info.Env();
        if (network_ == nullptr) fail(env, "AGENT_DISPOSED", "The agent was disposed");
        if (kernel::network_device(network_.get()) != nullptr) return;
        const kernel::NetworkWeights weights = read_weights(info[0]);
        const auto type = read_type(info[1].As<Napi::Object>());
        kernel::network_set_device(network_.get(), create_cuda_device(env, weights, type));
    }

    // The device while it works.
    const kernel::Device* working_device() const {
        const kernel::Device* const device = network_ == nullptr ? nullptr : kernel::network_device(network_.get());
        return device != nullptr && device->failure() == nullptr ? device : nullptr;
    }

    Napi::Value device_failure(const Napi::CallbackInfo& info) {
        const kernel::Device* const device = network_ == nullptr ? nullptr : kernel::network_device(network_.get());
        const char* const failure = device == nullptr ? nullptr : device->failure();
        return failure == nullptr ? info.Env().Undefined() : Napi::String::New(info.Env(), failure);
    }

    Napi::Value kernel(const Napi::CallbackInfo& info) {
        const kernel::Device* const device = working_device();
        return Napi::String::New(info.Env(), device == nullptr ? kernel_ : device->name());
    }
    Napi::Value dtype(const Napi::CallbackInfo& info) {
        const kernel::Device* const device = working_device();
        return Napi::String::New(info.Env(), device == nullptr ? dtype_ : kernel::weight_type_name(device->type()));
    }
    Napi::Value bytes(const Napi::CallbackInfo& info) {
        return Napi::Number::New(info.Env(), static_cast<double>(bytes_));
    }

    void dispose(const Napi::CallbackInfo&) { release(); }

    // Calls under way hold the network and the pools themselves.
    void release() {
        network_.reset();
        pools_.reset();
        account(0);
    }

    void account(int64_t bytes) {
        if (bytes != bytes_) Napi::MemoryManagement::AdjustExternalMemory(Env(), bytes - bytes_);
        bytes_ = bytes;
    }

    NetworkPointer network_;
    std::shared_ptr<PoolShelf> pools_;
    const char* kernel_ = "";
    const char* dtype_ = "";
    int64_t bytes_ = 0;
};

}  // namespace

void init_agent(Napi::Env env, Napi::Object exports) { exports.Set("Agent", Agent::define(env)); }

std::shared_ptr<const kernel::Network> network_of(const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&agent_tag)) return nullptr;
    return Agent::Unwrap(value.As<Napi::Object>())->network();
}

}  // namespace mara::bindings
