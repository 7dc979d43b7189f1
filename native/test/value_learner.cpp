// The learner of a value network: the loss of decisions and its gradient against a float64 evaluation and finite
// differences, that it begins by changing nothing, and that it learns.
#include <cmath>

#include "differences.h"
#include "students.h"

namespace {

// Decisions of four candidates, which have at most 0.9 of the model's probability. The demonstrated token of one of
// them is none of its candidates.
constexpr int32_t candidates = 4, decisions = 12;

Labels decision_labels(uint32_t seed) {
    Labels labels(seed, candidates * decisions);
    for (size_t d = 0; d < decisions; ++d)
        for (size_t i = 0; i < candidates; ++i) {
            labels.model_log.push_back(std::log(0.9f * static_cast<float>(candidates - i) / 10));
            labels.wanted[d * candidates + i] = d > 0 && i == d % candidates ? 1.0f : 0.0f;
        }
    return labels;
}

void gradients() {
    const Labels labels = decision_labels(11);
    const Integers all = everything(candidates * decisions);
    for (const char* name : all_operations()) {
        StudentOptions options = options_for(name);
        options.decision = candidates;
        const Pointer student = make(options, labels);
        const StudentOffsets at(shape);
        for (size_t i = at.fc2_weight; i < at.count; ++i)
            CHECK(student->parameters.data()[i] == 0, "%s: begins by changing nothing", name);
        std::mt19937 random(12);
        std::normal_distribution<float> normal(0, 0.5);
        for (size_t i = at.fc2_weight; i < at.count; ++i) student->parameters.data()[i] = normal(random);
        Doubles p = parameters_of(*student);
        const auto loss = [&] {
            double sum = 0;
            for (size_t d = 0; d < decisions; ++d) {
                double total = 0.1, change = 0;
                for (size_t i = d * candidates; i < (d + 1) * candidates; ++i) {
                    const double value = evaluate(p, labels, i).first;
                    total += std::exp(labels.model_log[i] + value);
                    change += labels.wanted[i] * value;
                }
                sum += std::log(total) - change;
            }
            return sum / decisions;
        };
        StudentMetrics sum{};
        student_forward(*student, all.data(), candidates * decisions);
        student_gradient(*student, all.data(), candidates * decisions, sum);
        CHECK(std::abs(sum.loss / decisions - loss()) < 1e-5, "%s: loss %g, expected %g", name, sum.loss / decisions,
              loss());
        const size_t starts[] = {at.hidden_weight,  at.hidden_bias, at.embedding_weight,
                                 at.embedding_bias, at.fc1_weight,  at.fc1_bias,
                                 at.fc2_weight,     at.fc2_bias,    at.count};
        mara::test::check_differences(name, p, starts, loss, [&](size_t i) { return student->gradient.data()[i]; });
    }
}

// Tokens that the model finds improbable are demonstrated: they are no longer surprising.
void learns() {
    const Labels labels = decision_labels(13);
    const Integers all = everything(candidates * decisions);
    StudentOptions options = options_for(nullptr);
    options.decision = candidates;
    const Pointer student = make(options, labels);
    const std::atomic<bool> stop{false};
    StudentMetrics first{}, last{};
    CHECK(student_epoch(student.get(), all.data(), candidates * decisions, 1e-2, stop, &first) == TrainStatus::ok,
          "first epoch");
    for (int32_t epoch = 0; epoch < 100; ++epoch)
        CHECK(student_epoch(student.get(), all.data(), candidates * decisions, 1e-2, stop, &last) == TrainStatus::ok,
              "epoch %d", epoch);
    CHECK(last.loss * candidates < -1, "loss from %g to %g", first.loss * candidates, last.loss * candidates);
}

void refusals() {
    const Labels labels = decision_labels(14);
    StudentTrainer* created = nullptr;
    StudentOptions options = options_for(nullptr);
    options.decision = 5;
    CHECK(student_create(options, labels.data(), &created) == TrainStatus::bad_shape, "a batch that parts a decision");
}

}  // namespace

int main() {
    gradients();
    learns();
    refusals();
    if (mara::test::failures == 0) std::printf("ok\n");
    return mara::test::failures == 0 ? 0 : 1;
}
