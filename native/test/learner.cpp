// The learner: products against float64, gradients of every loss against finite differences of a float64 evaluation,
// the replay's ring, and that neither threads nor the cut of the work show in any bit.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "check.h"
#include "guarded.h"
#include "train/state.h"

namespace {

using namespace mara::train;
using mara::test::GuardedFloats;
namespace kernel = mara::kernel;

using Doubles = std::vector<double>;
using Floats = std::vector<float>;

std::vector<const char*> all_operations() {
    std::vector<const char*> names(8);
    names.resize(static_cast<size_t>(operation_names(names.data(), 8)));
    return names;
}

Floats random_floats(size_t count, uint32_t seed, float deviation = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    Floats values(count);
    for (float& value : values) value = normal(random);
    return values;
}

// ---- Products

struct Side {
    int32_t count, depth;
    bool depth_major;
    GuardedFloats data;  // ends where nothing may be read

    Side(int32_t n, int32_t k, bool major, uint32_t seed)
        : count(n), depth(k), depth_major(major), data(static_cast<size_t>(n * k)) {
        const Floats values = random_floats(data.count, seed);
        std::copy(values.begin(), values.end(), data.data);
    }
    Operand operand() const { return {data.data, count, depth, depth_major ? count : depth, depth_major}; }
    double at(int32_t line, int32_t k) const { return data.data[depth_major ? k * count + line : line * depth + k]; }
};

void products() {
    for (const char* name : all_operations())
        for (const auto& [rows, columns, depth] :
             {std::array{1, 1, 1}, {2, 70, 300}, {15, 33, 17}, {127, 2, 513}, {129, 259, 40}})
            for (int32_t kind = 0; kind < 4; ++kind) {
                Workspace work;
                kernel::Pool* pool = nullptr;
                kernel::pool_create(2, &pool);
                const kernel::PoolPointer owned(pool);
                work.operations = find_operations(name);
                work.pool = pool;
                work.threads = 2;
                const Side left(rows, depth, (kind & 1) != 0, 1), right(columns, depth, (kind & 2) != 0, 2);
                const Floats scale = random_floats(static_cast<size_t>(depth), 3),
                             bias = random_floats(static_cast<size_t>(columns), 4);
                const Floats mask = random_floats(static_cast<size_t>(rows * columns), 5);
                Floats sums(static_cast<size_t>(rows), NAN);
                Operand a = left.operand(), b = right.operand();
                if (left.depth_major) a.sums = sums.data();
                if (!right.depth_major) b.scale = scale.data();
                for (const Finish finish : {Finish::none, Finish::bias_relu, Finish::mask}) {
                    GuardedFloats out(static_cast<size_t>(rows * columns));
                    std::fill_n(out.data, out.count, NAN);
                    multiply(work, a, b, out.data, finish, finish == Finish::mask ? mask.data() : bias.data());
                    double worst = 0;
                    for (int32_t r = 0; r < rows; ++r)
                        for (int32_t c = 0; c < columns; ++c) {
                            double sum = 0;
                            for (int32_t k = 0; k < depth; ++k)
                                sum += left.at(r, k) * right.at(c, k) *
                                       (b.scale == nullptr ? 1 : scale[static_cast<size_t>(k)]);
                            const auto place = static_cast<size_t>(r * columns + c);
                            if (finish == Finish::bias_relu) sum = std::max(0.0, sum + bias[static_cast<size_t>(c)]);
                            if (finish == Finish::mask && !(mask[place] > 0)) sum = 0;
                            const double error = std::abs(out.data[place] - sum);
                            worst = std::isnan(error) ? INFINITY : std::max(worst, error);
                        }
                    CHECK(worst < 1e-5 * std::sqrt(depth) * 4, "%s %dx%dx%d kind %d: off by %g", name, rows, columns,
                          depth, kind, worst);
                }
                for (int32_t r = 0; left.depth_major && r < rows; ++r) {
                    double sum = 0;
                    for (int32_t k = 0; k < depth; ++k) sum += left.at(r, k);
                    CHECK(std::abs(sums[static_cast<size_t>(r)] - sum) < 1e-4, "%s: sum of line %d", name, r);
                }
            }
}

// ---- A learner and its float64 evaluation

constexpr NetworkShape shape{19, 22, 7};
constexpr int32_t batch = 13;

LearnerOptions options_for(const char* operations, int32_t threads = 1) {
    return {shape, 5, 0.9, 0.01, 1e-3, 2e-3, 3e-3, 0.2, 0.4, true, 0.5, batch, 100, threads, operations};
}

struct LearnerDeleter {
    void operator()(Learner* learner) const { learner_free(learner); }
};
using LearnerPointer = std::unique_ptr<Learner, LearnerDeleter>;

// LayerNorm's affine and the targets are moved away from where they begin; some of the transitions are last ones.
LearnerPointer make_learner(const LearnerOptions& options) {
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

Doubles parameters_of(const Learner& learner, Array network) {
    const float* const values = learner.arrays[network].data();
    return {values, values + learner.offsets.count};
}

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

// Every parameter of every tensor, unless the step crosses a ReLU's kink, which shows as one-sided differences that
// disagree.
void check_gradient(const char* operations, const char* what, const Learner& learner, Doubles parameters,
                    const std::function<double(const Doubles&)>& loss) {
    const TensorOffsets& at = learner.offsets;
    const size_t starts[] = {at.gain, at.shift, at.w1, at.b1, at.w2, at.b2, at.w3, at.b3, at.count};
    const double here = loss(parameters);
    for (size_t tensor = 0; tensor < 8; ++tensor) {
        double largest = 0, worst = 0;
        size_t kinks = 0;
        for (size_t i = starts[tensor]; i < starts[tensor + 1]; ++i) {
            const double kept = parameters[i], step = 1e-5;
            parameters[i] = kept + step;
            const double above = (loss(parameters) - here) / step;
            parameters[i] = kept - step;
            const double below = (here - loss(parameters)) / step;
            parameters[i] = kept;
            const double expected = (above + below) / 2;
            largest = std::max(largest, std::abs(expected));
            if (std::abs(above - below) > 1e-2 * std::abs(expected) + 1e-3)
                ++kinks;
            else
                worst = std::max(worst, std::abs(learner.gradient.data()[i] - expected));
        }
        CHECK(largest > 1e-4 && kinks * 10 <= starts[tensor + 1] - starts[tensor],
              "%s, %s, tensor %zu: largest %g, %zu kinks", operations, what, tensor, largest, kinks);
        CHECK(worst < 2e-4 * largest + 1e-7, "%s, %s, tensor %zu: off by %g of %g", operations, what, tensor, worst,
              largest);
    }
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

// ---- Whole updates

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
    products();
    gradients();
    temperature();
    clipping();
    threads();
    statuses();
    replay();
    randomness();
    if (mara::test::failures == 0)
        std::printf("ok: %zu sets of operations, the best is %s\n", all_operations().size(), all_operations()[0]);
    return mara::test::failures == 0 ? 0 : 1;
}
