// Clipping, Adam, the temperature and the targets.
#include <cmath>

#include "train/state.h"

namespace mara::train {
namespace {

constexpr size_t chunk = 4096;  // numbers of one item of a parallel loop
constexpr double beta1 = 0.9, beta2 = 0.999;

template <class F>
void in_chunks(Learner& learner, F&& body) {
    const size_t count = learner.offsets.count;
    parallel(learner.work, static_cast<int32_t>((count + chunk - 1) / chunk), [&](int32_t item) {
        const size_t first = static_cast<size_t>(item) * chunk;
        body(item, first, static_cast<int32_t>(count - first < chunk ? count - first : chunk));
    });
}

}  // namespace

double gradient_norm(Learner& learner) {
    // Summed chunk by chunk, in order, so that the number of threads does not show.
    std::vector<double> parts((learner.offsets.count + chunk - 1) / chunk);
    in_chunks(learner, [&](int32_t item, size_t first, int32_t count) {
        parts[static_cast<size_t>(item)] =
            learner.work.operations->sum_of_squares(learner.gradient.data() + first, count);
    });
    double sum = 0;
    for (const double part : parts) sum += part;
    return std::sqrt(sum);
}

bool step(Learner& learner, Array network, double learning_rate, double& norm) {
    norm = gradient_norm(learner);
    if (!std::isfinite(norm)) return false;
    double& steps = learner.scalars.steps[network];
    ++steps;
    // torch.nn.utils.clip_grad_norm_ adds 1e-6 as well.
    const double scale = std::fmin(1.0, learner.options.gradient_clip / (norm + 1e-6));
    const AdamStep adam{static_cast<float>(scale), static_cast<float>(learning_rate / (1 - std::pow(beta1, steps))),
                        static_cast<float>(std::sqrt(1 - std::pow(beta2, steps)))};
    float* const parameters = learner.arrays[network].data();
    float* const m = learner.arrays[actor_m + network].data();
    float* const v = learner.arrays[actor_v + network].data();
    in_chunks(learner, [&](int32_t, size_t first, int32_t count) {
        learner.work.operations->adam(adam, learner.gradient.data() + first, count, m + first, v + first,
                                      parameters + first);
    });
    return true;
}

void step_alpha(Learner& learner, double entropy) {
    // The loss is log α·(entropy − target), so its derivative is the difference itself.
    const double gradient = entropy - learner.options.target_entropy;
    Scalars& s = learner.scalars;
    ++s.alpha_steps;
    s.alpha_m += (1 - beta1) * (gradient - s.alpha_m);
    s.alpha_v = beta2 * s.alpha_v + (1 - beta2) * gradient * gradient;
    const double root = std::sqrt(1 - std::pow(beta2, s.alpha_steps));
    s.log_alpha -= learner.options.alpha_learning_rate / (1 - std::pow(beta1, s.alpha_steps)) * s.alpha_m /
                   (std::sqrt(s.alpha_v) / root + 1e-8);
}

void move_target(Learner& learner, Array target, Array source) {
    in_chunks(learner, [&](int32_t, size_t first, int32_t count) {
        learner.work.operations->polyak(static_cast<float>(learner.options.tau), learner.arrays[source].data() + first,
                                        count, learner.arrays[target].data() + first);
    });
}

}  // namespace mara::train
