#include "learner.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "arguments.h"
#include "learner_arguments.h"
#include "learner_core.h"
#include "learner_results.h"
#include "worker_thread.h"

namespace mara::bindings {
namespace {

using train::TrainStatus;
using CorePointer = std::shared_ptr<LearnerCore>;

constexpr size_t scalar_count = sizeof(train::Scalars) / sizeof(double);

class LearnerObject : public Napi::ObjectWrap<LearnerObject> {
public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(
            env, "Learner",
            {InstanceMethod<&LearnerObject::add>("add"), InstanceMethod<&LearnerObject::update>("update"),
             InstanceMethod<&LearnerObject::update_on>("updateOn"), InstanceMethod<&LearnerObject::fit>("fit"),
             InstanceMethod<&LearnerObject::array>("array"), InstanceMethod<&LearnerObject::set_array>("setArray"),
             InstanceMethod<&LearnerObject::scalars>("scalars"),
             InstanceMethod<&LearnerObject::set_scalars>("setScalars"),
             InstanceMethod<&LearnerObject::random>("random"), InstanceMethod<&LearnerObject::set_random>("setRandom"),
             InstanceMethod<&LearnerObject::dispose>("dispose"),
             InstanceAccessor<&LearnerObject::replay_size>("replaySize"),
             InstanceAccessor<&LearnerObject::operations>("operations")});
    }

    explicit LearnerObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
        const Napi::Env env = info.Env();
        options_ = read_learner_options(info[0]);
        train::Learner* created = nullptr;
        if (train::learner_create(options_, &created) != TrainStatus::ok)
            throw Napi::Error::New(env, "Out of memory while creating a learner");
        core_ = std::make_shared<LearnerCore>(created);
        operations_ = train::learner_operations(created);
        worker_ = std::make_unique<WorkerThread>(env, "A job of the learner failed: ");
        // Hooks run last in, first out: this one runs before the worker's own, so that a long job ends after one
        // update.
        napi_add_env_cleanup_hook(env, stop, core_.get());
        account(static_cast<int64_t>(train::learner_parameters(created) * sizeof(float) * train::array_count));
    }

    ~LearnerObject() override { release(); }

private:
    static void stop(void* core) { static_cast<LearnerCore*>(core)->stop.store(true); }

    const CorePointer& core(Napi::Env env) const {
        if (core_ == nullptr) fail(env, "LEARNER_DISPOSED", "The learner was disposed");
        return core_;
    }

    train::Learner* idle(Napi::Env env) const {
        train::Learner* const learner = core(env)->get();
        if (jobs_ > 0) fail(env, "LEARNER_BUSY", "The learner is updating; await the promise of update or fit first");
        return learner;
    }

    void add(const Napi::CallbackInfo& info) {
        const Napi::Env env = info.Env();
        if (!info[0].IsObject()) invalid_argument(env, "transitions", "an object", info[0]);
        const auto object = info[0].As<Napi::Object>();
        // All members are read before the first pointer is taken: a getter may dispose the learner, or detach the
        // arrays.
        const Napi::Value members[] = {object.Get("states"), object.Get("state"), object.Get("action"),
                                       object.Get("reward"), object.Get("nextState")};
        core(env);
        const auto states = floats(members[0], "states");
        const auto state = copy_of(integers(members[1], "state"));
        const auto action = copy_of(bytes(members[2], "action"));
        const auto reward = copy_of(floats(members[3], "reward"));
        const auto next_state = copy_of(integers(members[4], "nextState"));
        const size_t rows = states.ElementLength() / static_cast<size_t>(options_.shape.width);
        const size_t count = state.size();
        if (states.ElementLength() % static_cast<size_t>(options_.shape.width) != 0 || rows > INT32_MAX ||
            count > INT32_MAX)
            fail(env, "AGENT_WIDTH",
                 "Expected a multiple of the learner's width " + std::to_string(options_.shape.width) +
                     " for the length of states but received " + std::to_string(states.ElementLength()));
        check_length(env, action.size(), "the length of action", count);
        check_length(env, reward.size(), "the length of reward", count);
        check_length(env, next_state.size(), "the length of nextState", count);
        const auto last = static_cast<int32_t>(rows) - 1;
        check_items<float>(env, {states.Data(), states.ElementLength()}, "states", "a finite number", is_finite);
        check_items<int32_t>(env, state, "state", "a row of states",
                             [&](int32_t row) { return row >= 0 && row <= last; });
        check_items<uint8_t>(env, action, "action", "0 or 1", is_bit);
        check_items<float>(env, reward, "reward", "a finite number", is_finite);
        check_items<int32_t>(env, next_state, "nextState", "a row of states or -1",
                             [&](int32_t row) { return row >= -1 && row <= last; });
        const train::Transitions transitions{states.Data(),
                                             last + 1,
                                             state.data(),
                                             action.data(),
                                             reward.data(),
                                             next_state.data(),
                                             static_cast<int32_t>(count)};
        train::Block* block = nullptr;
        if (train::block_create(transitions, options_.shape.width, &block) != TrainStatus::ok)
            throw Napi::Error::New(env, "Out of memory while adding transitions");
        core_->hand_over(block);
        held_ = static_cast<int32_t>(
            std::min<int64_t>(options_.replay_capacity, int64_t{held_} + static_cast<int64_t>(count)));
    }

    // Queues `body` behind earlier calls; `complete` makes the value that the promise resolves with.
    template <class Metrics>
    Napi::Value queue(const Napi::CallbackInfo& info,
                      std::function<TrainStatus(train::Learner*, LearnerCore&, Metrics&)> body,
                      Napi::Object (*describe)(Napi::Env, const Metrics&)) {
        struct Result {
            TrainStatus status = TrainStatus::out_of_memory;
            Metrics metrics{};
        };
        const auto result = std::make_shared<Result>();
        const CorePointer held = core(info.Env());
        const uint64_t handed = held->handed();
        ++jobs_;
        Ref();  // the object outlives its jobs
        return worker_->run({[=] {
                                 if (held->stop.load()) {
                                     result->status = TrainStatus::stopped;
                                     return;
                                 }
                                 result->status = held->take_in(handed);
                                 if (result->status == TrainStatus::ok)
                                     result->status = body(held->get(), *held, result->metrics);
                             },
                             [=, this](Napi::Env env) -> Napi::Value {
                                 const bool last = --jobs_ == 0;
                                 if (last && core_ == nullptr) worker_->close();
                                 Unref();
                                 if (result->status != TrainStatus::ok) fail_with(env, result->status);
                                 return describe(env, result->metrics);
                             }});
    }

    Napi::Value update(const Napi::CallbackInfo& info) {
        const int32_t count = count_of(info.Env(), "count", info[0]);
        return queue<train::Metrics>(
            info,
            [count](train::Learner* learner, LearnerCore& core, train::Metrics& metrics) {
                return train::learner_update(learner, count, core.stop, &metrics);
            },
            metrics_object);
    }

    Napi::Value update_on(const Napi::CallbackInfo& info) {
        core(info.Env());
        const auto copy = copy_of(integers(info[0], "ages"));
        check_length(info.Env(), copy.size(), "the length of ages", static_cast<size_t>(options_.batch_size));
        check_items<int32_t>(info.Env(), copy, "ages", "a transition of the replay",
                             [&](int32_t age) { return age >= 0 && age < held_; });
        return queue<train::Metrics>(
            info,
            [copy](train::Learner* learner, LearnerCore&, train::Metrics& metrics) {
                return train::learner_update_on(learner, copy.data(), &metrics);
            },
            metrics_object);
    }

    Napi::Value fit(const Napi::CallbackInfo& info) {
        const Napi::Env env = info.Env();
        const auto states = floats(info[0], "states");
        const auto labels = bytes(info[1], "labels");
        const auto weights = floats(info[2], "weights");
        if (!info[3].IsNumber()) invalid_argument(env, "learningRate", "a number", info[3]);
        const double learning_rate = info[3].As<Napi::Number>().DoubleValue();
        const size_t count = labels.ElementLength();
        if (count < 1 || count > INT32_MAX) invalid_argument(env, "labels", "at least one label", info[1]);
        check_length(env, states.ElementLength(), "the length of states",
                     count * static_cast<size_t>(options_.shape.width));
        check_length(env, weights.ElementLength(), "the length of weights", count);
        struct FitBatch {
            std::vector<float> states;
            std::vector<uint8_t> labels;
            std::vector<float> weights;
        };
        const auto copy =
            std::make_shared<const FitBatch>(FitBatch{copy_of(states), copy_of(labels), copy_of(weights)});
        check_items<float>(env, copy->states, "states", "a finite number", is_finite);
        check_items<uint8_t>(env, copy->labels, "labels", "0 or 1", is_bit);
        check_items<float>(env, copy->weights, "weights", "a finite number that is not negative",
                           [](float weight) { return std::isfinite(weight) && weight >= 0; });
        if (std::all_of(copy->weights.begin(), copy->weights.end(), [](float weight) { return weight == 0; }))
            invalid_argument(env, "weights", "at least one weight above 0", info[2]);
        return queue<train::FitMetrics>(
            info,
            [copy, learning_rate](train::Learner* learner, LearnerCore&, train::FitMetrics& metrics) {
                return train::learner_fit(learner, copy->states.data(), copy->labels.data(), copy->weights.data(),
                                          static_cast<int32_t>(copy->labels.size()), learning_rate, &metrics);
            },
            fit_metrics_object);
    }

    float* array_at(const Napi::CallbackInfo& info) const {
        const int32_t index = info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1;
        if (index < 0 || index >= train::array_count)
            invalid_argument(info.Env(), "index", "the index of an array", info[0]);
        return train::learner_array(idle(info.Env()), static_cast<train::Array>(index));
    }

    Napi::Value array(const Napi::CallbackInfo& info) {
        const float* const from = array_at(info);
        const size_t count = train::learner_parameters(core_->get());
        auto copy = Napi::Float32Array::New(info.Env(), count);
        std::copy_n(from, count, copy.Data());
        return copy;
    }

    void set_array(const Napi::CallbackInfo& info) {
        float* const to = array_at(info);
        const auto values = floats(info[1], "values");
        check_length(info.Env(), values.ElementLength(), "the length of values",
                     train::learner_parameters(core_->get()));
        std::copy_n(values.Data(), values.ElementLength(), to);
    }

    Napi::Value scalars(const Napi::CallbackInfo& info) {
        const auto* const from = reinterpret_cast<const double*>(&train::learner_scalars(idle(info.Env())));
        auto copy = Napi::Float64Array::New(info.Env(), scalar_count);
        std::copy_n(from, scalar_count, copy.Data());
        return copy;
    }

    void set_scalars(const Napi::CallbackInfo& info) {
        auto* const to = reinterpret_cast<double*>(&train::learner_scalars(idle(info.Env())));
        const auto values = typed_array<Napi::Float64Array>(info[0], napi_float64_array, "values", "Float64Array");
        check_length(info.Env(), values.ElementLength(), "the length of values", scalar_count);
        std::copy_n(values.Data(), scalar_count, to);
    }

    Napi::Value random(const Napi::CallbackInfo& info) {
        auto copy = Napi::BigUint64Array::New(info.Env(), 4);
        std::copy_n(train::learner_random(idle(info.Env())), 4, copy.Data());
        return copy;
    }

    void set_random(const Napi::CallbackInfo& info) {
        uint64_t* const to = train::learner_random(idle(info.Env()));
        const auto values =
            typed_array<Napi::BigUint64Array>(info[0], napi_biguint64_array, "values", "BigUint64Array");
        check_length(info.Env(), values.ElementLength(), "the length of values", 4);
        std::copy_n(values.Data(), 4, to);
    }

    Napi::Value replay_size(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), held_); }
    Napi::Value operations(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), operations_); }

    void dispose(const Napi::CallbackInfo&) { release(); }

    // Jobs under way hold the core themselves; the last of them closes the thread.
    void release() {
        if (core_ == nullptr) return;
        napi_remove_env_cleanup_hook(Env(), stop, core_.get());
        core_->stop.store(true);
        core_.reset();
        if (jobs_ == 0) worker_->close();
        account(0);
    }

    void account(int64_t bytes) {
        Napi::MemoryManagement::AdjustExternalMemory(Env(), bytes - bytes_);
        bytes_ = bytes;
    }

    train::LearnerOptions options_{};
    CorePointer core_;
    std::unique_ptr<WorkerThread> worker_;
    const char* operations_ = "";
    int32_t jobs_ = 0;  // queued or running
    int32_t held_ = 0;  // transitions in the replay once everything handed over has joined it
    int64_t bytes_ = 0;
};

}  // namespace

void init_learner(Napi::Env env, Napi::Object exports) { exports.Set("Learner", LearnerObject::define(env)); }

}  // namespace mara::bindings
