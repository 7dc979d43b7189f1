// Whether a batch is decoded as a whole or token by token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mara::llama {

// Nothing is learnt about batches of more tokens, which are decoded as a whole unless a way is given.
constexpr size_t apart_max = 16;

// The way in which a batch is decoded; `learned`: the one that takes less time.
enum class BatchWay { learned, whole, apart };

// Which batches may be decoded token by token.
struct Separable {
    // Those of candidates: where the sizes of waves are learnt, the clock decides about these batches anyway.
    bool waves = false;
    // All, where a token's products are rounded alike in a batch and alone, so that no bit changes.
    bool rounding = false;
    BatchWay way = BatchWay::learned;
};

// A CPU's kernels for matrices compute rows in blocks, so that a small model's decode of two tokens may take longer
// than two decodes of one. What either takes is learnt from the decodes that happen anyway, and from a few tries.
class BatchCosts {
public:
    explicit BatchCosts(BatchWay way) : way_(way) {}

    // For a batch of `count` tokens, each of a sequence of its own.
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

    BatchWay way_;
    std::array<Times, apart_max + 1> times_{};  // by tokens
    uint64_t asked_ = 0;
};

}  // namespace mara::llama
