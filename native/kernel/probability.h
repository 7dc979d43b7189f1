// Log-odds of accepting, ln(p / (1 − p)), as a probability.
#pragma once

#include <cmath>

namespace mara::kernel {

// NaN becomes 0, so that the state is rejected.
inline float probability_of(float logit) {
    const float probability = 1.0f / (1.0f + std::exp(-logit));
    return std::isnan(probability) ? 0.0f : probability;
}

}  // namespace mara::kernel
