// The learner: the replay's ring, what a call refuses, and that neither threads nor the cut of the work show in any
// bit.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>

#include "learners.h"

namespace {

using namespace mara::test;

std::vector<Floats> run_updates(const char* operations, int32_t threads) {
    LearnerOptions options = options_for(operations, threads);
    options.shape = {150, 140, 70};
    options.batch_size = 200;
    const LearnerPointer learner = make_learner(options);
    Metrics metrics{};
    const std::atomic<bool> stop = false;
    CHECK(learner_update(learner.get(), 3, stop, &metrics) == TrainStatus::ok && metrics.critic_gradient_norm > 0,
          "update");
    std::vector<Floats> arrays;
    for (int32_t i = 0; i < array_count; ++i)
        arrays.emplace_back(learner->arrays[i].data(), learner->arrays[i].data() + learner->offsets.count);
    return arrays;
}

void threads() {
    for (const char* name : all_operations()) {
        const std::vector<Floats> alone = run_updates(name, 1);
        for (const int32_t count : {2, 3}) {
            const std::vector<Floats> several = run_updates(name, count);
            for (size_t i = 0; i < alone.size(); ++i)
                CHECK(std::memcmp(alone[i].data(), several[i].data(), alone[i].size() * sizeof(float)) == 0,
                      "%s, %d threads, array %zu", name, count, i);
        }
    }
}

void statuses() {
    Learner* created = nullptr;
    LearnerOptions options = options_for("none");
    CHECK(learner_create(options, &created) == TrainStatus::unknown_operations && created == nullptr, "operations");
    options = options_for(nullptr);
    options.shape.hidden2 = 0;
    CHECK(learner_create(options, &created) == TrainStatus::bad_shape && created == nullptr, "shape");
    CHECK(learner_create(options_for(nullptr), &created) == TrainStatus::ok, "create");
    const LearnerPointer learner(created);
    Metrics metrics{};
    std::atomic<bool> stop = false;
    CHECK(learner_update(created, 1, stop, &metrics) == TrainStatus::empty_replay, "empty");
    const Floats states(static_cast<size_t>(shape.width), 1.0f);
    const int32_t zero = 0, end = -1;
    const uint8_t accept = 1;
    const float reward = 3e38f;
    Block* block = nullptr;
    block_create({states.data(), 1, &zero, &accept, &reward, &end, 1}, shape.width, &block);
    learner_add(created, block);
    CHECK(learner_update(created, 1, stop, &metrics) == TrainStatus::not_finite, "a reward whose gradient overflows");
    stop = true;
    CHECK(learner_update(created, 1, stop, &metrics) == TrainStatus::stopped, "stopped");
}

// Blocks of growing size go through a ring of 10, which always holds the last 10, each with its own state.
void replay() {
    constexpr int32_t width = 3, capacity = 10;
    Replay ring(capacity);
    int32_t total = 0;
    for (int32_t size = 1; size <= 2 * capacity + 3; ++size) {
        Floats states, reward;
        std::vector<int32_t> state, next_state;
        std::vector<uint8_t> action;
        for (int32_t i = 0; i < size; ++i, ++total) {
            states.insert(states.end(), width, static_cast<float>(total));
            state.push_back(i);
            next_state.push_back(i + 1 < size ? i + 1 : -1);
            action.push_back(static_cast<uint8_t>(total % 2));
            reward.push_back(static_cast<float>(total) / 2);
        }
        ring.add(copy_block({states.data(), size, state.data(), action.data(), reward.data(), next_state.data(), size},
                            width));
        CHECK(ring.size() == std::min(total, capacity), "size after %d", total);
        for (int32_t age = 0; age < ring.size(); ++age) {
            const Transition& t = ring.at(age);
            const int32_t number = total - ring.size() + age;
            CHECK(t.state[width - 1] == static_cast<float>(number) && t.reward == static_cast<float>(number) / 2 &&
                      t.action == number % 2,
                  "transition %d", number);
            CHECK(t.next_state == nullptr
                      ? age == ring.size() - 1 || ring.at(age + 1).state[0] == static_cast<float>(number + 1)
                      : t.next_state[0] == static_cast<float>(number + 1),
                  "next of %d", number);
        }
    }
}

void randomness() {
    Random random(9);
    int32_t counts[7] = {};
    for (int32_t i = 0; i < 70000; ++i) ++counts[random.below(7)];
    for (const int32_t count : counts) CHECK(std::abs(count - 10000) < 500, "%d of 10000", count);

    const NetworkShape wide{400, 300, 100};
    const TensorOffsets at(wide);
    Floats parameters(at.count);
    initialise(wide, random, parameters.data());
    const auto spread = [&](size_t from, size_t to, double bound) {
        double squares = 0, largest = 0;
        for (size_t i = from; i < to; ++i) {
            squares += static_cast<double>(parameters[i]) * parameters[i];
            largest = std::max(largest, std::abs(static_cast<double>(parameters[i])));
        }
        CHECK(largest <= bound && largest > 0.9 * bound, "bound %g, largest %g", bound, largest);
        CHECK(std::abs(squares / static_cast<double>(to - from) / (bound * bound / 3) - 1) < 0.25, "uniform within %g",
              bound);
    };
    CHECK(parameters[at.gain] == 1 && parameters[at.shift - 1] == 1 && parameters[at.shift] == 0 &&
              parameters[at.w1 - 1] == 0,
          "LayerNorm");
    spread(at.w1, at.b1, 0.05);
    spread(at.b1, at.w2, 0.05);
    spread(at.w2, at.b2, 1 / std::sqrt(300.0));
    spread(at.w3, at.b3, 0.1);
}

}  // namespace

int main() {
    threads();
    statuses();
    replay();
    randomness();
    if (mara::test::failures == 0)
        std::printf("ok: %zu sets of operations, the best is %s\n", all_operations().size(), all_operations()[0]);
    return mara::test::failures == 0 ? 0 : 1;
}
