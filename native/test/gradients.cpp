// Gradients of every loss against finite differences of a float64 evaluation, and the steps that are taken along them.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "differences.h"
#include "learners.h"

namespace {

using namespace mara::test;

std::array<double, 2> evaluate(const Doubles& p, const float* x) {
    const TensorOffsets at(shape);
    double mean = 0, variance = 0;
    for (int32_t i = 0; i < shape.width; ++i) mean += x[i] / static_cast<double>(shape.width);
    for (int32_t i = 0; i < shape.width; ++i) variance += (x[i] - mean) * (x[i] - mean) / shape.width;
    Doubles h;
    for (int32_t i = 0; i < shape.width; ++i)
        h.push_back((x[i] - mean) / std::sqrt(variance + 1e-5) * p[at.gain + static_cast<size_t>(i)] +
                    p[at.shift + static_cast<size_t>(i)]);
    const auto linear = [&](size_t w, size_t b, size_t count, bool relu) {
        Doubles out;
        for (size_t o = 0; o < count; ++o) {
            double sum = p[b + o];
            for (size_t i = 0; i < h.size(); ++i) sum += p[w + o * h.size() + i] * h[i];
            out.push_back(relu ? std::max(sum, 0.0) : sum);
        }
        h = out;
    };
    linear(at.w1, at.b1, static_cast<size_t>(shape.hidden1), true);
    linear(at.w2, at.b2, static_cast<size_t>(shape.hidden2), true);
    linear(at.w3, at.b3, 2, false);
    return {h[0], h[1]};
}

struct Choice {
    double p[2], log_p[2];
};

Choice choice(const Doubles& p, const float* x) {
    const auto [a, b] = evaluate(p, x);
    const double total = std::log(std::exp(a) + std::exp(b));
    return {{std::exp(a - total), std::exp(b - total)}, {a - total, b - total}};
}

double wanted(const Learner& learner, const Transition& t) {
    if (t.next_state == nullptr) return t.reward;
    const Choice next = choice(parameters_of(learner, actor), t.next_state);
    const auto q1 = evaluate(parameters_of(learner, target1), t.next_state),
               q2 = evaluate(parameters_of(learner, target2), t.next_state);
    double value = 0;
    for (size_t a = 0; a < 2; ++a)
        value += next.p[a] * (std::min(q1[a], q2[a]) - std::exp(learner.scalars.log_alpha) * next.log_p[a]);
    return t.reward + learner.options.gamma * value;
}

void check_gradient(const char* operations, const char* what, const Learner& learner, Doubles parameters,
                    const std::function<double(const Doubles&)>& loss) {
    const TensorOffsets& at = learner.offsets;
    const size_t starts[] = {at.gain, at.shift, at.w1, at.b1, at.w2, at.b2, at.w3, at.b3, at.count};
    const std::string name = std::string(operations) + ", " + what;
    check_differences(
        name.c_str(), parameters, starts, [&] { return loss(parameters); },
        [&](size_t i) { return learner.gradient.data()[i]; });
}

void gradients() {
    for (const char* name : all_operations()) {
        const LearnerPointer learner = make_learner(options_for(name, 2));
        Learner& l = *learner;
        load_batch(l);
        set_wanted(l);
        for (size_t i = 0; i < batch; ++i)
            CHECK(std::abs(l.wanted[i] - wanted(l, *l.batch[i])) < 1e-5, "%s: wanted %zu", name, i);

        const double alpha = std::exp(l.scalars.log_alpha);
        for (const Array critic : {critic1, critic2}) {
            const Doubles parameters = parameters_of(l, critic);
            const auto loss = [&](const Doubles& p) {
                double sum = 0;
                for (size_t i = 0; i < batch; ++i) {
                    const double error = evaluate(p, l.batch[i]->state)[l.batch[i]->action] - l.wanted[i];
                    sum += error * error / batch;
                }
                return sum;
            };
            double q = 0;
            const double found = critic_gradient(l, critic, l.gradient, q);
            CHECK(std::abs(found - loss(parameters)) < 1e-5 * found, "%s: critic loss", name);
            check_gradient(name, "critic", l, parameters, loss);
        }

        const Doubles q1 = parameters_of(l, critic1), q2 = parameters_of(l, critic2);
        double entropy = 0;
        const auto actor_loss = [&](const Doubles& p) {
            double sum = 0;
            entropy = 0;
            for (const Transition* t : l.batch) {
                const Choice policy = choice(p, t->state);
                const auto a1 = evaluate(q1, t->state), a2 = evaluate(q2, t->state);
                for (size_t a = 0; a < 2; ++a) {
                    sum += policy.p[a] * (alpha * policy.log_p[a] - std::min(a1[a], a2[a])) / batch;
                    entropy -= policy.p[a] * policy.log_p[a] / batch;
                }
            }
            return sum;
        };
        const ActorLoss found = actor_gradient(l);
        check_gradient(name, "actor", l, parameters_of(l, actor), actor_loss);
        CHECK(std::abs(found.loss - actor_loss(parameters_of(l, actor))) < 1e-5, "%s: actor loss", name);
        CHECK(std::abs(found.entropy - entropy) < 1e-5, "%s: entropy", name);

        Floats states;
        std::vector<uint8_t> labels;
        Floats weights;
        for (size_t i = 0; i < batch; ++i) {
            states.insert(states.end(), l.batch[i]->state, l.batch[i]->state + shape.width);
            labels.push_back(static_cast<uint8_t>(i % 2));
            weights.push_back(static_cast<float>(i % 4));
        }
        const auto fit_loss = [&](const Doubles& p) {
            double sum = 0, total = 0;
            for (size_t i = 0; i < batch; ++i) {
                sum -= weights[i] * choice(p, l.batch[i]->state).log_p[labels[i]];
                total += weights[i];
            }
            return sum / total;
        };
        const FitMetrics metrics = fit_gradient(l, states.data(), labels.data(), weights.data(), batch);
        CHECK(std::abs(metrics.loss - fit_loss(parameters_of(l, actor))) < 1e-5, "%s: fit loss", name);
        check_gradient(name, "fit", l, parameters_of(l, actor), fit_loss);
    }
}

// The first step of Adam is the learning rate in the direction of −∂/∂log α of log α·(entropy − target), which finite
// differences give.
void temperature() {
    for (const double entropy : {0.1, 0.39, 0.41, 0.69}) {
        const LearnerPointer learner = make_learner(options_for(nullptr));
        const double before = learner->scalars.log_alpha, target = learner->options.target_entropy;
        const auto loss = [&](double log_alpha) { return log_alpha * (entropy - target); };
        const double slope = (loss(before + 1e-4) - loss(before - 1e-4)) / 2e-4;
        step_alpha(*learner, entropy);
        CHECK(std::abs(learner->scalars.alpha_m - 0.1 * slope) < 1e-9, "gradient at entropy %g", entropy);
        CHECK(std::abs(learner->scalars.log_alpha - (before - 3e-3 * (slope > 0 ? 1 : -1))) < 1e-8,
              "step at entropy %g", entropy);
    }
}

void clipping() {
    const LearnerPointer learner = make_learner(options_for(nullptr));
    const size_t count = learner->offsets.count;
    float* const gradient = learner->gradient.need(count);
    double norm = 0;
    std::fill_n(gradient, count, 0.0f);
    gradient[3] = 30;
    gradient[count - 1] = -40;
    CHECK(step(*learner, critic2, 1e-3, norm) && std::abs(norm - 50) < 1e-9, "norm %g", norm);
    CHECK(std::abs(learner->arrays[critic2_m].data()[3] - 0.1 * 30 * 0.5 / 50) < 1e-7, "clipped to 0.5");
    gradient[3] = 0.03f;
    gradient[count - 1] = 0;
    CHECK(step(*learner, critic1, 1e-3, norm) && std::abs(learner->arrays[critic1_m].data()[3] - 0.1 * 0.03) < 1e-8,
          "short ones are left alone");

    const Doubles before = parameters_of(*learner, actor);
    gradient[5] = std::numeric_limits<float>::infinity();
    CHECK(!step(*learner, actor, 1e-3, norm), "an infinite norm is refused");
    CHECK(parameters_of(*learner, actor) == before && learner->scalars.steps[actor] == 0, "and changes nothing");
}

}  // namespace

int main() {
    gradients();
    temperature();
    clipping();
    if (mara::test::failures == 0)
        std::printf("ok: %zu sets of operations, the best is %s\n", all_operations().size(), all_operations()[0]);
    return mara::test::failures == 0 ? 0 : 1;
}
