#include "lane_context.h"

#include <mutex>
#include <optional>

#include "arguments.h"
#include "kernel/pool_pointer.h"
#include "lane_arguments.h"
#include "llama/lanes.h"
#include "llama/layout.h"
#include "student.h"
#include "worker_thread.h"

namespace mara::bindings {
namespace {

constexpr int32_t kernel_threads_max = 16;

[[noreturn]] void unavailable(Napi::Env env, const std::string& problem) {
    throw Napi::Error::New(env, "LANES_UNAVAILABLE: " + problem);
}

void* unwrap(Napi::Env env, const Napi::Value& value, const char* what) {
    void* pointer = nullptr;
    if (!value.IsObject() || napi_unwrap(env, value, &pointer) != napi_ok || pointer == nullptr)
        unavailable(env, std::string("node-llama-cpp's ") + what + " is no longer a wrapped native object");
    return pointer;
}

uint32_t field(const Napi::Object& object, const char* name) {
    return object.Get(name).As<Napi::Number>().Uint32Value();
}

// The state that the worker touches. Every queued job keeps it alive, because the JS object may go meanwhile.
struct LaneState {
    kernel::PoolPointer pool;
    std::optional<llama::Lanes> lanes;
    kernel::Student::Scratch student_scratch;
    // Decodes hold this, and changes between them do: a sequence may be disposed while another's batch runs.
    std::mutex busy;
};

// Changes a part of the lanes while nothing decodes.
template <class Part>
struct Idle {
    std::unique_lock<std::mutex> lock;
    Part& part;
    Part* operator->() const { return &part; }
};

template <class Array, class T>
Array copy_of(Napi::Env env, const std::vector<T>& values) {
    auto array = Array::New(env, values.size());
    std::copy(values.begin(), values.end(), array.Data());
    return array;
}

// {status, decodeMs}
Napi::Object outcome_of(Napi::Env env, const llama::WaveResult& wave) {
    auto result = Napi::Object::New(env);
    result.Set("status", wave.status);
    result.Set("decodeMs", wave.decode_ms);
    return result;
}

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
                            InstanceMethod("close", &LaneContext::close)});
    }

    // (addonContext, addonModel, expected, lanes, extraCells): verifies the layout and patches the parameters, before
    // init().
    explicit LaneContext(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LaneContext>(info) {
        const Napi::Env env = info.Env();
        void* const addon_context = unwrap(env, info[0], "context");
        addon_model_ = unwrap(env, info[1], "model");
        const auto expected = info[2].As<Napi::Object>();
        lane_count_ = info[3].As<Napi::Number>().Int32Value();
        sequences_ = field(expected, "sequences");
        swa_full_ = expected.Get("swaFull").ToBoolean();
        recurrent_ = expected.Get("recurrent").ToBoolean();

        std::string problem;
        if (!llama::resolve_api(*static_cast<void**>(addon_context), api_, problem)) unavailable(env, problem);
        const llama::ExpectedParams params{field(expected, "contextSize"), field(expected, "batchSize"), sequences_,
                                           swa_full_, expected.Get("noPerf").ToBoolean()};
        const llama::Defaults defaults = llama::read_defaults(api_);
        if (!llama::find_layout(addon_context, addon_model_, defaults, params, layout_, problem))
            unavailable(env, problem);
        llama::patch_params(layout_, all_sequences(), info[4].As<Napi::Number>().Uint32Value());
    }

    ~LaneContext() override { worker_.reset(); }

private:
    // The sequences are the caller's, the lanes, the cache's own for discarded cells, and the keepers of states.
    uint32_t all_sequences() const {
        return sequences_ + static_cast<uint32_t>(lane_count_) + 1 + (recurrent_ ? sequences_ : 0);
    }

    // (tiled), after init(): verifies what was created, starts the decode thread. Returns {width, batchSize, window}.
    Napi::Value attach(const Napi::CallbackInfo& info) {
        const Napi::Env env = info.Env();
        std::string problem;
        if (!llama::verify_context(api_, layout_, addon_model_, all_sequences(), problem)) unavailable(env, problem);
        llama_context* const context = *layout_.context;
        kernel::Pool* pool = nullptr;
        if (kernel::pool_create(kernel_threads_max, &pool) != kernel::Status::ok) unavailable(env, "out of memory");
        state_ = std::make_shared<LaneState>();
        state_->pool.reset(pool);
        state_->lanes.emplace(api_, context, static_cast<int32_t>(sequences_), lane_count_, info[0].ToBoolean(),
                              swa_full_, pool);
        if (state_->lanes->cache().recurrent() != recurrent_)
            unavailable(env, "llama.cpp and node-llama-cpp differ in whether the model is recurrent");
        worker_ = std::make_unique<WorkerThread>(env);
        auto result = Napi::Object::New(env);
        result.Set("width", api_.model_n_embd_out(api_.get_model(context)));
        result.Set("batchSize", api_.n_batch(context));
        result.Set("window", state_->lanes->cache().window());
        return result;
    }

    // (entries): a batch without hidden states. Resolves with {status, decodeMs}.
    Napi::Value decode(const Napi::CallbackInfo& info) {
        struct Work {
            std::vector<llama::Entry> entries;
            llama::WaveResult result;
        };
        auto work = std::make_shared<Work>(Work{read_entries(info[0]), {}});
        return open(info).run({[work, state = state_] {
                                   const std::lock_guard lock(state->busy);
                                   work->result = state->lanes->decode(work->entries);
                               },
                               [work](Napi::Env env) -> Napi::Value { return outcome_of(env, work->result); }});
    }

    // (entries, judges, threads): resolves with {status, probabilities, decodeMs, kernelMs}.
    Napi::Value wave(const Napi::CallbackInfo& info) {
        struct Work {
            std::vector<llama::Entry> entries;
            std::vector<llama::WaveJudge> judges;
            int32_t threads;
            llama::WaveResult result;
        };
        auto work = std::make_shared<Work>();
        work->entries = read_entries(info[0]);
        const auto judges = info[1].As<Napi::Array>();
        for (uint32_t i = 0; i < judges.Length(); i++)
            work->judges.push_back(read_judge(judges.Get(i).As<Napi::Object>()));
        work->threads = std::min(number(info[2]), kernel_threads_max);
        return open(info).run({[work, state = state_] {
                                   const std::lock_guard lock(state->busy);
                                   work->result = state->lanes->wave(work->entries, work->judges, work->threads);
                               },
                               [work](Napi::Env env) -> Napi::Value {
                                   Napi::Object result = outcome_of(env, work->result);
                                   result.Set("probabilities",
                                              copy_of<Napi::Float32Array>(env, work->result.probabilities));
                                   result.Set("kernelMs", work->result.kernel_ms);
                                   return result;
                               }});
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
        auto tokens = Napi::Int32Array::New(env, found.size());
        auto logits = Napi::Float32Array::New(env, found.size());
        for (size_t i = 0; i < found.size(); i++) {
            tokens[i] = found[i].token;
            logits[i] = found[i].logit;
        }
        auto result = Napi::Object::New(env);
        result.Set("tokens", tokens);
        result.Set("logits", logits);
        return result;
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

    llama::Api api_{};
    // These point into node-llama-cpp's objects. They are alive whenever a method is called: the hook that calls it
    // hangs on the context, which holds the model. References from here would keep a forgotten context from ever being
    // collected.
    llama::Layout layout_;
    const void* addon_model_ = nullptr;
    uint32_t sequences_ = 0;
    int32_t lane_count_ = 0;
    bool swa_full_ = false;
    bool recurrent_ = false;
    std::shared_ptr<LaneState> state_;
    std::unique_ptr<WorkerThread> worker_;
};

void init_lanes(Napi::Env env, Napi::Object exports) { exports.Set("LaneContext", LaneContext::define(env)); }

}  // namespace mara::bindings
