#include "kernel/student.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernel/cpu.h"
#include "kernel/layer.h"
#include "kernel/numbers.h"
#include "kernel/student_vector.h"

namespace mara::kernel {

extern const StudentOperations student_avx2, student_avx512, student_neon;

namespace {

constexpr int32_t projection = student_projection;
constexpr int32_t features = student_features;
constexpr int32_t hidden = student_hidden;
// A candidate's own inputs of the hidden layer: its projection, log-probability and rank.
constexpr int32_t own_inputs = projection + 2;
constexpr int32_t block_candidates = 64;
constexpr float log_sigma_min = -5, log_sigma_max = 3;
constexpr float largest_f16 = 65504;

// Plain float32, for every machine.
struct Scalar {
    using V = float;
    static constexpr int32_t width = 1, tile_rows = 4, tile_vectors = 4, row_vectors = 16;
    static V zero() { return 0; }
    static V set1(float x) { return x; }
    static V load(const float* from) { return *from; }
    static V load_first(const float* from, int32_t) { return *from; }
    static V load_first_or(const float* from, int32_t, V) { return *from; }
    static void store(float* to, V a) { *to = a; }
    static V add(V a, V b) { return a + b; }
    static V sub(V a, V b) { return a - b; }
    static V mul(V a, V b) { return a * b; }
    static V fma(V a, V b, V c) { return a * b + c; }
    static V max(V a, V b) { return a > b ? a : b; }
    static float sum(V a) { return a; }
    static V widen(const uint16_t* from) { return f16_to_float(*from); }
};

constexpr StudentOperations student_scalar = student_operations<Scalar>("reference");

// The operations that the named variant of the agent's kernel goes with.
const StudentOperations* find_operations(const char* name) {
    const Variant* const variant = find_variant(name);
    if (variant == nullptr || std::strcmp(variant->name, "reference") == 0) return &student_scalar;
#if defined(__x86_64__) || defined(_M_X64)
    return std::strcmp(variant->name, "avx2") == 0 ? &student_avx2 : &student_avx512;
#elif defined(__aarch64__)
    return &student_neon;
#else
    return &student_scalar;
#endif
}

// Columns first … first + count - 1 of `weights` [outputs][inputs], as [count][outputs].
std::vector<float> transposed(const float* weights, int32_t outputs, int32_t inputs, int32_t first, int32_t count) {
    std::vector<float> out(static_cast<size_t>(count) * static_cast<size_t>(outputs));
    for (int32_t o = 0; o < outputs; ++o)
        for (int32_t i = 0; i < count; ++i)
            out[static_cast<size_t>(i) * static_cast<size_t>(outputs) + static_cast<size_t>(o)] =
                weights[static_cast<ptrdiff_t>(o) * inputs + first + i];
    return out;
}

}  // namespace

Student::Student(const StudentWeights& weights, int32_t vocabulary, const char* variant)
    : operations_(find_operations(variant)),
      width_(weights.width),
      vocabulary_(vocabulary),
      hidden_(transposed(weights.hidden_weight, projection, weights.width, 0, weights.width)),
      hidden_sum_(projection),
      hidden_bias_(weights.hidden_bias, weights.hidden_bias + projection),
      embedding_(transposed(weights.embedding_weight, projection, weights.width, 0, weights.width)),
      embedding_bias_(weights.embedding_bias, weights.embedding_bias + projection),
      from_state_(transposed(weights.fc1_weight, hidden, features, 0, projection)),
      from_token_(transposed(weights.fc1_weight, hidden, features, projection, projection)),
      from_product_(transposed(weights.fc1_weight, hidden, features, 2 * projection, projection)),
      from_numbers_(transposed(weights.fc1_weight, hidden, features, 3 * projection, 2)),
      fc1_bias_(weights.fc1_bias, weights.fc1_bias + hidden),
      fc2_(weights.fc2_weight, weights.fc2_weight + 2 * hidden),
      fc2_bias_(weights.fc2_bias, weights.fc2_bias + 2),
      table_(static_cast<size_t>(vocabulary) * projection) {
    for (int32_t o = 0; o < projection; ++o) {
        double sum = 0, bias = hidden_bias_[static_cast<size_t>(o)];
        for (int32_t i = 0; i < width_; ++i) {
            float& weight = hidden_[static_cast<size_t>(i) * projection + static_cast<size_t>(o)];
            bias += static_cast<double>(weight) * weights.norm_bias[i];
            weight *= weights.norm_weight[i];
            sum += weight;
        }
        hidden_sum_[static_cast<size_t>(o)] = static_cast<float>(sum);
        hidden_bias_[static_cast<size_t>(o)] = static_cast<float>(bias);
    }
}

bool Student::project(int32_t first, int32_t count, const float* embeddings) {
    std::vector<float> rows(static_cast<size_t>(count) * projection);
    operations_->multiply(embeddings, width_, count, width_, embedding_.data(), projection, embedding_bias_.data(),
                          rows.data());
    std::transform(rows.begin(), rows.end(), table_.begin() + static_cast<ptrdiff_t>(first) * projection, float_to_f16);
    return std::all_of(rows.begin(), rows.end(), [](float value) { return std::fabs(value) <= largest_f16; });
}

void Student::judge(const float* state, const StudentCandidate* candidates, int32_t count, Scratch& scratch,
                    StudentVerdict* verdicts) const {
    float mean, reciprocal;
    operations_->moments(state, width_, &mean, &reciprocal);
    if (!std::isfinite(mean) || !std::isfinite(reciprocal)) {
        std::fill_n(verdicts, count, StudentVerdict{std::numeric_limits<float>::quiet_NaN(), 1});
        return;
    }
    auto& [projected, combined, start, inputs, outputs] = scratch;
    projected.resize(projection);
    start.assign(hidden, 0);
    combined.resize(own_inputs * hidden);
    inputs.resize(block_candidates * own_inputs);
    outputs.resize(block_candidates * hidden);

    std::vector<float>& p = projected;
    operations_->multiply(state, width_, 1, width_, hidden_.data(), projection, start.data(), p.data());
    for (size_t i = 0; i < projection; ++i) p[i] = (p[i] - mean * hidden_sum_[i]) * reciprocal + hidden_bias_[i];
    // The state is the same for all candidates, so its share of the hidden layer is summed once, and the products'
    // weights become weights of the candidates' projections.
    operations_->multiply(p.data(), projection, 1, projection, from_state_.data(), hidden, fc1_bias_.data(),
                          start.data());
    for (size_t i = 0; i < projection; ++i)
        operations_->blend(from_token_.data() + i * hidden, from_product_.data() + i * hidden, p[i], hidden,
                           combined.data() + i * hidden);
    std::copy(from_numbers_.begin(), from_numbers_.end(), combined.begin() + projection * hidden);

    for (int32_t first = 0; first < count; first += block_candidates) {
        const int32_t block = std::min(block_candidates, count - first);
        for (int32_t k = 0; k < block; ++k) {
            const StudentCandidate& candidate = candidates[first + k];
            float* const own = inputs.data() + k * own_inputs;
            operations_->widen(table_.data() + static_cast<ptrdiff_t>(candidate.token) * projection, projection, own);
            own[projection] = candidate.log_probability;
            own[projection + 1] = std::log1p(static_cast<float>(candidate.rank));
        }
        operations_->multiply(inputs.data(), own_inputs, block, own_inputs, combined.data(), hidden, start.data(),
                              outputs.data());
        for (int32_t k = 0; k < block; ++k) {
            const float* const z = outputs.data() + k * hidden;
            const float log_sigma = operations_->rectified_dot(z, fc2_.data() + hidden, hidden) + fc2_bias_[1];
            verdicts[first + k] = {operations_->rectified_dot(z, fc2_.data(), hidden) + fc2_bias_[0],
                                   std::exp(std::clamp(log_sigma, log_sigma_min, log_sigma_max))};
        }
    }
}

size_t Student::bytes() const {
    return table_.size() * sizeof(uint16_t) + (hidden_.size() + embedding_.size()) * sizeof(float);
}

}  // namespace mara::kernel
