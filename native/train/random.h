// xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64: the same numbers on every platform.
#pragma once

#include <bit>
#include <cstdint>

namespace mara::train {

struct Random {
    uint64_t state[4];

    explicit Random(uint64_t seed) {
        for (uint64_t& word : state) {
            seed += 0x9e3779b97f4a7c15ull;
            uint64_t z = seed;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
            word = z ^ (z >> 31);
        }
    }

    uint64_t next() {
        const uint64_t result = std::rotl(state[1] * 5, 7) * 9;
        const uint64_t shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = std::rotl(state[3], 45);
        return result;
    }

    // A whole number in [0, bound), each equally likely (Lemire, 2019).
    uint32_t below(uint32_t bound) {
        const uint32_t unfair = (0u - bound) % bound;
        uint64_t product;
        do {
            product = (next() >> 32) * bound;
        } while (static_cast<uint32_t>(product) < unfair);
        return static_cast<uint32_t>(product >> 32);
    }

    // In [−bound, bound).
    float uniform(float bound) { return (static_cast<float>(next() >> 40) * 0x1p-23f - 1.0f) * bound; }
};

}  // namespace mara::train
