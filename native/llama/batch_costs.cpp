#include "llama/batch_costs.h"

#include <algorithm>

namespace mara::llama {
namespace {

// The slower way is tried again after so many batches, since the machine may have been busy, or texts have grown; one
// that takes half as long again as the other later.
constexpr uint64_t trusted = 200;
constexpr uint64_t trusted_if_clear = 2000;
constexpr double clear = 1.5;

// Only batches of at most so many tokens are decoded apart just to learn what a token takes.
constexpr size_t tried_max = 4;

}  // namespace

bool BatchCosts::apart(size_t count) {
    if (count < 2 || count > apart_max) return false;
    asked_++;
    const Times& whole = times_[count];
    const Times& single = times_[1];
    if (!whole.is_known()) return false;
    if (!single.is_known()) return count <= tried_max;
    const double ratio = static_cast<double>(count) * single.usual() / whole.usual();
    return ratio < 1 ? !is_due(whole, 1 / ratio) : count <= tried_max && is_due(single, ratio);
}

// `longer`: what this way takes, divided by what the other takes.
bool BatchCosts::is_due(const Times& times, double longer) const {
    return asked_ - times.asked > (longer < clear ? trusted : trusted_if_clear);
}

void BatchCosts::observe(size_t count, double milliseconds) {
    if (count > apart_max) return;
    Times& times = times_[count];
    times.last[times.count++ % times.last.size()] = milliseconds;
    times.asked = asked_;
}

double BatchCosts::Times::usual() const {
    auto sorted = last;
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(std::min(count, last.size()));
    std::sort(sorted.begin(), end);
    return sorted[static_cast<size_t>(end - sorted.begin()) / 4];
}

}  // namespace mara::llama
