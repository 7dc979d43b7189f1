// Whether a batch is decoded faster as a whole or token by token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mara::llama {

// Nothing is learnt about batches of more tokens, which are decoded as a whole unless a way is given.
constexpr size_t apart_max = 16;

// A CPU's kernels for matrices compute rows in blocks, so that a small model's decode of two tokens may take longer
// than two decodes of one. What either takes is learnt from the decodes that happen anyway, and from a few tries.
class BatchCosts {
public:
    // True if a batch of `count` tokens, each of a sequence of its own, is to be decoded token by token.
    bool apart(size_t count);

    // What a decode of `count` tokens took.
    void observe(size_t count, double milliseconds);

private:
    struct Times {
        std::array<double, 16> last{};
        size_t count = 0;
        uint64_t asked = 0;  // batches asked about before the last time

        bool is_known() const { return count >= 4; }
        // The lower quartile: what else runs on the machine only adds time.
        double usual() const;
    };

    bool is_due(const Times& times, double longer) const;

    std::array<Times, apart_max + 1> times_{};  // by tokens
    uint64_t asked_ = 0;
};

}  // namespace mara::llama
