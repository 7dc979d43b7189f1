// What a student's outputs cost, and the gradient by them.
#include <algorithm>
#include <cmath>

#include "train/matrices.h"
#include "train/student_state.h"

namespace mara::train {

void verdict_loss(StudentTrainer& student, const int32_t* labels, int32_t count, StudentMetrics& sum) {
    const double min = student.options.log_sigma_min, max = student.options.log_sigma_max;
    for (int32_t i = 0; i < count; ++i) {
        const size_t at_mean = area(i, outputs);
        const double error = static_cast<double>(student.out[at_mean]) - student.wanted[static_cast<size_t>(labels[i])];
        const double raw = student.out[at_mean + 1];
        const double log_sigma = std::clamp(raw, min, max);
        const double scaled = error * error * std::exp(-2 * log_sigma);
        // Beyond its bounds log σ may only come back.
        const double slope = 1 - scaled;
        const bool moves = (raw >= min || slope < 0) && (raw <= max || slope > 0);
        student.out_gradient[at_mean] = static_cast<float>(error / count);
        student.out_gradient[at_mean + 1] = static_cast<float>(moves ? slope / count : 0);
        sum.squared_error += error * error;
        sum.loss += 0.5 * error * error + log_sigma + 0.5 * scaled;
    }
}

// With p the model's probabilities and v the means, the normaliser is Σ p·exp(v) over the
// candidates + 1 − Σ p, since all other tokens keep their logits.
void decision_loss(StudentTrainer& student, const int32_t* labels, int32_t count, StudentMetrics& sum) {
    const int32_t size = student.options.decision;
    const double decisions = static_cast<double>(count) / size;
    for (int32_t first = 0; first < count; first += size) {
        const auto label = [&](int32_t i) { return static_cast<size_t>(labels[first + i]); };
        const auto value = [&](int32_t i) { return static_cast<double>(student.out[area(first + i, outputs)]); };
        double largest = 0, others = 1;
        for (int32_t i = 0; i < size; ++i) {
            largest = std::max(largest, value(i));
            others -= std::exp(static_cast<double>(student.model_log[label(i)]));
        }
        const auto weight = [&](int32_t i) { return std::exp(student.model_log[label(i)] + value(i) - largest); };
        double total = std::max(0.0, others) * std::exp(-largest);
        for (int32_t i = 0; i < size; ++i) total += weight(i);
        sum.loss += largest + std::log(total);
        for (int32_t i = 0; i < size; ++i) {
            const double wanted = student.wanted[label(i)];
            const size_t at_mean = area(first + i, outputs);
            sum.loss -= wanted * value(i);
            student.out_gradient[at_mean] = static_cast<float>((weight(i) / total - wanted) / decisions);
            student.out_gradient[at_mean + 1] = 0;
        }
    }
}

}  // namespace mara::train
