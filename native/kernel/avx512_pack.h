// Activations in tiles of 16 rows × 64 bytes, the shape that AMX loads and that byte and bf16 dot products broadcast
// from. Same linkage rule as vector.h; the #pragma target includes avx512bf16.
//
//   bf16: [tile of rows][depth / 32][16 rows][32 inputs]
//   i8:   [tile of rows][plane: high, low bytes][depth / 64][16 rows][64 inputs]
// Rows of the last tile beyond the block are never written, and never reach a result.
#pragma once

#include "kernel/avx512_vector.h"

namespace mara::kernel {
namespace {

constexpr size_t tile_size = static_cast<size_t>(tile_rows) * tile_bytes;

inline size_t plane_size(int32_t depth) { return static_cast<size_t>(depth / 64) * tile_size; }

inline std::byte* bf16_row(std::byte* packed, int32_t row, int32_t depth) {
    return packed + static_cast<size_t>(row / tile_rows) * static_cast<size_t>(depth / 32) * tile_size +
           static_cast<size_t>(row % tile_rows) * tile_bytes;
}

inline std::byte* i8_row(std::byte* packed, int32_t row, int32_t depth) {
    return packed + static_cast<size_t>(row / tile_rows) * 2 * plane_size(depth) +
           static_cast<size_t>(row % tile_rows) * tile_bytes;
}

// Inputs i … i + 15 of a row, the mean where the row has ended.
inline __m512 row_part(const float* row, int32_t inputs, int32_t i, __m512 center) {
    const int32_t left = inputs - i;
    if (left >= Avx512::width) return Avx512::load(row + i);
    return left <= 0 ? center : Avx512::load_first_or(row + i, left, center);
}

void pack_bf16(const Activations& input, int32_t index, int32_t inputs, int32_t depth) {
    const float* row = input.rows[index];
    std::byte* to = bf16_row(input.packed, index, depth);
    const __m512 center = Avx512::set1(input.mean[index]);
    const __m512 factor = Avx512::set1(input.mul[index]);
    for (int32_t i = 0; i < depth; i += 32, to += tile_size) {
        const __m512 low = Avx512::mul(Avx512::sub(row_part(row, inputs, i, center), center), factor);
        const __m512 high = Avx512::mul(Avx512::sub(row_part(row, inputs, i + 16, center), center), factor);
        _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    input.mean[index] = 0;
    input.mul[index] = 1;
}

// A row becomes 16-bit codes of ±32639 moved up by 32768, cut into two unsigned bytes: Σ code·w = 256·Σ high·w + Σ
// low·w − 32768·Σ w, all in exact 32-bit integers. Activations then add no error worth counting to that of the weights.
void pack_i8(const Activations& input, int32_t index, int32_t inputs, int32_t depth) {
    constexpr float largest_code = 32639.0f;
    const float* row = input.rows[index];
    std::byte* to = i8_row(input.packed, index, depth);
    const size_t plane = plane_size(depth);
    const float largest = largest_deviation<Avx512>(row, inputs, input.mean[index]);
    const __m512 center = Avx512::set1(input.mean[index]);
    const __m512 factor = Avx512::set1(largest > 0 ? largest_code / largest : 0.0f);
    for (int32_t i = 0; i < depth; i += 16) {
        const __m512 x = Avx512::mul(Avx512::sub(row_part(row, inputs, i, center), center), factor);
        const __m512i code = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(32768));
        auto* at =
            reinterpret_cast<__m128i*>(to + static_cast<size_t>(i / 64) * tile_size + static_cast<size_t>(i % 64));
        _mm_store_si128(reinterpret_cast<__m128i*>(reinterpret_cast<std::byte*>(at) + plane),
                        _mm512_cvtepi32_epi8(code));
        _mm_store_si128(at, _mm512_cvtepi32_epi8(_mm512_srli_epi32(code, 8)));
    }
    input.mean[index] = 0;
    input.mul[index] *= largest / largest_code;
}

// The dot product of one row and panel from its two exact sums.
inline __m512 join_i8(__m512i high, __m512i low, __m512i code_sum) {
    const __m512 upper = _mm512_cvtepi32_ps(_mm512_sub_epi32(high, _mm512_slli_epi32(code_sum, 7)));
    return Avx512::fma(upper, Avx512::set1(256.0f), _mm512_cvtepi32_ps(low));
}

}  // namespace
}  // namespace mara::kernel
