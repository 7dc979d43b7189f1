// The results of a learner's jobs as JavaScript objects.
#pragma once

#include <napi.h>

#include "train/learner.h"

namespace mara::bindings {

// Throws the error of a status that is not ok.
[[noreturn]] void fail_with(Napi::Env env, train::TrainStatus status);

Napi::Object metrics_object(Napi::Env env, const train::Metrics& metrics);
Napi::Object fit_metrics_object(Napi::Env env, const train::FitMetrics& metrics);

}  // namespace mara::bindings
