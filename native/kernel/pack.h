// Packs panels of channels. Included inside a variant's #pragma target, under the linkage rule of vector.h. The lanes
// of a vector are the channels of a panel, so each channel's sums are taken in the order of its inputs: every variant
// packs the same bits.
//
// A `Codec` is how one type stores weights:
//   Word             an unsigned integer that holds one group
//   group, max_code  as in WeightFormat
//   encode(value)    the bits of a weight in units of its channel, in the word's lowest places; for finite weights only
//   decode(bits)     what is stored
#pragma once

#include "kernel/operations.h"

namespace mara::kernel {
namespace {

namespace codecs {

struct F32 {
    using Word = uint32_t;
    static constexpr int32_t group = 1, max_code = 0;
    static Word encode(float value) { return std::bit_cast<uint32_t>(value); }
    static float decode(Word bits) { return std::bit_cast<float>(bits); }
};

struct F16 {
    using Word = uint16_t;
    static constexpr int32_t group = 1, max_code = 0;
    static Word encode(float value) { return float_to_f16(value); }
    static float decode(Word bits) { return f16_to_float(bits); }
};

struct Bf16 {
    using Word = uint32_t;
    static constexpr int32_t group = 2, max_code = 0;
    static Word encode(float value) { return float_to_bf16(value); }
    static float decode(Word bits) { return bf16_to_float(static_cast<uint16_t>(bits)); }
};

struct I8 {
    using Word = uint32_t;
    static constexpr int32_t group = 4, max_code = 127;
    static Word encode(float value) { return round_to_integer(value) & 0xffu; }
    static float decode(Word bits) { return static_cast<float>(static_cast<int8_t>(bits)); }
};

}  // namespace codecs

constexpr int32_t pack_block = 64;  // inputs packed in one run: they stay in the nearest cache

// Weights of a panel. What lies beyond its channels is 0.
struct alignas(64) PackTile {
    float lines[panel_channels][pack_block];   // of each channel, inputs side by side
    float values[pack_block][panel_channels];  // channels side by side
};

// Without vector instructions.
struct Scalar {
    using V = float;
    static constexpr int32_t width = 1;
    static V load(const float* from) { return *from; }
    static void store(float* to, V a) { *to = a; }
    static void transpose(V*) {}
};

// Inputs [begin, begin + n) of `count` channels from `first` on.
template <class Isa, class Item>
void read_tile(const Matrix& matrix, int32_t first, int32_t count, int32_t begin, int32_t n, PackTile& tile) {
    const ptrdiff_t row_bytes = matrix.row_stride * Item::size, column_bytes = matrix.column_stride * Item::size;
    const std::byte* const start = matrix.items + first * row_bytes + begin * column_bytes;
    if (column_bytes == Item::size) {
        for (int32_t c = 0; c < count; ++c)
            for (int32_t i = 0; i < n; ++i) tile.lines[c][i] = Item::read(start + c * row_bytes + i * Item::size);
        for (int32_t i = 0; i < n; i += Isa::width)
            for (int32_t c = 0; c < panel_channels; c += Isa::width) {
                typename Isa::V rows[Isa::width];
                for (int32_t k = 0; k < Isa::width; ++k) rows[k] = Isa::load(&tile.lines[c + k][i]);
                Isa::transpose(rows);
                for (int32_t k = 0; k < Isa::width; ++k) Isa::store(&tile.values[i + k][c], rows[k]);
            }
    } else if (row_bytes == Item::size) {
        for (int32_t i = 0; i < n; ++i)
            for (int32_t c = 0; c < count; ++c)
                tile.values[i][c] = Item::read(start + i * column_bytes + c * Item::size);
    } else {
        for (int32_t i = 0; i < n; ++i)
            for (int32_t c = 0; c < count; ++c)
                tile.values[i][c] = Item::read(start + i * column_bytes + c * row_bytes);
    }
}

template <class Isa>
void read_tile_of(const Matrix& matrix, int32_t first, int32_t count, int32_t begin, int32_t n, PackTile& tile) {
    switch (matrix.type) {
        case ItemType::f32:
            return read_tile<Isa, items::F32>(matrix, first, count, begin, n, tile);
        case ItemType::f16:
            return read_tile<Isa, items::F16>(matrix, first, count, begin, n, tile);
        case ItemType::bf16:
            return read_tile<Isa, items::Bf16>(matrix, first, count, begin, n, tile);
        case ItemType::f64:
            return read_tile<Isa, items::F64>(matrix, first, count, begin, n, tile);
    }
}

// What is gathered about the channels of a panel while it is packed.
struct alignas(64) PanelSums {
    float unit[panel_channels];  // these three as in Panel
    double total[panel_channels];
    double offset[panel_channels];
    uint32_t carries[panel_channels];  // adding one to an exponent with all bits set carries into the sign's bit
};

// The units of codes: the largest weight of each channel gets the largest code.
template <class Isa, class Codec>
void find_units(const Source& source, int32_t first, int32_t count, int32_t inputs, PackTile& tile, PanelSums& sums) {
    alignas(64) float largest[panel_channels] = {};
    for (int32_t begin = 0; begin < inputs; begin += pack_block) {
        const int32_t n = std::min(pack_block, inputs - begin);
        read_tile_of<Isa>(source.weights, first, count, begin, n, tile);
        for (int32_t i = 0; i < n; ++i) {
            const float gain = source.gain == nullptr ? 1.0f : source.gain[begin + i];
            for (int32_t c = 0; c < panel_channels; ++c) {
                const float magnitude = std::fabs(tile.values[i][c] * gain);
                largest[c] = largest[c] < magnitude ? magnitude : largest[c];
            }
        }
    }
    for (int32_t c = 0; c < panel_channels; ++c)
        if (largest[c] > 0) sums.unit[c] = largest[c] / static_cast<float>(Codec::max_code);
}

// Packs inputs [begin, begin + n), and zeros up to the end of their last group.
template <class Codec>
void pack_tile(const PackTile& tile, const Source& source, int32_t begin, int32_t n, PanelSums& sums, std::byte* to) {
    using Word = typename Codec::Word;
    constexpr int32_t bits = 8 * sizeof(Word) / Codec::group;
    PanelSums s = sums;  // a copy that `to` cannot alias
    for (int32_t start = 0; start < n; start += Codec::group, to += panel_channels * sizeof(Word)) {
        alignas(64) Word words[panel_channels] = {};
        for (int32_t j = 0; j < Codec::group && start + j < n; ++j) {
            const float* const weights = tile.values[start + j];
            const float gain = source.gain == nullptr ? 1.0f : source.gain[begin + start + j];
            const double shift = source.shift == nullptr ? 0.0 : source.shift[begin + start + j];
            for (int32_t c = 0; c < panel_channels; ++c) {
                const float value = weights[c] * gain;
                const Word code = Codec::encode(Codec::max_code > 0 ? value / s.unit[c] : value);
                words[c] = static_cast<Word>(words[c] | code << bits * j);
                s.total[c] += Codec::decode(code);
                s.offset[c] += weights[c] * shift;
                s.carries[c] |= (std::bit_cast<uint32_t>(weights[c]) & 0x7fffffffu) + 0x00800000u;
            }
        }
        std::memcpy(to, words, sizeof words);
    }
    sums = s;
}

// Operations::pack.
template <class Isa, class Codec>
bool pack_panel(const Source& source, int32_t first, int32_t count, int32_t inputs, std::byte* to, Panel& panel) {
    using Word = typename Codec::Word;
    PackTile tile = {};
    PanelSums sums = {};
    std::fill_n(sums.unit, panel_channels, 1.0f);
    std::copy_n(source.bias + first, count, sums.offset);
    if (Codec::max_code > 0) find_units<Isa, Codec>(source, first, count, inputs, tile, sums);
    for (int32_t begin = 0; begin < inputs; begin += pack_block) {
        const int32_t n = std::min(pack_block, inputs - begin);
        read_tile_of<Isa>(source.weights, first, count, begin, n, tile);
        pack_tile<Codec>(tile, source, begin, n, sums, to);
        to += pack_block / Codec::group * panel_channels * static_cast<ptrdiff_t>(sizeof(Word));
    }
    std::copy_n(sums.unit, panel_channels, panel.unit);
    std::copy_n(sums.total, panel_channels, panel.total);
    std::copy_n(sums.offset, panel_channels, panel.offset);
    uint32_t carries = 0;
    for (const uint32_t lane : sums.carries) carries |= lane;
    return (carries & 0x80000000u) == 0;
}

template <class Codec>
constexpr WeightFormat make_format(WeightType type, const char* name, int32_t depth_unit,
                                   std::span<const Implementation> implementations) {
    constexpr int32_t bits = 8 * sizeof(typename Codec::Word) / Codec::group;
    return {type, name, bits, Codec::group, depth_unit, Codec::max_code, implementations};
}

}  // namespace
}  // namespace mara::kernel
