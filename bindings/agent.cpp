#include "agent.h"

#include <algorithm>
#include <string>

#include "agent_arguments.h"
#include "arguments.h"
#include "cuda.h"
#include "kernel/device.h"
#include "kernel/judge.h"
#include "kernel/probability.h"
#include "pool_shelf.h"

namespace mara::bindings {
namespace {

using NetworkPointer = std::shared_ptr<kernel::Network>;

constexpr napi_type_tag agent_tag = {0x6d617261'6167656eULL, 0x9d1c'4a37'52b0'e86fULL};

// A call that refers to no JavaScript object, so that any thread can run it.
struct ScoreCall {
    NetworkPointer network;
    std::shared_ptr<PoolShelf> pools;
    const float* states;
    int32_t count;
    float* probabilities;

    // On Node's main thread, which never waits for a device.
    kernel::Status run() const {
        kernel::PoolPointer pool = pools->take();
        if (pool == nullptr) return kernel::Status::out_of_memory;
        const kernel::Network* networks[] = {network.get()};
        const int32_t width = kernel::network_width(network.get());
        const kernel::Status status =
            kernel::score(networks, 1, states, width, nullptr, count, probabilities, pool.get(), pools->threads());
        pools->give_back(std::move(pool));
        return status;
    }
};

constexpr const char* out_of_memory = "Out of memory while scoring states";

// Several agents on a copy of the states: JavaScript may resize, transfer or write to its array while the call runs.
class JudgeWorker : public Napi::AsyncWorker {
public:
    JudgeWorker(Napi::Env env, std::vector<std::shared_ptr<const kernel::Network>> networks,
                std::shared_ptr<PoolShelf> pools, const Napi::Float32Array& states, bool with_logits)
        : AsyncWorker(env, "node-llama-mara score"),
          deferred_(Napi::Promise::Deferred::New(env)),
          networks_(std::move(networks)),
          pools_(std::move(pools)),
          states_(states.Data(), states.Data() + states.ElementLength()),
          with_logits_(with_logits) {}

    Napi::Promise promise() const { return deferred_.Promise(); }

protected:
    void Execute() override {
        try {
            if (run() != kernel::Status::ok) SetError(out_of_memory);
        } catch (...) {
            SetError(out_of_memory);
        }
    }
    void OnOK() override {
        auto probabilities = Napi::Float32Array::New(Env(), logits_.size());
        std::transform(logits_.begin(), logits_.end(), probabilities.Data(), kernel::probability_of);
        if (!with_logits_) return deferred_.Resolve(probabilities);
        auto logits = Napi::Float32Array::New(Env(), logits_.size());
        std::copy(logits_.begin(), logits_.end(), logits.Data());
        auto both = Napi::Object::New(Env());
        both.Set("logits", logits);
        both.Set("probabilities", probabilities);
        deferred_.Resolve(both);
    }
    void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

private:
    kernel::Status run() {
        kernel::PoolPointer pool = pools_->take();
        if (pool == nullptr) return kernel::Status::out_of_memory;
        std::vector<const kernel::Network*> networks;
        for (const auto& network : networks_) networks.push_back(network.get());
        const int32_t width = kernel::network_width(networks[0]);
        const auto count = static_cast<int32_t>(states_.size() / static_cast<size_t>(width));
        logits_.resize(networks.size() * static_cast<size_t>(count));
        const kernel::Status status =
            kernel::judge(networks.data(), static_cast<int32_t>(networks.size()), states_.data(), width, nullptr, count,
                          logits_.data(), pool.get(), pools_->threads());
        pools_->give_back(std::move(pool));
        return status;
    }

    Napi::Promise::Deferred deferred_;
    std::vector<std::shared_ptr<const kernel::Network>> networks_;
    std::shared_ptr<PoolShelf> pools_;
    std::vector<float> states_;
    std::vector<float> logits_;
    bool with_logits_;
};

class Agent : public Napi::ObjectWrap<Agent> {
public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "Agent",
                           {InstanceMethod<&Agent::score>("score"), InstanceMethod<&Agent::score_async>("scoreAsync"),
                            InstanceMethod<&Agent::judge_async>("judgeAsync"),
                            InstanceMethod<&Agent::dispose>("dispose"), InstanceMethod<&Agent::use_cuda>("useCuda"),
                            InstanceAccessor<&Agent::kernel>("kernel"), InstanceAccessor<&Agent::dtype>("dtype"),
                            InstanceAccessor<&Agent::bytes>("bytes"), InstanceAccessor<&Agent::disposed>("disposed"),
                            InstanceAccessor<&Agent::device_failure>("deviceFailure")});
    }

    explicit Agent(const Napi::CallbackInfo& info) : ObjectWrap(info) {
        const Napi::Env env = info.Env();
        const AgentOptions options = read_agent_options(info[0], info[1]);
        kernel::Network* network = nullptr;
        const char* kernel = options.kernel.empty() ? nullptr : options.kernel.c_str();
        switch (kernel::network_create(options.weights, options.type, kernel, &network)) {
            case kernel::Status::ok:
                break;
            case kernel::Status::bad_shape:
                fail(env, "AGENT_TENSORS", "Expected layers of 1 to 65536 numbers for the agent");
            case kernel::Status::not_finite:
                fail(env, "AGENT_TENSORS", "Expected finite weights for the agent");
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
        if (call.run() != kernel::Status::ok) throw Napi::Error::New(info.Env(), out_of_memory);
        return probabilities;
    }

    Napi::Value score_async(const Napi::CallbackInfo& info) {
        const Napi::Float32Array states = states_of(info);
        return start(new JudgeWorker(info.Env(), {network_}, pools_, states, false));
    }

    // (states, others): {logits, probabilities} of this agent and of others that look at the same states,
    // [agents][states].
    Napi::Value judge_async(const Napi::CallbackInfo& info) {
        const Napi::Float32Array states = states_of(info);
        std::vector<std::shared_ptr<const kernel::Network>> networks{network_};
        const auto others = info[1].As<Napi::Array>();
        for (uint32_t i = 0; i < others.Length(); i++) {
            networks.push_back(network_of(others.Get(i)));
            if (networks.back() == nullptr) fail(info.Env(), "AGENT_DISPOSED", "The agent was disposed");
        }
        return start(new JudgeWorker(info.Env(), std::move(networks), pools_, states, true));
    }

    static Napi::Value start(JudgeWorker* worker) {
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
        const auto type = read_weight_type(info[1].As<Napi::Object>());
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

    Napi::Value disposed(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), network_ == nullptr); }

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
