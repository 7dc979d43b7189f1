// The learner of a student: its outputs and the gradient of its loss against a float64 evaluation and finite
// differences, AdamW's first step, bounds of log σ, that neither threads nor repetition show in any bit, and that it
// learns.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "check.h"
#include "differences.h"
#include "students.h"

namespace {

void gradients() {
    const Labels labels(1);
    const Integers all = everything();
    for (const char* name : all_operations()) {
        const Pointer student = make(options_for(name), labels);
        Doubles p = parameters_of(*student);
        Doubles fixed;  // the means that σ's likelihood takes as given
        for (size_t i = 0; i < count; ++i) fixed.push_back(evaluate(p, labels, i).first);
        const auto loss = [&] {
            double sum = 0;
            for (size_t i = 0; i < count; ++i) {
                const auto [mean, log_sigma] = evaluate(p, labels, i);
                const double error = mean - labels.wanted[i], given = fixed[i] - labels.wanted[i];
                sum += 0.5 * error * error + log_sigma + 0.5 * given * given * std::exp(-2 * log_sigma);
            }
            return sum / count;
        };
        StudentMetrics sum{};
        student_forward(*student, all.data(), count);
        for (size_t i = 0; i < count; ++i) {
            const auto [mean, log_sigma] = evaluate(p, labels, i);
            CHECK(std::abs(student->out[2 * i] - mean) + std::abs(student->out[2 * i + 1] - log_sigma) < 1e-5,
                  "%s: outputs of label %zu", name, i);
        }
        student_gradient(*student, all.data(), count, sum);
        const double here = loss();
        CHECK(std::abs(sum.loss / count - here) < 1e-5 * std::abs(here), "%s: loss %g, expected %g", name,
              sum.loss / count, here);
        const StudentOffsets at(shape);
        const size_t starts[] = {at.hidden_weight,  at.hidden_bias, at.embedding_weight,
                                 at.embedding_bias, at.fc1_weight,  at.fc1_bias,
                                 at.fc2_weight,     at.fc2_bias,    at.count};
        mara::test::check_differences(name, p, starts, loss, [&](size_t i) { return student->gradient.data()[i]; });
    }
}

// AdamW's first step moves every parameter by the learning rate against its gradient, and weights towards 0 before.
void first_step() {
    const Labels labels(2);
    StudentOptions options = options_for(nullptr);
    options.batch_size = count;
    const Pointer student = make(options, labels);
    const Doubles before = parameters_of(*student);
    const Integers all = everything();
    const std::atomic<bool> stop{false};
    StudentMetrics metrics{};
    const double rate = 1e-3;
    CHECK(student_epoch(student.get(), all.data(), count, rate, stop, &metrics) == TrainStatus::ok, "an epoch");
    const StudentOffsets at(shape);
    for (size_t i = 0; i < at.count; ++i) {
        const double gradient = student->gradient.data()[i];
        if (std::abs(gradient) < 1e-5) continue;
        const bool weight = i < at.hidden_bias || (i >= at.embedding_weight && i < at.embedding_bias) ||
                            (i >= at.fc1_weight && i < at.fc1_bias) || (i >= at.fc2_weight && i < at.fc2_bias);
        const double kept = weight ? before[i] * (1 - rate * options.weight_decay) : before[i];
        const double expected = kept - (gradient > 0 ? rate : -rate);
        CHECK(std::abs(student->parameters.data()[i] - expected) < 2e-6, "parameter %zu: %g, expected %g", i,
              static_cast<double>(student->parameters.data()[i]), expected);
    }
}

void bounds() {
    const Labels labels(3);
    const Integers all = everything();
    const Pointer student = make(options_for(nullptr), labels);
    float* const p = student_parameters(student.get());
    const StudentOffsets at(shape);
    Floats out(count * outputs);
    for (const float bias : {-100.0f, 100.0f}) {
        p[at.fc2_bias + 1] = bias;
        CHECK(student_predict(student.get(), all.data(), count, out.data()) == TrainStatus::ok, "predicted");
        const float bound = bias < 0 ? -5 : 3;
        for (size_t i = 0; i < count; ++i) CHECK(out[2 * i + 1] == bound, "log sigma of label %zu", i);
        StudentMetrics sum{};
        student_forward(*student, all.data(), count);
        student_gradient(*student, all.data(), count, sum);
        // Errors are far above e⁻⁵ and far below e³, so σ is to come back from both bounds.
        const float gradient = student->gradient.data()[at.fc2_bias + 1];
        CHECK(bias < 0 ? gradient < 0 : gradient > 0, "the way back from %g: %g", static_cast<double>(bias),
              static_cast<double>(gradient));
    }
}

// Threads, and a second run, give the same bits; another seed does not.
void reproducible() {
    const Labels labels(4);
    const Integers all = everything();
    const std::atomic<bool> stop{false};
    for (const char* name : all_operations()) {
        const auto fitted = [&](int32_t threads, uint64_t seed) {
            StudentOptions options = options_for(name, threads);
            options.seed = seed;
            const Pointer student = make(options, labels);
            StudentMetrics metrics{};
            for (int32_t epoch = 0; epoch < 3; ++epoch)
                CHECK(student_epoch(student.get(), all.data(), count, 1e-2, stop, &metrics) == TrainStatus::ok, "%s",
                      name);
            return Floats(student->parameters.data(), student->parameters.data() + student->offsets.count);
        };
        const Floats one = fitted(1, 5);
        CHECK(fitted(1, 5) == one && fitted(3, 5) == one, "%s: the same bits", name);
        CHECK(fitted(1, 6) != one, "%s: another seed", name);
    }
}

// A teacher that the features can express: the error falls, and σ comes to the noise that was added.
void learns() {
    constexpr int32_t many = 4096;
    Labels labels(7, many);
    const StudentOptions options{shape, 5, 1e-4, -5, 3, 64, 1, nullptr, 0};
    std::mt19937 random(8);
    std::normal_distribution<float> normal(0, 0.25);
    for (size_t i = 0; i < many; ++i) {
        const float* const h = labels.states.data() + labels.state[i] * shape.width;
        const float* const e = labels.embeddings.data() + labels.embedding[i] * shape.width;
        labels.wanted[i] = h[0] * e[0] + h[1] + e[2] + 0.5f * labels.given[2 * i] + normal(random);
    }
    const Pointer student = make(options, labels);
    const Integers all = everything(many);
    const std::atomic<bool> stop{false};
    StudentMetrics first{}, last{};
    CHECK(student_epoch(student.get(), all.data(), many, 3e-3, stop, &first) == TrainStatus::ok, "first epoch");
    for (int32_t epoch = 0; epoch < 40; ++epoch)
        CHECK(student_epoch(student.get(), all.data(), many, 3e-3, stop, &last) == TrainStatus::ok, "epoch %d", epoch);
    CHECK(last.squared_error < 0.09 && last.squared_error < first.squared_error / 5, "squared error from %g to %g",
          first.squared_error, last.squared_error);
    Floats out(many * outputs);
    CHECK(student_predict(student.get(), all.data(), many, out.data()) == TrainStatus::ok, "predicted");
    double sigma = 0;
    for (size_t i = 0; i < many; ++i) sigma += std::exp(out[2 * i + 1]) / many;
    CHECK(std::abs(sigma - 0.25) < 0.05, "sigma %g", sigma);
}

void refusals() {
    const Labels labels(9);
    StudentTrainer* created = nullptr;
    StudentOptions options = options_for("abacus");
    CHECK(student_create(options, labels.data(), &created) == TrainStatus::unknown_operations, "unknown operations");
    options = options_for(nullptr);
    options.shape.width = 0;
    CHECK(student_create(options, labels.data(), &created) == TrainStatus::bad_shape, "width 0");
    const Pointer student = make(options_for(nullptr), labels);
    const Integers all = everything();
    const Doubles before = parameters_of(*student);
    StudentMetrics metrics{};
    const std::atomic<bool> stop{true};
    CHECK(student_epoch(student.get(), all.data(), count, 1e-3, stop, &metrics) == TrainStatus::stopped &&
              parameters_of(*student) == before,
          "stopped before the first batch");
}

}  // namespace

int main() {
    gradients();
    first_step();
    bounds();
    reproducible();
    learns();
    refusals();
    if (mara::test::failures == 0) std::printf("ok\n");
    return mara::test::failures == 0 ? 0 : 1;
}
