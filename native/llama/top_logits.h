// The largest logits of a row, so that the next candidates are at hand when node-llama-cpp asks for them.
#pragma once

#include <cstdint>
#include <vector>

namespace mara::llama {

struct TokenLogit {
    int32_t token;
    float logit;
};

// Appends the `count` largest of `logits[0 … vocabulary)` to `out`, largest first, the smaller token first among
// equals. Fewer where there are not so many: NaN and −∞ are left out.
void append_top_logits(const float* logits, int32_t vocabulary, int32_t count, std::vector<TokenLogit>& out);

}  // namespace mara::llama
