#include "student_learner.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "arguments.h"
#include "learner_arguments.h"
#include "learner_results.h"
#include "train/student.h"
#include "worker_thread.h"

namespace mara::bindings {
namespace {

using train::TrainStatus;

// A native student as the Node thread and the learner's own thread share it.
struct StudentCore {
    explicit StudentCore(train::StudentTrainer* created) : student(created) {}
    ~StudentCore() { train::student_free(student); }
    StudentCore(const StudentCore&) = delete;
    StudentCore& operator=(const StudentCore&) = delete;

    train::StudentTrainer* const student;
    std::atomic<bool> stop{false};  // asks the running epoch to end, and later ones not to begin
};

class StudentLearner : public Napi::ObjectWrap<StudentLearner> {
public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(
            env, "StudentLearner",
            {InstanceMethod<&StudentLearner::epoch>("epoch"), InstanceMethod<&StudentLearner::predict>("predict"),
             InstanceMethod<&StudentLearner::parameters>("parameters"),
             InstanceMethod<&StudentLearner::dispose>("dispose")});
    }

    explicit StudentLearner(const Napi::CallbackInfo& info) : ObjectWrap(info) {
        const Napi::Env env = info.Env();
        if (!info[0].IsObject()) invalid_argument(env, "options", "an object", info[0]);
        if (!info[1].IsObject()) invalid_argument(env, "labels", "an object", info[1]);
        const auto given = info[0].As<Napi::Object>();
        const auto labels = info[1].As<Napi::Object>();
        train::StudentOptions options{};
        options.shape = {positive_integer(given, "width"), positive_integer(given, "projected"),
                         positive_integer(given, "hidden")};
        const auto number = [&](const char* name) { return given.Get(name).ToNumber().DoubleValue(); };
        options.seed = static_cast<uint64_t>(given.Get("seed").ToNumber().Int64Value());
        options.weight_decay = number("weightDecay");
        options.log_sigma_min = number("logSigmaMin");
        options.log_sigma_max = number("logSigmaMax");
        options.batch_size = count_of(env, "batchSize", given.Get("batchSize"));
        options.threads = std::min(positive_integer(given, "threads"), 256);
        options.decision = given.Has("decision") ? positive_integer(given, "decision") : 0;
        decision_ = options.decision;
        if (decision_ > 0 && options.batch_size % decision_ != 0)
            invalid_argument(env, "batchSize", "whole decisions", given.Get("batchSize"));
        offsets_ = std::make_unique<train::StudentOffsets>(options.shape);
        train::StudentTrainer* created = nullptr;
        if (create(labels, options, &created) != TrainStatus::ok)
            throw Napi::Error::New(env, "Out of memory while creating a student's learner");
        core_ = std::make_shared<StudentCore>(created);
        worker_ = std::make_unique<WorkerThread>(env, "A job of the student's learner failed: ");
        // Hooks run last in, first out: this one runs before the worker's own, so that a long epoch ends early.
        napi_add_env_cleanup_hook(env, stop, core_.get());
    }

    ~StudentLearner() override { release(); }

private:
    static void stop(void* core) { static_cast<StudentCore*>(core)->stop.store(true); }

    // Copies of everything are checked and kept, since JavaScript may change its arrays meanwhile.
    TrainStatus create(const Napi::Object& labels, const train::StudentOptions& options,
                       train::StudentTrainer** created) {
        const Napi::Env env = labels.Env();
        const Napi::Value members[] = {labels.Get("states"),    labels.Get("embeddings"), labels.Get("state"),
                                       labels.Get("embedding"), labels.Get("given"),      labels.Get("wanted")};
        const auto states = copy_of(floats(members[0], "states"));
        const auto embeddings = copy_of(floats(members[1], "embeddings"));
        const auto state = copy_of(integers(members[2], "state"));
        const auto embedding = copy_of(integers(members[3], "embedding"));
        const auto beside = copy_of(floats(members[4], "given"));
        const auto wanted = copy_of(floats(members[5], "wanted"));
        const auto model_log =
            decision_ > 0 ? copy_of(floats(labels.Get("modelLog"), "modelLog")) : std::vector<float>();
        const auto width = static_cast<size_t>(options.shape.width);
        const size_t count = wanted.size();
        if (count < 1 || count > INT32_MAX / 4) invalid_argument(env, "wanted", "at least one label", members[5]);
        const auto rows_of = [&](const std::vector<float>& table, const char* name, const Napi::Value& value) {
            if (table.empty() || table.size() % width != 0 || table.size() / width > INT32_MAX)
                invalid_argument(env, name, "whole rows", value);
            check_items<float>(env, table, name, "a finite number", is_finite);
            return static_cast<int32_t>(table.size() / width);
        };
        const int32_t state_rows = rows_of(states, "states", members[0]);
        const int32_t embedding_rows = rows_of(embeddings, "embeddings", members[1]);
        check_length(env, state.size(), "the length of state", count);
        check_length(env, embedding.size(), "the length of embedding", count);
        check_length(env, beside.size(), "the length of given", count * train::student_given);
        check_items<int32_t>(env, state, "state", "a row of states",
                             [&](int32_t row) { return row >= 0 && row < state_rows; });
        check_items<int32_t>(env, embedding, "embedding", "a row of embeddings",
                             [&](int32_t row) { return row >= 0 && row < embedding_rows; });
        check_items<float>(env, beside, "given", "a finite number", is_finite);
        check_items<float>(env, wanted, "wanted", "a finite number", is_finite);
        if (decision_ > 0) {
            check_length(env, model_log.size(), "the length of modelLog", count);
            check_items<float>(env, model_log, "modelLog", "a finite number", is_finite);
        }
        count_ = static_cast<int32_t>(count);
        const train::StudentData data{
            states.data(),    embeddings.data(), state_rows,    embedding_rows,   state.data(),
            embedding.data(), beside.data(),     wanted.data(), model_log.data(), count_};
        return train::student_create(options, data, created);
    }

    std::shared_ptr<StudentCore> core(Napi::Env env) const {
        if (core_ == nullptr) fail(env, "LEARNER_DISPOSED", "The learner was disposed");
        return core_;
    }

    std::vector<int32_t> labels_of(const Napi::Value& value) const {
        auto labels = copy_of(integers(value, "labels"));
        if (labels.empty()) invalid_argument(value.Env(), "labels", "at least one label", value);
        if (decision_ > 0 && labels.size() % static_cast<size_t>(decision_) != 0)
            invalid_argument(value.Env(), "labels", "whole decisions", value);
        check_items<int32_t>(value.Env(), labels, "labels", "the number of a label",
                             [&](int32_t label) { return label >= 0 && label < count_; });
        return labels;
    }

    // Queues `body` behind earlier calls; `describe` makes the value that the promise resolves with.
    Napi::Value queue(Napi::Env env, std::function<TrainStatus(StudentCore&)> body,
                      std::function<Napi::Value(Napi::Env)> describe) {
        const auto held = core(env);
        const auto status = std::make_shared<TrainStatus>(TrainStatus::out_of_memory);
        ++jobs_;
        Ref();  // the object outlives its jobs
        return worker_->run({[=] { *status = held->stop.load() ? TrainStatus::stopped : body(*held); },
                             [=, this](Napi::Env env) -> Napi::Value {
                                 const bool last = --jobs_ == 0;
                                 if (last && core_ == nullptr) worker_->close();
                                 Unref();
                                 if (*status != TrainStatus::ok) fail_with(env, *status);
                                 return describe(env);
                             }});
    }

    Napi::Value epoch(const Napi::CallbackInfo& info) {
        const auto labels = std::make_shared<const std::vector<int32_t>>(labels_of(info[0]));
        if (!info[1].IsNumber()) invalid_argument(info.Env(), "learningRate", "a number", info[1]);
        const double learning_rate = info[1].As<Napi::Number>().DoubleValue();
        const auto metrics = std::make_shared<train::StudentMetrics>();
        return queue(
            info.Env(),
            [=](StudentCore& core) {
                return train::student_epoch(core.student, labels->data(), static_cast<int32_t>(labels->size()),
                                            learning_rate, core.stop, metrics.get());
            },
            [=](Napi::Env env) {
                Napi::Object object = Napi::Object::New(env);
                object.Set("squaredError", metrics->squared_error);
                object.Set("loss", metrics->loss);
                return object;
            });
    }

    Napi::Value predict(const Napi::CallbackInfo& info) {
        const auto labels = std::make_shared<const std::vector<int32_t>>(labels_of(info[0]));
        const auto out = std::make_shared<std::vector<float>>(2 * labels->size());
        return queue(
            info.Env(),
            [=](StudentCore& core) {
                return train::student_predict(core.student, labels->data(), static_cast<int32_t>(labels->size()),
                                              out->data());
            },
            [=](Napi::Env env) {
                auto copy = Napi::Float32Array::New(env, out->size());
                std::copy(out->begin(), out->end(), copy.Data());
                return copy;
            });
    }

    Napi::Value parameters(const Napi::CallbackInfo& info) {
        const auto held = core(info.Env());
        if (jobs_ > 0) fail(info.Env(), "LEARNER_BUSY", "The learner is at work; await the promise first");
        auto copy = Napi::Float32Array::New(info.Env(), offsets_->count);
        std::copy_n(train::student_parameters(held->student), offsets_->count, copy.Data());
        return copy;
    }

    void dispose(const Napi::CallbackInfo&) { release(); }

    // Jobs under way hold the core themselves; the last of them closes the thread.
    void release() {
        if (core_ == nullptr) return;
        napi_remove_env_cleanup_hook(Env(), stop, core_.get());
        core_->stop.store(true);
        core_.reset();
        if (jobs_ == 0) worker_->close();
    }

    std::unique_ptr<train::StudentOffsets> offsets_;
    std::shared_ptr<StudentCore> core_;
    std::unique_ptr<WorkerThread> worker_;
    int32_t count_ = 0;     // labels
    int32_t decision_ = 0;  // labels of a decision, or 0
    int32_t jobs_ = 0;      // queued or running
};

}  // namespace

void init_student_learner(Napi::Env env, Napi::Object exports) {
    exports.Set("StudentLearner", StudentLearner::define(env));
}

}  // namespace mara::bindings
