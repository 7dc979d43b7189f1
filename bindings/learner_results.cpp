#include "learner_results.h"

#include "arguments.h"

namespace mara::bindings {

using train::TrainStatus;

void fail_with(Napi::Env env, TrainStatus status) {
    switch (status) {
        case TrainStatus::stopped:
            fail(env, "LEARNER_DISPOSED", "The learner was disposed");
        case TrainStatus::empty_replay:
            fail(env, "LEARNER_EMPTY", "The replay holds no transitions; call addTransitions first");
        case TrainStatus::not_finite:
            fail(env, "LEARNER_DIVERGED",
                 "A gradient is not finite. The learning rate or the rewards may be too large; go on from the last "
                 "saved state");
        default:
            throw Napi::Error::New(env, "Out of memory while learning");
    }
}

Napi::Object metrics_object(Napi::Env env, const train::Metrics& metrics) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("criticLoss", metrics.critic_loss);
    object.Set("actorLoss", metrics.actor_loss);
    object.Set("alpha", metrics.alpha);
    object.Set("entropy", metrics.entropy);
    object.Set("q", metrics.q);
    object.Set("actorGradientNorm", metrics.actor_gradient_norm);
    object.Set("criticGradientNorm", metrics.critic_gradient_norm);
    return object;
}

Napi::Object fit_metrics_object(Napi::Env env, const train::FitMetrics& metrics) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("loss", metrics.loss);
    object.Set("accuracy", metrics.accuracy);
    object.Set("gradientNorm", metrics.gradient_norm);
    return object;
}

}  // namespace mara::bindings
