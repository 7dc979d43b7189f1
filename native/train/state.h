// A learner from the inside, and the steps of its update, for learner.cpp and the tests.
#pragma once

#include <vector>

#include "kernel/pool_pointer.h"
#include "train/learner.h"

namespace mara::train {

struct Learner {
    explicit Learner(const LearnerOptions& options);

    LearnerOptions options;
    TensorOffsets offsets;
    kernel::PoolPointer pool;
    Workspace work;
    Random random;
    Replay replay;
    Buffer arrays[array_count];
    Scalars scalars{};

    // The batch that is being learnt from.
    std::vector<const Transition*> batch;
    std::vector<const float*> rows;
    Input now, next;
    ForwardPass pass;
    std::vector<float> out[3], out_gradient, wanted;
    Buffer gradient, second_gradient;  // the second is critic2's where the critics share
};

// Gathers states and next states of `batch`.
void load_batch(Learner& learner);
// wanted[i] = reward + γ·Σ_a π(a|s')·(min Q'(s', a) − α·log π(a|s')); without the sum at an end.
void set_wanted(Learner& learner);
// Leaves the gradient of critic_loss_scale · mean (Q(s, a) − wanted)² in `gradient`. Returns the mean; adds mean Q(s,
// a) to q.
double critic_gradient(Learner& learner, Array critic, Buffer& gradient, double& q);

struct ActorLoss {
    double loss;
    double entropy;
};
// Leaves the gradient of mean Σ_a π(a|s)·(α·log π(a|s) − min Q(s, a)) in `gradient`.
ActorLoss actor_gradient(Learner& learner);

// Leaves the gradient of Σ w·CE / Σ w in `gradient`.
FitMetrics fit_gradient(Learner& learner, const float* states, const uint8_t* labels, const float* weights,
                        int32_t count);

// Clips `gradient` and takes a step of `network` (actor, critic1 or critic2). False if the norm is not finite: nothing
// is changed then.
bool step(Learner& learner, Array network, double learning_rate, double& norm);
// The same for both critics as one network, from `gradient` and `second_gradient`.
bool step_shared_critics(Learner& learner, double& norm);
void step_alpha(Learner& learner, double entropy);
void move_target(Learner& learner, Array target, Array source);

}  // namespace mara::train
