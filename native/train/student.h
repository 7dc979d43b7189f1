// The learner of a student: a network that predicts the logit of an agent's verdict on a candidate, and how sure the
// prediction is, from the last token's hidden state and the candidate's embedding (docs/training.md).
//
//   p = Wh·normalised(state) + bh,  q = We·embedding + be,  z = ReLU(W1·[p, q, p·q, given] + b1),
//   [mean, log σ] = W2·z + b2
//
// It also learns a value network (docs/training.md): the same network, whose mean is what a candidate's logit is to
// change by, fitted to demonstrated tokens by cross-entropy through the model's own logits.
//
// The boundary is that of learner.h: no exceptions, one call at a time per student. Results depend on the calls, the
// seed and the operations in use, not on the number of threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "train/learner.h"

namespace mara::train {

constexpr int32_t student_given = 2;  // numbers of a label beside the projections: log-probability and rank

struct StudentShape {
    int32_t width;
    int32_t projected;
    int32_t hidden;

    int32_t features() const { return 3 * projected + student_given; }
};

// Where each tensor begins; `count` numbers in all. Weights are [out][in].
struct StudentOffsets {
    explicit StudentOffsets(const StudentShape& shape);
    size_t hidden_weight, hidden_bias, embedding_weight, embedding_bias, fc1_weight, fc1_bias, fc2_weight, fc2_bias,
        count;
};

// Labels: verdicts on candidates. States and embeddings are stored once each.
struct StudentData {
    const float* states;      // [state_rows][width]
    const float* embeddings;  // [embedding_rows][width]
    int32_t state_rows;
    int32_t embedding_rows;
    const int32_t* state;      // [count], row
    const int32_t* embedding;  // [count], row
    const float* given;        // [count][student_given]
    const float* wanted;       // [count], what the mean is to be; in decisions 1 for the demonstrated token, else 0
    // [count], the model's own log-probability over its vocabulary; in decisions only
    const float* model_log;
    int32_t count;
};

struct StudentOptions {
    StudentShape shape;
    uint64_t seed;
    double weight_decay;  // AdamW's, of the weights, not of the biases
    double log_sigma_min, log_sigma_max;
    int32_t batch_size;
    int32_t threads;
    const char* operations;  // nullptr: the best of this machine
    // 0: the labels are verdicts. Else they stand in decisions of so many candidates, which neither a batch nor the
    // order of an epoch parts, and the network begins with a mean of 0.
    int32_t decision;
};

// Means over the labels of an epoch, each before the step that learnt from it.
struct StudentMetrics {
    double squared_error;
    // ½·squared error + the negative log-likelihood that σ is fitted by; of a decision, shared out among its labels:
    // how much more surprising the demonstrated token is than to the model alone.
    double loss;
};

struct StudentTrainer;

// Copies the data.
TrainStatus student_create(const StudentOptions& options, const StudentData& data, StudentTrainer** out);
void student_free(StudentTrainer* student);

// One AdamW step for each batch of the labels in this order. Looks at `stop` before each.
TrainStatus student_epoch(StudentTrainer* student, const int32_t* labels, int32_t count, double learning_rate,
                          const std::atomic<bool>& stop, StudentMetrics* metrics);
// out[count][2]: mean and log σ, which is within its bounds.
TrainStatus student_predict(StudentTrainer* student, const int32_t* labels, int32_t count, float* out);

float* student_parameters(StudentTrainer* student);  // [StudentOffsets::count]

}  // namespace mara::train
