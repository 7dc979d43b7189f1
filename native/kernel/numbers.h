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

// Without branches, so that loops over it are vectorised.
inline float f16_to_float(uint16_t value) {
    const uint32_t sign = static_cast<uint32_t>(value & 0x8000u) << 16;
    const uint32_t bits = static_cast<uint32_t>(value & 0x7fffu) << 13;
    // Zero or subnormal: m · 2^-24 = (1 + m / 1024) · 2^-14 − 2^-14.
    const float small = std::bit_cast<float>(bits + (113u << 23)) - 0x1p-14f;
    const uint32_t large = bits + (bits < (31u << 23) ? 112u << 23 : 224u << 23);
    return std::bit_cast<float>(sign | (bits < (1u << 23) ? std::bit_cast<uint32_t>(small) : large));
}

// Values beyond f16's range saturate at ±65504, so that a weight never becomes infinite.
inline uint16_t float_to_f16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
    if (magnitude >= 0x477fe000u) return static_cast<uint16_t>(sign | 0x7bffu);
    if (magnitude < 0x38800000u) {  // below 2^-14: adding ½ aligns the last place with f16's subnormal step
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
    }
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

}  // namespace mara::kernel
