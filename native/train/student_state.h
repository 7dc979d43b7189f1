// A student's learner from the inside, for student.cpp and the tests.
#pragma once

#include <memory>
#include <vector>

#include "kernel/kernel.h"
#include "train/state.h"
#include "train/student.h"

namespace mara::train {

// Rows of a table that a batch uses, each once.
struct Gathered {
    std::vector<int32_t> slot;   // by row of the table: its place in the batch, or −1
    std::vector<int32_t> rows;   // by place
    std::vector<int32_t> place;  // by label of the batch
    Buffer values;               // [rows][width]
    Buffer projected;            // [rows][projected]
    Buffer gradient;             // of `projected`
};

struct StudentTrainer {
    StudentTrainer(const StudentOptions& options, const StudentData& data);

    StudentOptions options;
    StudentOffsets offsets;
    kernel::PoolPointer pool;
    Workspace work;

    std::vector<float> states, embeddings, given, wanted, model_log;  // states: normalised
    std::vector<int32_t> state, embedding;
    Buffer parameters, gradient, moment1, moment2;
    double steps = 0;

    // The batch under way.
    Gathered of_states, of_embeddings;
    Buffer features, hidden, hidden_gradient, features_gradient;
    std::vector<float> out, out_gradient;
};

// Leaves mean and log σ, the latter as the network gives it, in `out`.
void student_forward(StudentTrainer& student, const int32_t* labels, int32_t count);
// After a forward pass: leaves the gradient of the mean loss in `gradient`. Adds the labels' losses to the metrics.
// The mean is fitted by squared error alone: σ's likelihood takes it as given.
void student_gradient(StudentTrainer& student, const int32_t* labels, int32_t count, StudentMetrics& sum);

// After a forward pass: leave the gradient of the mean loss by the outputs in `out_gradient`, of verdicts and of
// decisions.
void verdict_loss(StudentTrainer& student, const int32_t* labels, int32_t count, StudentMetrics& sum);
void decision_loss(StudentTrainer& student, const int32_t* labels, int32_t count, StudentMetrics& sum);

}  // namespace mara::train
