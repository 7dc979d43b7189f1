// Clipping, Adam, the temperature and the targets.
#include <algorithm>
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

double norm_of(Learner& learner, const Buffer& gradient) {
    // Summed chunk by chunk, in order, so that the number of threads does not show.
    std::vector<double> parts((learner.offsets.count + chunk - 1) / chunk);
    in_chunks(learner, [&](int32_t item, size_t first, int32_t count) {
        parts[static_cast<size_t>(item)] = learner.work.operations->sum_of_squares(gradient.data() + first, count);
    });
    double sum = 0;
    for (const double part : parts) sum += part;
    return std::sqrt(sum);
}

// torch.nn.utils.clip_grad_norm_ adds 1e-6 as well.
double clipping(const Learner& learner, double norm) {
    return std::fmin(1.0, learner.options.gradient_clip / (norm + 1e-6));
}

void apply(Learner& learner, Array network, const Buffer& gradient, double scale, double learning_rate) {
    double& steps = learner.scalars.steps[network];
    ++steps;
    const AdamStep adam{static_cast<float>(scale), static_cast<float>(learning_rate / (1 - std::pow(beta1, steps))),
                        static_cast<float>(std::sqrt(1 - std::pow(beta2, steps)))};
    float* const parameters = learner.arrays[network].data();
    float* const m = learner.arrays[actor_m + network].data();
    float* const v = learner.arrays[actor_v + network].data();
    in_chunks(learner, [&](int32_t, size_t first, int32_t count) {
        learner.work.operations->adam(adam, gradient.data() + first, count, m + first, v + first, parameters + first);
    });
}

}  // namespace

bool step(Learner& learner, Array network, double learning_rate, double& norm) {
    norm = norm_of(learner, learner.gradient);
    if (!std::isfinite(norm)) return false;
    apply(learner, network, learner.gradient, clipping(learner, norm), learning_rate);
    return true;
}

bool step_shared_critics(Learner& learner, double& norm) {
    // LayerNorm's affine comes first. Both critics hold a copy of it; the same gradient keeps the copies equal.
    float* const first = learner.gradient.data();
    float* const second = learner.second_gradient.data();
    const size_t affine = learner.offsets.w1;
    for (size_t i = 0; i < affine; ++i) {
        first[i] += second[i];
        second[i] = 0;
    }
    norm = std::hypot(norm_of(learner, learner.gradient), norm_of(learner, learner.second_gradient));
    if (!std::isfinite(norm)) return false;
    std::copy_n(first, affine, second);
    const double scale = clipping(learner, norm);
    apply(learner, critic1, learner.gradient, scale, learner.options.critic_learning_rate);
    apply(learner, critic2, learner.second_gradient, scale, learner.options.critic_learning_rate);
    return true;
}

void step_alpha(Learner& learner, double entropy) {
    // By log α: the difference itself if the loss is log α·(entropy − target), α times it if that is α·(entropy −
    // target).
    Scalars& s = learner.scalars;
    const double gradient =
        (entropy - learner.options.target_entropy) * (learner.options.alpha_loss_linear ? std::exp(s.log_alpha) : 1);
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
