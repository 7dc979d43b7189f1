// The student: predicts an agent's verdict on a candidate before the candidate is decoded, from the hidden state that
// the candidate was drawn from and the candidate's own embedding.
//
//   p = hidden · LayerNorm(state), q = embedding · row of the token        64 values each
//   f = [p, q, p·q, log-probability, ln(1 + rank)]
//   [mu, log sigma] = fc2 · relu(fc1 · f)
//
// mu is the logit of the agent's accept probability, sigma its standard error.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/kernel.h"

namespace mara::kernel {

constexpr int32_t student_projection = 64;
constexpr int32_t student_features = 3 * student_projection + 2;
constexpr int32_t student_hidden = 128;

// Row-major, [outputs][inputs].
struct StudentWeights {
    int32_t width;
    const float* norm_weight;
    const float* norm_bias;
    const float* hidden_weight;  // [student_projection][width]
    const float* hidden_bias;
    const float* embedding_weight;  // [student_projection][width]
    const float* embedding_bias;
    const float* fc1_weight;  // [student_hidden][student_features]
    const float* fc1_bias;
    const float* fc2_weight;  // [2][student_hidden]
    const float* fc2_bias;
};

struct StudentCandidate {
    int32_t token;  // below the vocabulary's size
    int32_t rank;   // by probability, from 0
    float log_probability;
};

struct StudentVerdict {
    float mu;
    float sigma;
};

// What a variant offers. Outputs are multiples of 16; a sum is taken in the same order whatever the number of rows.
struct StudentOperations {
    const char* variant;
    void (*moments)(const float* row, int32_t inputs, float* mean, float* deviation_reciprocal);
    // out[r][o] = start[o] + Σ x[r · stride + i] · weights[i][o]
    void (*multiply)(const float* x, ptrdiff_t stride, int32_t rows, int32_t depth, const float* weights,
                     int32_t outputs, const float* start, float* out);
    // out = a + b · factor
    void (*blend)(const float* a, const float* b, float factor, int32_t count, float* out);
    void (*widen)(const uint16_t* from, int32_t count, float* to);
    // Dot product of max(0, x) and weights.
    float (*rectified_dot)(const float* x, const float* weights, int32_t count);
};

class Student {
public:
    // `variant`: one of `variants`, or null for the best; its own arithmetic is always float32.
    Student(const StudentWeights& weights, int32_t vocabulary, const char* variant);

    // Projects the embeddings of tokens first … first + count - 1, [count][width]. May run beside another call that
    // projects other tokens. The table is to be complete before `judge`. False where a value is NaN or beyond 16-bit
    // floats.
    bool project(int32_t first, int32_t count, const float* embeddings);

    // Scratch of one call, so that a decision allocates nothing.
    struct Scratch {
        std::vector<float> projected, combined, start, inputs, hidden;
    };
    // mu is NaN where the state holds a NaN or an infinity, or a hidden unit is NaN.
    void judge(const float* state, const StudentCandidate* candidates, int32_t count, Scratch& scratch,
               StudentVerdict* verdicts) const;

    int32_t width() const { return width_; }
    int32_t vocabulary() const { return vocabulary_; }
    size_t bytes() const;
    const char* variant() const { return operations_->variant; }

private:
    const StudentOperations* operations_;
    int32_t width_;
    int32_t vocabulary_;
    // Transposed, [inputs][outputs]. The norm's weights and bias are part of the hidden projection.
    std::vector<float> hidden_, hidden_sum_, hidden_bias_, embedding_, embedding_bias_;
    std::vector<float> from_state_, from_token_, from_product_, from_numbers_, fc1_bias_;
    std::vector<float> fc2_, fc2_bias_;
    std::vector<uint16_t> table_;  // [vocabulary][student_projection], f16
};

}  // namespace mara::kernel
