// Losses. Work per row and action is done in double, because it costs nothing beside the networks.
#include <algorithm>
#include <cmath>

#include "train/state.h"

namespace mara::train {
namespace {

struct Policy {
    double p[outputs];
    double log_p[outputs];

    double entropy() const { return -(p[0] * log_p[0] + p[1] * log_p[1]); }
};

Policy policy_of(const float* logits) {
    const double difference = static_cast<double>(logits[1]) - logits[0];
    const double tail = std::log1p(std::exp(-std::abs(difference)));  // −log of the larger probability
    Policy policy{};
    policy.log_p[1] = difference > 0 ? -tail : difference - tail;
    policy.log_p[0] = difference > 0 ? -difference - tail : -tail;
    for (int32_t a = 0; a < outputs; ++a) policy.p[a] = std::exp(policy.log_p[a]);
    return policy;
}

void run(Learner& learner, Array network, const Input& input, std::vector<float>& out) {
    out.resize(static_cast<size_t>(input.rows) * outputs);
    forward(learner.work, learner.options.shape, learner.arrays[network].data(), input, learner.pass, out.data());
}

void run_back(Learner& learner, Array network, const Input& input, Buffer& gradient) {
    backward(learner.work, learner.options.shape, learner.arrays[network].data(), input, learner.pass,
             learner.out_gradient.data(), gradient.need(learner.offsets.count));
}

double lower(const std::vector<float>& a, const std::vector<float>& b, size_t i) { return std::min(a[i], b[i]); }

}  // namespace

void load_batch(Learner& learner) {
    const auto count = static_cast<int32_t>(learner.batch.size());
    const auto gather = [&](auto member, bool for_gradient, Input& input) {
        learner.rows.clear();
        for (const Transition* transition : learner.batch) learner.rows.push_back(transition->*member);
        load(learner.work, learner.rows.data(), count, learner.options.shape.width, for_gradient, input);
    };
    gather(&Transition::state, true, learner.now);
    gather(&Transition::next_state, false, learner.next);
}

void set_wanted(Learner& learner) {
    const double alpha = std::exp(learner.scalars.log_alpha);
    auto& [logits, q1, q2] = learner.out;
    run(learner, actor, learner.next, logits);
    run(learner, target1, learner.next, q1);
    run(learner, target2, learner.next, q2);
    learner.wanted.clear();
    for (size_t i = 0; i < learner.batch.size(); ++i) {
        const Transition& transition = *learner.batch[i];
        double value = 0;
        if (transition.next_state != nullptr) {
            const Policy policy = policy_of(&logits[outputs * i]);
            for (size_t a = 0; a < outputs; ++a)
                value += policy.p[a] * (lower(q1, q2, outputs * i + a) - alpha * policy.log_p[a]);
        }
        learner.wanted.push_back(static_cast<float>(transition.reward + learner.options.gamma * value));
    }
}

double critic_gradient(Learner& learner, Array critic, Buffer& gradient, double& q) {
    std::vector<float>& values = learner.out[0];
    run(learner, critic, learner.now, values);
    const auto count = static_cast<double>(learner.batch.size());
    learner.out_gradient.assign(values.size(), 0.0f);
    double loss = 0, taken = 0;
    for (size_t i = 0; i < learner.batch.size(); ++i) {
        const size_t at = outputs * i + learner.batch[i]->action;
        const double error = static_cast<double>(values[at]) - learner.wanted[i];
        learner.out_gradient[at] = static_cast<float>(2 * learner.options.critic_loss_scale * error / count);
        loss += error * error;
        taken += values[at];
    }
    run_back(learner, critic, learner.now, gradient);
    q += taken / count;
    return loss / count;
}

ActorLoss actor_gradient(Learner& learner) {
    const double alpha = std::exp(learner.scalars.log_alpha);
    auto& [logits, q1, q2] = learner.out;
    run(learner, critic1, learner.now, q1);
    run(learner, critic2, learner.now, q2);
    run(learner, actor, learner.now, logits);  // last: the backward pass needs its activations
    const auto count = static_cast<double>(learner.batch.size());
    learner.out_gradient.resize(logits.size());
    ActorLoss total{0, 0};
    for (size_t i = 0; i < learner.batch.size(); ++i) {
        const Policy policy = policy_of(&logits[outputs * i]);
        double cost[outputs], mean = 0;
        for (size_t a = 0; a < outputs; ++a) {
            cost[a] = alpha * policy.log_p[a] - lower(q1, q2, outputs * i + a);
            mean += policy.p[a] * cost[a];
        }
        // The derivative through log π vanishes: Σ_a π·∂log π = 0.
        for (size_t a = 0; a < outputs; ++a)
            learner.out_gradient[outputs * i + a] = static_cast<float>(policy.p[a] * (cost[a] - mean) / count);
        total.loss += mean;
        total.entropy += policy.entropy();
    }
    run_back(learner, actor, learner.now, learner.gradient);
    return {total.loss / count, total.entropy / count};
}

FitMetrics fit_gradient(Learner& learner, const float* states, const uint8_t* labels, const float* weights,
                        int32_t count) {
    learner.rows.clear();
    for (int32_t i = 0; i < count; ++i)
        learner.rows.push_back(states + static_cast<size_t>(i) * static_cast<size_t>(learner.options.shape.width));
    load(learner.work, learner.rows.data(), count, learner.options.shape.width, true, learner.now);
    std::vector<float>& logits = learner.out[0];
    run(learner, actor, learner.now, logits);
    double total = 0;
    for (int32_t i = 0; i < count; ++i) total += weights[i];
    learner.out_gradient.resize(logits.size());
    FitMetrics metrics{};
    for (int32_t i = 0; i < count; ++i) {
        const size_t at = outputs * static_cast<size_t>(i);
        const Policy policy = policy_of(&logits[at]);
        const double share = weights[i] / total;
        metrics.loss -= share * policy.log_p[labels[i]];
        metrics.accuracy += (logits[at + 1] > logits[at]) == (labels[i] == 1) ? share : 0;
        for (size_t a = 0; a < outputs; ++a)
            learner.out_gradient[at + a] = static_cast<float>(share * (policy.p[a] - (a == labels[i] ? 1 : 0)));
    }
    run_back(learner, actor, learner.now, learner.gradient);
    return metrics;
}

}  // namespace mara::train
