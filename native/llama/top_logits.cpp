#include "llama/top_logits.h"

#include <algorithm>
#include <limits>

namespace mara::llama {
namespace {

constexpr int32_t block = 64;

bool before(const TokenLogit& a, const TokenLogit& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

// Written so that compilers make it vector maxima, which `std::max` over a float array needs -ffast-math for.
float largest_of_block(const float* values) {
    constexpr int32_t lanes = 16;
    float largest[lanes];
    for (int32_t lane = 0; lane < lanes; lane++) largest[lane] = -std::numeric_limits<float>::infinity();
    for (int32_t i = 0; i < block; i += lanes)
        for (int32_t lane = 0; lane < lanes; lane++)
            largest[lane] = values[i + lane] > largest[lane] ? values[i + lane] : largest[lane];
    float result = largest[0];
    for (int32_t lane = 1; lane < lanes; lane++) result = largest[lane] > result ? largest[lane] : result;
    return result;
}

}  // namespace

void append_top_logits(const float* logits, int32_t vocabulary, int32_t count, std::vector<TokenLogit>& out) {
    if (count <= 0) return;
    const auto first = static_cast<std::ptrdiff_t>(out.size());
    // A heap whose front is the smallest of the largest so far; nearly every block has nothing above it and is passed
    // over.
    float smallest = -std::numeric_limits<float>::infinity();
    int32_t found = 0;
    const auto offer = [&](int32_t token) {
        if (!(logits[token] > smallest)) return;
        if (found == count) {
            std::pop_heap(out.begin() + first, out.end(), before);
            out.back() = {token, logits[token]};
        } else {
            out.push_back({token, logits[token]});
            found++;
        }
        std::push_heap(out.begin() + first, out.end(), before);
        if (found == count) smallest = out[static_cast<size_t>(first)].logit;
    };
    int32_t token = 0;
    for (; token + block <= vocabulary; token += block) {
        if (!(largest_of_block(logits + token) > smallest)) continue;
        for (int32_t i = token; i < token + block; i++) offer(i);
    }
    for (; token < vocabulary; token++) offer(token);
    std::sort_heap(out.begin() + first, out.end(), before);
}

}  // namespace mara::llama
