// Gradients beside central differences in float64.
#pragma once

#include <algorithm>
#include <cmath>

#include "check.h"

namespace mara::test {

// Every parameter of the eight tensors that begin at `starts` (the ninth is the count), unless the step crosses a
// ReLU's kink, which shows as one-sided differences that disagree. `parameters` are as they were when it returns.
template <class Parameters, class Loss, class Gradient>
void check_differences(const char* name, Parameters& parameters, const size_t (&starts)[9], Loss&& loss,
                       Gradient&& gradient) {
    const double here = loss();
    for (size_t tensor = 0; tensor < 8; ++tensor) {
        double largest = 0, worst = 0;
        size_t kinks = 0;
        for (size_t i = starts[tensor]; i < starts[tensor + 1]; ++i) {
            const double kept = parameters[i], step = 1e-5;
            parameters[i] = kept + step;
            const double above = (loss() - here) / step;
            parameters[i] = kept - step;
            const double below = (here - loss()) / step;
            parameters[i] = kept;
            const double expected = (above + below) / 2;
            largest = std::max(largest, std::abs(expected));
            if (std::abs(above - below) > 1e-2 * std::abs(expected) + 1e-3)
                ++kinks;
            else
                worst = std::max(worst, std::abs(gradient(i) - expected));
        }
        CHECK(largest > 1e-4 && kinks * 10 <= starts[tensor + 1] - starts[tensor],
              "%s, tensor %zu: largest %g, %zu kinks", name, tensor, largest, kinks);
        CHECK(worst < 2e-4 * largest + 1e-7, "%s, tensor %zu: off by %g of %g", name, tensor, worst, largest);
    }
}

}  // namespace mara::test
