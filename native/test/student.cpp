// The student in every variant of this machine against float64, with a table that is rounded to f16 as theirs is.
#include "kernel/student.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "check.h"
#include "guarded.h"
#include "kernel/numbers.h"
#include "model.h"

namespace {

using namespace mara::test;
using namespace mara::kernel;

constexpr int32_t vocabulary = 70;

struct Reference {
    int32_t width;
    Floats norm_weight, norm_bias, hidden_weight, hidden_bias, embedding_weight, embedding_bias, fc1_weight, fc1_bias,
        fc2_weight, fc2_bias, embeddings;

    Reference(int32_t d, uint32_t seed) : width(d) {
        std::mt19937 random(seed);
        const auto normal = [&](int64_t count, double deviation, float mean = 0) {
            std::normal_distribution<float> distribution(mean, static_cast<float>(deviation));
            Floats values(static_cast<size_t>(count));
            for (float& value : values) value = distribution(random);
            return values;
        };
        norm_weight = normal(d, 0.2, 1);
        norm_bias = normal(d, 0.2);
        hidden_weight = normal(64 * d, 1 / std::sqrt(d));
        hidden_bias = normal(64, 0.1);
        embedding_weight = normal(64 * d, 1 / std::sqrt(d));
        embedding_bias = normal(64, 0.1);
        fc1_weight = normal(128 * 194, 1 / std::sqrt(194));
        fc1_bias = normal(128, 0.1);
        fc2_weight = normal(2 * 128, 1 / std::sqrt(128));
        fc2_bias = normal(2, 0.1);
        embeddings = normal(vocabulary * d, 1);
    }

    StudentWeights weights() const {
        return {width,
                norm_weight.data(),
                norm_bias.data(),
                hidden_weight.data(),
                hidden_bias.data(),
                embedding_weight.data(),
                embedding_bias.data(),
                fc1_weight.data(),
                fc1_bias.data(),
                fc2_weight.data(),
                fc2_bias.data()};
    }

    using Doubles = std::vector<double>;
    static Doubles linear(const Floats& w, const Floats& b, const Doubles& in) {
        Doubles out(b.begin(), b.end());
        for (size_t o = 0; o < out.size(); ++o)
            for (size_t i = 0; i < in.size(); ++i) out[o] += static_cast<double>(w[o * in.size() + i]) * in[i];
        return out;
    }

    // {mu, sigma}
    std::pair<double, double> judge(const float* state, const StudentCandidate& candidate) const {
        double mean = 0, variance = 0;
        for (int32_t i = 0; i < width; ++i) mean += state[i] / static_cast<double>(width);
        for (int32_t i = 0; i < width; ++i) variance += (state[i] - mean) * (state[i] - mean) / width;
        Doubles x(static_cast<size_t>(width)), e(static_cast<size_t>(width));
        for (size_t i = 0; i < x.size(); ++i) {
            x[i] = (state[i] - mean) / std::sqrt(variance + 1e-5) * norm_weight[i] + norm_bias[i];
            e[i] = embeddings[static_cast<size_t>(candidate.token) * x.size() + i];
        }
        const Doubles p = linear(hidden_weight, hidden_bias, x);
        Doubles q = linear(embedding_weight, embedding_bias, e);
        for (double& value : q) value = f16_to_float(float_to_f16(static_cast<float>(value)));
        Doubles f(p);
        f.insert(f.end(), q.begin(), q.end());
        for (size_t i = 0; i < p.size(); ++i) f.push_back(p[i] * q[i]);
        f.push_back(candidate.log_probability);
        f.push_back(std::log(1 + static_cast<double>(candidate.rank)));
        Doubles z = linear(fc1_weight, fc1_bias, f);
        for (double& value : z) value = std::max(0.0, value);
        const Doubles out = linear(fc2_weight, fc2_bias, z);
        return {out[0], std::exp(std::min(3.0, std::max(-5.0, out[1])))};
    }
};

void run(int32_t width, const char* variant, uint32_t seed) {
    const Reference reference(width, seed);
    Student student(reference.weights(), vocabulary, variant);
    GuardedFloats embeddings(reference.embeddings.size());
    std::copy(reference.embeddings.begin(), reference.embeddings.end(), embeddings.data);
    student.project(0, 33, embeddings.data);
    student.project(33, vocabulary - 33, embeddings.data + static_cast<ptrdiff_t>(33) * width);

    const Floats values = random_states(static_cast<size_t>(width), seed + 1);
    GuardedFloats state(values.size());
    std::copy(values.begin(), values.end(), state.data);
    std::mt19937 random(seed + 2);
    std::uniform_real_distribution<float> log_probability(-9, 0);
    Student::Scratch scratch;
    double worst = 0;
    std::vector<StudentVerdict> alone;
    for (const int32_t count : {1, 3, 4, 40, 64, 67, 131}) {
        std::vector<StudentCandidate> candidates;
        for (int32_t i = 0; i < count; ++i)
            candidates.push_back({static_cast<int32_t>(random() % vocabulary), i, log_probability(random)});
        std::vector<StudentVerdict> verdicts(static_cast<size_t>(count) + 1, {7, 7});
        student.judge(state.data, candidates.data(), count, scratch, verdicts.data());
        CHECK(verdicts.back().mu == 7, "%s wrote behind its output, seed %u", variant, seed);
        for (int32_t i = 0; i < count; ++i) {
            const auto [mu, sigma] = verdicts[static_cast<size_t>(i)];
            const auto [expected_mu, expected_sigma] = reference.judge(state.data, candidates[static_cast<size_t>(i)]);
            const double error =
                std::max(std::fabs(mu - expected_mu), std::fabs(sigma - expected_sigma) / expected_sigma);
            worst = std::max(worst, error);
            // Where float32 and float64 round a projection to different f16 values, one part in 2048 of it remains.
            CHECK(error <= 2e-3, "%s D=%d K=%d candidate %d: %g ± %g instead of %g ± %g, seed %u", variant, width,
                  count, i, static_cast<double>(mu), static_cast<double>(sigma), expected_mu, expected_sigma, seed);
            StudentVerdict single;
            student.judge(state.data, &candidates[static_cast<size_t>(i)], 1, scratch, &single);
            CHECK(single.mu == mu && single.sigma == sigma, "%s D=%d K=%d: candidate %d changed alone, seed %u",
                  variant, width, count, i, seed);
        }
    }
    state.data[width - 1] = std::numeric_limits<float>::quiet_NaN();
    const StudentCandidate one{0, 0, 0};
    StudentVerdict verdict;
    student.judge(state.data, &one, 1, scratch, &verdict);
    CHECK(std::isnan(verdict.mu), "%s: a state with NaN got %g", variant, static_cast<double>(verdict.mu));
    std::printf("  %-12s D=%-5d worst %.1e\n", variant, width, worst);
}

}  // namespace

int main(int argc, char** argv) {
    const auto seed = argc > 1 ? static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10)) : std::random_device{}();
    std::printf("seed %u (pass it as the argument to repeat)\n", seed);
    for (const char* variant : variant_names())
        for (const int32_t width : {1, 31, 64, 576, 1031, 4096}) run(width, variant, seed);
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
