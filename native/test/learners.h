// Learners for the tests: small, from a seed, with a replay and a batch.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "train/state.h"

namespace mara::test {

using namespace mara::train;
namespace kernel = mara::kernel;

using Doubles = std::vector<double>;
using Floats = std::vector<float>;

inline std::vector<const char*> all_operations() {
    std::vector<const char*> names(8);
    names.resize(static_cast<size_t>(operation_names(names.data(), 8)));
    return names;
}

inline Floats random_floats(size_t count, uint32_t seed, float deviation = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    Floats values(count);
    for (float& value : values) value = normal(random);
    return values;
}

constexpr NetworkShape shape{19, 22, 7};
constexpr int32_t batch = 13;

inline LearnerOptions options_for(const char* operations, int32_t threads = 1) {
    return {shape, 5, 0.9, 0.01, 1e-3, 2e-3, 3e-3, 0.2, 0.4, true, 0.5, batch, 100, threads, operations};
}

struct LearnerDeleter {
    void operator()(Learner* learner) const { learner_free(learner); }
};
using LearnerPointer = std::unique_ptr<Learner, LearnerDeleter>;

// LayerNorm's affine and the targets are moved away from where they begin; some of the transitions are last ones.
inline LearnerPointer make_learner(const LearnerOptions& options) {
    Learner* created = nullptr;
    CHECK(learner_create(options, &created) == TrainStatus::ok, "create");
    LearnerPointer learner(created);
    for (int32_t network = actor; network <= target2; ++network) {
        float* const parameters = learner->arrays[network].data();
        const Floats noise = random_floats(learner->offsets.count, 40 + static_cast<uint32_t>(network), 0.2f);
        for (size_t i = 0; i < noise.size(); ++i) parameters[i] += noise[i];
    }
    const int32_t rows = 41;
    const Floats states = random_floats(static_cast<size_t>(rows * options.shape.width), 7, 2),
                 reward = random_floats(static_cast<size_t>(rows), 8);
    std::vector<int32_t> state, next_state;
    std::vector<uint8_t> action;
    for (int32_t i = 0; i < rows; ++i) {
        state.push_back(i);
        next_state.push_back(i % 5 == 4 || i + 1 == rows ? -1 : i + 1);
        action.push_back(static_cast<uint8_t>(i * 7 % 3 == 1));
    }
    Block* block = nullptr;
    block_create({states.data(), rows, state.data(), action.data(), reward.data(), next_state.data(), rows},
                 options.shape.width, &block);
    CHECK(learner_add(created, block) == TrainStatus::ok && learner_replay_size(created) == rows, "add");
    for (int32_t i = 0; i < batch; ++i) learner->batch.push_back(&learner->replay.at(i * 3));
    return learner;
}

inline Doubles parameters_of(const Learner& learner, Array network) {
    const float* const values = learner.arrays[network].data();
    return {values, values + learner.offsets.count};
}

}  // namespace mara::test
