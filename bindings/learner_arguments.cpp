#include "learner_arguments.h"

namespace mara::bindings {
namespace {

double number(const Napi::Object& object, const char* name) {
    const Napi::Value value = object.Get(name);
    if (!value.IsNumber() || std::isnan(value.As<Napi::Number>().DoubleValue()))
        invalid_argument(object.Env(), name, "a number", value);
    return value.As<Napi::Number>().DoubleValue();
}

}  // namespace

int32_t count_of(Napi::Env env, const char* name, const Napi::Value& value) {
    if (value.IsNumber()) {
        const double given = value.As<Napi::Number>().DoubleValue();
        if (given >= 1 && given <= INT32_MAX && given == std::floor(given)) return static_cast<int32_t>(given);
    }
    invalid_argument(env, name, "an integer from 1 to 2147483647", value);
}

train::LearnerOptions read_learner_options(const Napi::Value& value) {
    if (!value.IsObject()) invalid_argument(value.Env(), "options", "an object", value);
    const auto object = value.As<Napi::Object>();
    train::LearnerOptions options{};
    options.shape = {positive_integer(object, "width"), positive_integer(object, "hidden1"),
                     positive_integer(object, "hidden2")};
    const double seed = number(object, "seed");
    if (seed < 0 || seed > 9007199254740991.0)
        invalid_argument(value.Env(), "seed", "a number from 0 to 2^53 - 1", object.Get("seed"));
    options.seed = static_cast<uint64_t>(seed);
    options.gamma = number(object, "gamma");
    options.tau = number(object, "tau");
    options.actor_learning_rate = number(object, "actorLearningRate");
    options.critic_learning_rate = number(object, "criticLearningRate");
    options.alpha_learning_rate = number(object, "alphaLearningRate");
    options.initial_alpha = number(object, "initialAlpha");
    options.target_entropy = number(object, "targetEntropy");
    options.automatic_alpha = object.Get("automaticAlpha").ToBoolean();
    options.gradient_clip = number(object, "gradientClip");
    options.batch_size = count_of(value.Env(), "batchSize", object.Get("batchSize"));
    options.replay_capacity = count_of(value.Env(), "replayCapacity", object.Get("replayCapacity"));
    options.shared_norm = object.Get("sharedCritics").ToBoolean();
    options.critic_loss_scale = number(object, "criticLossScale");
    options.target_every = count_of(value.Env(), "targetEvery", object.Get("targetEvery"));
    options.alpha_loss_linear = object.Get("linearAlphaLoss").ToBoolean();
    options.with_replacement = object.Get("replacement").ToBoolean();
    options.threads = std::min(positive_integer(object, "threads"), 256);
    return options;
}

}  // namespace mara::bindings
