// How the opinions of several agents on one state become one probability. Opinions are log-odds of accepting,
// ln(p / (1 − p)): thresholds are differences there, and opinions that are nearly certain keep their size.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace mara::kernel {

enum class Combination : int32_t { minimum = 0, product, mean_logit };

struct Opinion {
    float logit;
    float weight;     // of the logit in mean_logit; above 0
    float threshold;  // probability above which this agent accepts
};

// NaN becomes 0, so that the state is rejected.
inline float probability_of(float logit) {
    const float probability = 1.0f / (1.0f + std::exp(-logit));
    return std::isnan(probability) ? 0.0f : probability;
}

// The logit as seen from the agent's own threshold, which comes to lie at 0, a probability of ½.
inline double relative_logit(const Opinion& opinion) {
    const double threshold = opinion.threshold;
    const double logit = opinion.logit - std::log(threshold / (1 - threshold));
    return std::isnan(logit) ? -std::numeric_limits<double>::infinity() : logit;
}

// Probabilities are taken relative to each agent's threshold, so that ½ is the bar of all. That of a single agent with
// a threshold of ½ stays as it is, bit for bit. NaN where there are no opinions.
//   minimum     the smallest probability: above ½ where each agent accepts
//   product     of the probabilities
//   mean_logit  of the weighted mean of the logits
inline float combine(Combination combination, const Opinion* opinions, int32_t count) {
    if (count <= 0) return std::numeric_limits<float>::quiet_NaN();
    double minimum = std::numeric_limits<double>::infinity(), product = 1, sum = 0, weights = 0;
    for (const Opinion* opinion = opinions; opinion != opinions + count; ++opinion) {
        const double logit = relative_logit(*opinion);
        minimum = std::min(minimum, logit);
        product *= probability_of(static_cast<float>(logit));
        sum += opinion->weight * logit;
        weights += opinion->weight;
    }
    if (combination == Combination::product) return static_cast<float>(product);
    return probability_of(static_cast<float>(combination == Combination::minimum ? minimum : sum / weights));
}

}  // namespace mara::kernel
