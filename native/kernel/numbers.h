// Scalar conversions between float and the two 16-bit formats, round to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace mara::kernel {

inline float bf16_to_float(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

inline uint16_t float_to_bf16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);  // NaN stays NaN
    return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// All bits of `yes` where a < b, else those of `no`. Compilers turn conditions with float arithmetic on one side into
// branches, and then do not vectorise the loop.
inline int32_t where_less(int32_t a, int32_t b, int32_t yes, int32_t no) {
    const int32_t mask = -static_cast<int32_t>(a < b);
    return (yes & mask) | (no & ~mask);
}

// Without branches, so that loops over it are vectorised.
inline float f16_to_float(uint16_t value) {
    const int32_t sign = static_cast<int32_t>(static_cast<uint32_t>(value & 0x8000u) << 16);
    const int32_t bits = (value & 0x7fff) << 13;
    // Zero or subnormal: m · 2^-24 = (1 + m / 1024) · 2^-14 − 2^-14.
    const float small = std::bit_cast<float>(bits + (113 << 23)) - 0x1p-14f;
    const int32_t large = bits + where_less(bits, 31 << 23, 112 << 23, 224 << 23);
    return std::bit_cast<float>(sign | where_less(bits, 1 << 23, std::bit_cast<int32_t>(small), large));
}

// Values beyond f16's range saturate at ±65504, so that a weight never becomes infinite. Without branches too.
inline uint16_t float_to_f16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const auto magnitude = static_cast<int32_t>(bits & 0x7fffffffu);
    // Below 2^-14: adding ½ aligns the last place with f16's subnormal step.
    const int32_t small = std::bit_cast<int32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
    const int32_t normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    const int32_t large = where_less(0x7f800000, magnitude, 0x7e00, 0x7bff);
    const int32_t out = where_less(magnitude, 0x38800000, small, where_less(magnitude, 0x477fe000, normal, large));
    return static_cast<uint16_t>(((bits >> 16) & 0x8000u) | static_cast<uint32_t>(out));
}

// The nearest integer, ties to even, in two's complement; for magnitudes below 2^21.
inline uint32_t round_to_integer(float value) {
    constexpr float steps_of_one = 0x1.8p23f;
    return std::bit_cast<uint32_t>(value + steps_of_one) - std::bit_cast<uint32_t>(steps_of_one);
}

}  // namespace mara::kernel
