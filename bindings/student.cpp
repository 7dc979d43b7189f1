#include "student.h"

#include <algorithm>

#include "arguments.h"

namespace mara::bindings {
namespace {

constexpr napi_type_tag student_tag = {0x6d617261'73747564ULL, 0x51c8'e27b'04f9'a36dULL};

// Projects a copy of the rows on a thread of the pool.
class ProjectWorker : public Napi::AsyncWorker {
public:
    ProjectWorker(Napi::Env env, std::shared_ptr<kernel::Student> student, int32_t first, std::vector<float> rows)
        : AsyncWorker(env, "node-llama-mara student"),
          student_(std::move(student)),
          first_(first),
          rows_(std::move(rows)),
          deferred_(Napi::Promise::Deferred::New(env)) {}

    Napi::Promise promise() const { return deferred_.Promise(); }

protected:
    void Execute() override {
        const auto count = static_cast<int32_t>(rows_.size() / static_cast<size_t>(student_->width()));
        if (!student_->project(first_, count, rows_.data())) SetError("a value is beyond 16-bit floats");
    }
    void OnOK() override { deferred_.Resolve(Env().Undefined()); }
    void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

private:
    std::shared_ptr<kernel::Student> student_;
    int32_t first_;
    std::vector<float> rows_;
    Napi::Promise::Deferred deferred_;
};

class StudentObject : public Napi::ObjectWrap<StudentObject> {
public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(
            env, "Student",
            {InstanceMethod<&StudentObject::project>("project"), InstanceMethod<&StudentObject::judge>("judge"),
             InstanceAccessor<&StudentObject::kernel>("kernel"), InstanceAccessor<&StudentObject::bytes>("bytes")});
    }

    // (weights, vocabulary, {kernel})
    explicit StudentObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
        const auto object = info[0].As<Napi::Object>();
        kernel::StudentWeights weights{};
        weights.width = positive_integer(object, "width");
        const auto width = static_cast<size_t>(weights.width);
        constexpr size_t projection = kernel::student_projection, hidden = kernel::student_hidden;
        weights.norm_weight = float_array(object, "normWeight", width).Data();
        weights.norm_bias = float_array(object, "normBias", width).Data();
        weights.hidden_weight = float_array(object, "hiddenWeight", projection * width).Data();
        weights.hidden_bias = float_array(object, "hiddenBias", projection).Data();
        weights.embedding_weight = float_array(object, "embeddingWeight", projection * width).Data();
        weights.embedding_bias = float_array(object, "embeddingBias", projection).Data();
        weights.fc1_weight = float_array(object, "fc1Weight", hidden * kernel::student_features).Data();
        weights.fc1_bias = float_array(object, "fc1Bias", hidden).Data();
        weights.fc2_weight = float_array(object, "fc2Weight", 2 * hidden).Data();
        weights.fc2_bias = float_array(object, "fc2Bias", 2).Data();
        const Napi::Value variant =
            info[2].IsObject() ? info[2].As<Napi::Object>().Get("kernel") : info.Env().Undefined();
        const std::string name = variant.IsString() ? variant.As<Napi::String>().Utf8Value() : "";
        student_ = std::make_shared<kernel::Student>(weights, info[1].As<Napi::Number>().Int32Value(),
                                                     name.empty() ? nullptr : name.c_str());
        bytes_ = static_cast<int64_t>(student_->bytes());
        Napi::MemoryManagement::AdjustExternalMemory(Env(), bytes_);
        info.This().As<Napi::Object>().TypeTag(&student_tag);
    }

    ~StudentObject() override { Napi::MemoryManagement::AdjustExternalMemory(Env(), -bytes_); }

    const std::shared_ptr<kernel::Student>& student() const { return student_; }

private:
    // (first, embeddings): resolves once these rows of the table are written.
    Napi::Value project(const Napi::CallbackInfo& info) {
        const int32_t first = info[0].As<Napi::Number>().Int32Value();
        const auto rows = info[1].As<Napi::Float32Array>();
        const auto width = static_cast<size_t>(student_->width());
        if (first < 0 || rows.ElementLength() % width != 0 ||
            rows.ElementLength() / width > static_cast<size_t>(student_->vocabulary() - first))
            invalid_argument(info.Env(), "embeddings", "whole rows of tokens of the vocabulary", rows);
        auto* worker =
            new ProjectWorker(info.Env(), student_, first, {rows.Data(), rows.Data() + rows.ElementLength()});
        const Napi::Promise promise = worker->promise();
        worker->Queue();
        return promise;
    }

    // (state, tokens, logProbabilities)
    Napi::Value judge(const Napi::CallbackInfo& info) {
        const auto state = info[0].As<Napi::Float32Array>();
        if (state.ElementLength() != static_cast<size_t>(student_->width()))
            invalid_argument(info.Env(), "state", std::to_string(student_->width()) + " values", state);
        const auto candidates = read_candidates(*student_, info[1], info[2]);
        std::vector<kernel::StudentVerdict> verdicts(candidates.size());
        student_->judge(state.Data(), candidates.data(), static_cast<int32_t>(candidates.size()), scratch_,
                        verdicts.data());
        return verdicts_of(info.Env(), verdicts);
    }

    Napi::Value kernel(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), student_->variant()); }
    Napi::Value bytes(const Napi::CallbackInfo& info) {
        return Napi::Number::New(info.Env(), static_cast<double>(bytes_));
    }

    std::shared_ptr<kernel::Student> student_;
    kernel::Student::Scratch scratch_;
    int64_t bytes_ = 0;
};

}  // namespace

void init_student(Napi::Env env, Napi::Object exports) { exports.Set("Student", StudentObject::define(env)); }

std::shared_ptr<const kernel::Student> student_of(const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&student_tag))
        invalid_argument(value.Env(), "student", "a Student", value);
    return StudentObject::Unwrap(value.As<Napi::Object>())->student();
}

std::vector<kernel::StudentCandidate> read_candidates(const kernel::Student& student, const Napi::Value& tokens,
                                                      const Napi::Value& log_probabilities) {
    const auto ids = tokens.As<Napi::Int32Array>();
    const auto logs = log_probabilities.As<Napi::Float32Array>();
    if (logs.ElementLength() != ids.ElementLength())
        invalid_argument(tokens.Env(), "logProbabilities", "one number per token", logs);
    std::vector<kernel::StudentCandidate> candidates(ids.ElementLength());
    for (size_t i = 0; i < candidates.size(); ++i) {
        if (ids[i] < 0 || ids[i] >= student.vocabulary())
            invalid_argument(tokens.Env(), "tokens", "tokens of the vocabulary",
                             Napi::Number::New(tokens.Env(), ids[i]));
        candidates[i] = {ids[i], static_cast<int32_t>(i), logs[i]};
    }
    return candidates;
}

Napi::Value verdicts_of(Napi::Env env, const std::vector<kernel::StudentVerdict>& verdicts) {
    auto values = Napi::Float32Array::New(env, 2 * verdicts.size());
    for (size_t i = 0; i < verdicts.size(); ++i) {
        values[2 * i] = verdicts[i].mu;
        values[2 * i + 1] = verdicts[i].sigma;
    }
    return values;
}

}  // namespace mara::bindings
