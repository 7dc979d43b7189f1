// The learner of an agent: discrete soft actor-critic (Christodoulou 2019, arXiv:1910.07207) from a replay, and
// supervised steps.
//
// No Node headers and no exceptions across this boundary: plain structs, raw pointers, status codes. One call at a time
// per learner. Results depend on the calls, the seed and the operations in use, not on the number of threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "train/network.h"
#include "train/replay.h"

namespace mara::train {

// not_finite: a gradient overflowed; the network it belongs to is as it was before the step.
enum class TrainStatus : int {
    ok = 0,
    out_of_memory,
    bad_shape,
    unknown_operations,
    empty_replay,
    not_finite,
    stopped
};

struct LearnerOptions {
    NetworkShape shape;
    uint64_t seed;
    double gamma;
    double tau;
    double actor_learning_rate;
    double critic_learning_rate;
    double alpha_learning_rate;
    double initial_alpha;
    double target_entropy;  // nats
    bool automatic_alpha;
    double gradient_clip;  // of each network's norm; infinity: none
    int32_t batch_size;
    int32_t replay_capacity;
    int32_t threads;
    const char* operations;  // nullptr: the best of this machine
    // Both critics are one network: they share LayerNorm's affine, and one norm of both is clipped.
    bool shared_norm = false;
    double critic_loss_scale = 1;  // of the mean squared error
    int32_t target_every = 1;      // updates after which the targets move
    bool alpha_loss_linear =
        false;  // the temperature's loss is α·(entropy − target) instead of log α·(entropy − target)
    bool with_replacement = true;  // false: no transition twice in a batch, which is then at most the replay's size
};

// Means over the updates of a call; alpha is the one after the last.
struct Metrics {
    double critic_loss;  // of both critics, averaged
    double actor_loss;
    double alpha;
    double entropy;               // of the policy over the batch, nats
    double q;                     // of both critics at the actions taken
    double actor_gradient_norm;   // before clipping
    double critic_gradient_norm;  // of both critics, averaged, or of both together if they share; before clipping
};

struct FitMetrics {
    double loss;
    double accuracy;
    double gradient_norm;
};

struct Learner;

TrainStatus learner_create(const LearnerOptions& options, Learner** out);
void learner_free(Learner* learner);
const char* learner_operations(const Learner* learner);

// Copies transitions into a block. May be called from any thread, without a learner.
TrainStatus block_create(const Transitions& transitions, int32_t width, Block** out);
void block_free(Block* block);
// Adds a block to the replay and frees it.
TrainStatus learner_add(Learner* learner, Block* block);
int32_t learner_replay_size(const Learner* learner);

// `count` updates on batches sampled uniformly. Looks at `stop` before each.
TrainStatus learner_update(Learner* learner, int32_t count, const std::atomic<bool>& stop, Metrics* metrics);
// One update on these transitions by age, 0 being the oldest; [batch_size], each below the replay's size.
TrainStatus learner_update_on(Learner* learner, const int32_t* ages, Metrics* metrics);

// One Adam step of the actor on Σ w·CE(label) / Σ w. states[count][width], labels 1 accept, 0 reject; Σ w > 0.
TrainStatus learner_fit(Learner* learner, const float* states, const uint8_t* labels, const float* weights,
                        int32_t count, double learning_rate, FitMetrics* metrics);

// The whole state of a learner except its options and its replay, to be read and written in place.
enum Array : int32_t {
    actor,
    critic1,
    critic2,
    target1,
    target2,
    actor_m,
    critic1_m,
    critic2_m,  // Adam's first moments
    actor_v,
    critic1_v,
    critic2_v,  // and second ones
    array_count
};
struct Scalars {
    double steps[3];  // Adam's, of actor, critic1 and critic2
    double alpha_steps, log_alpha, alpha_m, alpha_v;
};
float* learner_array(Learner* learner, Array array);  // [learner_parameters]
size_t learner_parameters(const Learner* learner);
Scalars& learner_scalars(Learner* learner);
uint64_t* learner_random(Learner* learner);  // [4]

}  // namespace mara::train
