#include "lane_context.h"

#include <mutex>
#include <optional>
#include <string>

#include "arguments.h"
#include "created_context.h"
#include "kernel/pool_pointer.h"
#include "lane_arguments.h"
#include "lane_results.h"
#include "llama/lanes.h"
#include "student.h"
#include "worker_thread.h"

namespace mara::bindings {
namespace {

constexpr int32_t kernel_threads_max = 16;

// The state that the worker touches. Every queued job keeps it alive, because the JS object may go meanwhile.
struct LaneState {
    kernel::PoolPointer pool;
    std::optional<llama::Lanes> lanes;
    kernel::Student::Scratch student_scratch;
    // Decodes hold this, and changes between them do: a sequence may be disposed while another's batch runs.
    std::mutex busy;
};

llama::BatchWay batch_way(const std::string& name) {
    if (name == "whole") return llama::BatchWay::whole;
    return name == "alone" ? llama::BatchWay::apart : llama::BatchWay::learned;
}

// Changes a part of the lanes while nothing decodes.
template <class Part>
struct Idle {
    std::unique_lock<std::mutex> lock;
    Part& part;
    Part* operator->() const { return &part; }
};

}  // namespace

class LaneContext : public Napi::ObjectWrap<LaneContext> {
public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "LaneContext",
                           {InstanceMethod("attach", &LaneContext::attach),
                            InstanceMethod("decode", &LaneContext::decode),
                            InstanceMethod("wave", &LaneContext::wave),
                            InstanceMethod("remove", &LaneContext::remove),
                            InstanceMethod("adopt", &LaneContext::adopt),
                            InstanceMethod("release", &LaneContext::release),
                            InstanceMethod("share", &LaneContext::share),
                            InstanceMethod("restoring", &LaneContext::restoring),
                            InstanceMethod("shift", &LaneContext::shift),
                            InstanceMethod("prepareState", &LaneContext::prepare_state),
                            InstanceMethod("loaded", &LaneContext::loaded),
                            InstanceMethod("adapt", &LaneContext::adapt),
                            InstanceMethod("states", &LaneContext::states),
                            InstanceMethod("hold", &LaneContext::hold),
                            InstanceMethod("free", &LaneContext::free),
                            InstanceMethod("top", &LaneContext::top),
                            InstanceMethod("present", &LaneContext::present),
                            InstanceMethod("withdraw", &LaneContext::withdraw),
                            InstanceMethod("logits", &LaneContext::logits),
                            InstanceMethod("setLogits", &LaneContext::set_logits),
                            InstanceMethod("keepStates", &LaneContext::keep_states),
                            InstanceMethod("predict", &LaneContext::predict),
                            InstanceMethod("state", &LaneContext::state),
                            InstanceMethod("close", &LaneContext::close)});
    }

    // (addonContext, addonModel, expected, lanes, extraCells): before init().
    explicit LaneContext(const Napi::CallbackInfo& info)
        : Napi::ObjectWrap<LaneContext>(info), created_(info.Env(), info[0], info[1], info[2], info[3], info[4]) {}

    ~LaneContext() override { worker_.reset(); }

private:
    // (tiled, waves, rounding, way), after init(): verifies what was created, starts the decode thread; the last three
    // as in llama::Separable. Returns {width, batchSize, window}.
    Napi::Value attach(const Napi::CallbackInfo& info) {
        const Napi::Env env = info.Env();
        llama_context* const context = created_.verify(env);
        const llama::Api& api = created_.api();
        kernel::Pool* pool = nullptr;
        if (kernel::pool_create(kernel_threads_max, &pool) != kernel::Status::ok) unavailable(env, "out of memory");
        state_ = std::make_shared<LaneState>();
        state_->pool.reset(pool);
        state_->lanes.emplace(
            api, context, created_.sequences(), created_.lanes(), info[0].ToBoolean(), created_.swa_full(), pool,
            llama::Separable{info[1].ToBoolean(), info[2].ToBoolean(), batch_way(info[3].ToString())});
        if (state_->lanes->cache().recurrent() != created_.recurrent())
            unavailable(env, "llama.cpp and node-llama-cpp differ in whether the model is recurrent");
        worker_ = std::make_unique<WorkerThread>(env);
        auto result = Napi::Object::New(env);
        result.Set("width", api.model_n_embd_out(api.get_model(context)));
        result.Set("batchSize", api.n_batch(context));
        result.Set("window", state_->lanes->cache().window());
        return result;
    }

    // (entries): a batch without hidden states. Resolves with {status, decodeMs}.
    Napi::Value decode(const Napi::CallbackInfo& info) {
        struct PlainBatch {
            std::vector<llama::Entry> entries;
            llama::WaveResult result;
        };
        auto work = std::make_shared<PlainBatch>(PlainBatch{read_entries(info[0]), {}});
        return open(info).run({[work, state = state_] {
                                   const std::lock_guard lock(state->busy);
                                   work->result = state->lanes->decode(work->entries);
                               },
                               [work](Napi::Env env) -> Napi::Value { return decode_object(env, work->result); }});
    }

    // (entries, judges, threads): resolves with {status, agents, logits, probabilities, decodeMs, kernelMs}.
    Napi::Value wave(const Napi::CallbackInfo& info) {
        struct Wave {
            std::vector<llama::Entry> entries;
            std::vector<llama::WaveJudge> judges;
            int32_t threads;
            llama::WaveResult result;
        };
        auto work = std::make_shared<Wave>();
        work->entries = read_entries(info[0]);
        const auto judges = info[1].As<Napi::Array>();
        for (uint32_t i = 0; i < judges.Length(); i++)
            work->judges.push_back(read_judge(judges.Get(i).As<Napi::Array>()));
        work->threads = std::min(number(info[2]), kernel_threads_max);
        return open(info).run({[work, state = state_] {
                                   const std::lock_guard lock(state->busy);
                                   work->result = state->lanes->wave(work->entries, work->judges, work->threads);
                               },
                               [work](Napi::Env env) -> Napi::Value { return wave_object(env, work->result); }});
    }

    // (sequence, start, end): -1 for an end that is open.
    void remove(const Napi::CallbackInfo& info) {
        cache(info)->remove(number(info[0]), number(info[1]), end_of(info[2]));
    }

    // (sequence, position, lane)
    void adopt(const Napi::CallbackInfo& info) {
        cache(info)->adopt(number(info[0]), number(info[1]), number(info[2]));
    }

    void release(const Napi::CallbackInfo& info) { cache(info)->release_forks(); }

    // (source, target, start, end)
    void share(const Napi::CallbackInfo& info) {
        cache(info)->share(number(info[0]), number(info[1]), number(info[2]), end_of(info[3]));
    }

    // (sequence, start)
    void restoring(const Napi::CallbackInfo& info) { cache(info)->restoring(number(info[0]), number(info[1])); }

    // (sequence, start, end, delta)
    void shift(const Napi::CallbackInfo& info) {
        lanes(info)->shift(number(info[0]), number(info[1]), end_of(info[2]), number(info[3]));
    }

    // (count)
    void prepare_state(const Napi::CallbackInfo& info) { lanes(info)->prepare_state(number(info[0])); }

    // (sequence)
    void loaded(const Napi::CallbackInfo& info) { cache(info)->loaded(number(info[0])); }

    // (index): the number under which the row is held, or -1.
    Napi::Value hold(const Napi::CallbackInfo& info) {
        return Napi::Number::New(info.Env(), rows(info)->hold(number(info[0])));
    }

    // A row may be given up after its context is gone.
    void free(const Napi::CallbackInfo& info) {
        if (state_ == nullptr) return;
        const std::lock_guard lock(state_->busy);
        state_->lanes->rows().free(number(info[0]));
    }

    // (row, count): {tokens, logits}
    Napi::Value top(const Napi::CallbackInfo& info) {
        const Napi::Env env = info.Env();
        std::vector<llama::TokenLogit> found;
        rows(info)->top(number(info[0]), number(info[1]), found);
        return top_logits_object(env, found);
    }

    // (row): the index at which node-llama-cpp finds it until `withdraw`; -1: no logits, -2: no place is free.
    Napi::Value present(const Napi::CallbackInfo& info) {
        return Napi::Number::New(info.Env(), rows(info)->present(number(info[0])));
    }

    void withdraw(const Napi::CallbackInfo& info) { rows(info)->withdraw(number(info[0])); }

    // (row): a copy of its logits, one per token of the vocabulary.
    Napi::Value logits(const Napi::CallbackInfo& info) {
        const auto held = rows(info);
        auto values = Napi::Float32Array::New(info.Env(), static_cast<size_t>(held->vocabulary()));
        held->read(number(info[0]), values.Data());
        return values;
    }

    // (row, logits): as many numbers as the vocabulary has tokens. The caller's guide had the array, and may have
    // detached it.
    void set_logits(const Napi::CallbackInfo& info) {
        const auto held = rows(info);
        const auto logits = info[1].As<Napi::Float32Array>();
        const auto vocabulary = static_cast<size_t>(held->vocabulary());
        if (logits.ElementLength() != vocabulary)
            fail(info.Env(), "GUIDE_FAILED",
                 "Expected " + std::to_string(vocabulary) + " logits from a guide but received " +
                     std::to_string(logits.ElementLength()) + "; it must not transfer them");
        held->write(number(info[0]), logits.Data());
    }

    // (wanted): whether rows are held with their hidden states from now on.
    void keep_states(const Napi::CallbackInfo& info) { rows(info)->keep_states(info[0].ToBoolean()); }

    // (row, student, tokens, logProbabilities): the student's verdicts, or undefined for a row without a state.
    Napi::Value predict(const Napi::CallbackInfo& info) {
        const Napi::Env env = info.Env();
        const auto student = student_of(info[1]);
        const auto candidates = read_candidates(*student, info[2], info[3]);
        const auto idle = lanes(info);
        const float* const state = idle->rows().state(number(info[0]));
        if (state == nullptr || student->width() != idle->width()) return env.Undefined();
        std::vector<kernel::StudentVerdict> verdicts(candidates.size());
        student->judge(state, candidates.data(), static_cast<int32_t>(candidates.size()), state_->student_scratch,
                       verdicts.data());
        return verdicts_of(env, verdicts);
    }

    // (row): a copy of its hidden state, or undefined for a row without one.
    Napi::Value state(const Napi::CallbackInfo& info) {
        const auto idle = lanes(info);
        const float* const state = idle->rows().state(number(info[0]));
        if (state == nullptr) return info.Env().Undefined();
        auto values = Napi::Float32Array::New(info.Env(), static_cast<size_t>(idle->width()));
        std::copy_n(state, idle->width(), values.Data());
        return values;
    }

    void adapt(const Napi::CallbackInfo& info) { lanes(info)->adapt(); }

    // (count): hidden states of the last wave's first entries, row by row. No decode may be running.
    Napi::Value states(const Napi::CallbackInfo& info) {
        const auto idle = lanes(info);
        const int32_t count = number(info[0]);
        auto values =
            Napi::Float32Array::New(info.Env(), static_cast<size_t>(count) * static_cast<size_t>(idle->width()));
        idle->read_states(count, values.Data());
        return values;
    }

    // close(), before the context goes away: joins the decode thread. Later calls throw.
    void close(const Napi::CallbackInfo&) { worker_.reset(); }

    WorkerThread& open(const Napi::CallbackInfo& info) const {
        if (worker_ == nullptr) throw Napi::Error::New(info.Env(), "DECODE_FAILED: The context is disposed.");
        return *worker_;
    }

    Idle<llama::Lanes> lanes(const Napi::CallbackInfo& info) const {
        open(info);
        return {std::unique_lock(state_->busy), *state_->lanes};
    }

    Idle<llama::Cache> cache(const Napi::CallbackInfo& info) const {
        auto idle = lanes(info);
        return {std::move(idle.lock), idle->cache()};
    }

    Idle<llama::Rows> rows(const Napi::CallbackInfo& info) const {
        auto idle = lanes(info);
        return {std::move(idle.lock), idle->rows()};
    }

    static llama::Position end_of(const Napi::Value& value) {
        const int32_t end = number(value);
        return end < 0 ? llama::whole : end;
    }

    static int32_t number(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

    CreatedContext created_;
    std::shared_ptr<LaneState> state_;
    std::unique_ptr<WorkerThread> worker_;
};

void init_lanes(Napi::Env env, Napi::Object exports) { exports.Set("LaneContext", LaneContext::define(env)); }

}  // namespace mara::bindings
