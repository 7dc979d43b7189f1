#include "train/learner.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <unordered_set>

#include "train/guarded.h"
#include "train/state.h"

namespace mara::train {
namespace {

TrainStatus update_batch(Learner& learner, Metrics& sum) {
    const LearnerOptions& options = learner.options;
    load_batch(learner);
    set_wanted(learner);
    double norm;
    for (const Array critic : {critic1, critic2}) {
        Buffer& gradient = options.shared_norm && critic == critic2 ? learner.second_gradient : learner.gradient;
        sum.critic_loss += critic_gradient(learner, critic, gradient, sum.q) / 2;
        if (options.shared_norm) continue;
        if (!step(learner, critic, options.critic_learning_rate, norm)) return TrainStatus::not_finite;
        sum.critic_gradient_norm += norm / 2;
    }
    if (options.shared_norm) {
        if (!step_shared_critics(learner, norm)) return TrainStatus::not_finite;
        sum.critic_gradient_norm += norm;
    }
    if (std::fmod(learner.scalars.steps[critic1], options.target_every) == 0) {
        move_target(learner, target1, critic1);
        move_target(learner, target2, critic2);
    }
    const ActorLoss loss = actor_gradient(learner);
    if (!step(learner, actor, options.actor_learning_rate, norm)) return TrainStatus::not_finite;
    if (options.automatic_alpha) step_alpha(learner, loss.entropy);
    sum.actor_loss += loss.loss;
    sum.entropy += loss.entropy;
    sum.actor_gradient_norm += norm;
    return TrainStatus::ok;
}

void draw_batch(Learner& learner) {
    learner.batch.clear();
    const auto size = static_cast<uint32_t>(learner.replay.size());
    const auto count = static_cast<uint32_t>(learner.options.batch_size);
    const auto take = [&](uint32_t age) { learner.batch.push_back(&learner.replay.at(static_cast<int32_t>(age))); };
    if (learner.options.with_replacement) {
        for (uint32_t i = 0; i < count; ++i) take(learner.random.below(size));
        return;
    }
    // Floyd's algorithm (Bentley and Floyd, 1987): each set of transitions is equally likely.
    std::unordered_set<uint32_t> taken;
    for (uint32_t last = size - std::min(size, count); last < size; ++last) {
        const uint32_t drawn = learner.random.below(last + 1);
        const uint32_t age = taken.insert(drawn).second ? drawn : last;
        taken.insert(age);
        take(age);
    }
}

void finish(const Learner& learner, const Metrics& sum, int32_t count, Metrics* metrics) {
    const double n = count;
    *metrics = {sum.critic_loss / n, sum.actor_loss / n,          std::exp(learner.scalars.log_alpha), sum.entropy / n,
                sum.q / (2 * n),     sum.actor_gradient_norm / n, sum.critic_gradient_norm / n};
}

}  // namespace

Learner::Learner(const LearnerOptions& given)
    : options(given), offsets(given.shape), random(given.seed), replay(given.replay_capacity) {
    kernel::Pool* created = nullptr;
    if (kernel::pool_create(options.threads, &created) != kernel::Status::ok) throw std::bad_alloc();
    pool.reset(created);
    work.operations = find_operations(options.operations);
    work.pool = created;
    work.threads = options.threads;
    for (Buffer& array : arrays) std::fill_n(array.need(offsets.count), offsets.count, 0.0f);
    for (const Array network : {actor, critic1, critic2}) initialise(options.shape, random, arrays[network].data());
    std::copy_n(arrays[critic1].data(), offsets.count, arrays[target1].data());
    std::copy_n(arrays[critic2].data(), offsets.count, arrays[target2].data());
    scalars.log_alpha = std::log(options.initial_alpha);
}

TrainStatus learner_create(const LearnerOptions& options, Learner** out) {
    *out = nullptr;
    const NetworkShape& shape = options.shape;
    if (!fits(shape.width) || !fits(shape.hidden1) || !fits(shape.hidden2) || options.batch_size < 1 ||
        options.replay_capacity < 1 || options.target_every < 1)
        return TrainStatus::bad_shape;
    if (find_operations(options.operations) == nullptr) return TrainStatus::unknown_operations;
    return guarded([&] {
        *out = new Learner(options);
        return TrainStatus::ok;
    });
}

void learner_free(Learner* learner) { delete learner; }
const char* learner_operations(const Learner* learner) { return learner->work.operations->name; }

TrainStatus block_create(const Transitions& transitions, int32_t width, Block** out) {
    *out = nullptr;
    return guarded([&] {
        *out = new Block(copy_block(transitions, width));
        return TrainStatus::ok;
    });
}

void block_free(Block* block) { delete block; }

TrainStatus learner_add(Learner* learner, Block* block) {
    const std::unique_ptr<Block> owned(block);
    return guarded([&] {
        learner->replay.add(std::move(*block));
        return TrainStatus::ok;
    });
}

int32_t learner_replay_size(const Learner* learner) { return learner->replay.size(); }

TrainStatus learner_update(Learner* learner, int32_t count, const std::atomic<bool>& stop, Metrics* metrics) {
    if (learner->replay.size() == 0) return TrainStatus::empty_replay;
    return guarded([&] {
        Metrics sum{};
        for (int32_t i = 0; i < count; ++i) {
            if (stop.load(std::memory_order_relaxed)) return TrainStatus::stopped;
            draw_batch(*learner);
            const TrainStatus status = update_batch(*learner, sum);
            if (status != TrainStatus::ok) return status;
        }
        finish(*learner, sum, count, metrics);
        return TrainStatus::ok;
    });
}

TrainStatus learner_update_on(Learner* learner, const int32_t* ages, Metrics* metrics) {
    return guarded([&] {
        Metrics sum{};
        learner->batch.clear();
        for (int32_t b = 0; b < learner->options.batch_size; ++b)
            learner->batch.push_back(&learner->replay.at(ages[b]));
        const TrainStatus status = update_batch(*learner, sum);
        if (status == TrainStatus::ok) finish(*learner, sum, 1, metrics);
        return status;
    });
}

TrainStatus learner_fit(Learner* learner, const float* states, const uint8_t* labels, const float* weights,
                        int32_t count, double learning_rate, FitMetrics* metrics) {
    return guarded([&] {
        *metrics = fit_gradient(*learner, states, labels, weights, count);
        return step(*learner, actor, learning_rate, metrics->gradient_norm) ? TrainStatus::ok : TrainStatus::not_finite;
    });
}

float* learner_array(Learner* learner, Array array) { return learner->arrays[array].data(); }
size_t learner_parameters(const Learner* learner) { return learner->offsets.count; }
Scalars& learner_scalars(Learner* learner) { return learner->scalars; }
uint64_t* learner_random(Learner* learner) { return learner->random.state; }

}  // namespace mara::train
