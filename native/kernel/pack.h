// Packs panels of channels. A `Codec` is how one type stores weights:
//   group, max_code  as in WeightFormat
//   bytes            of a group
//   store(to, index, value)  stores weight `index` of the group at `to`, which is 0 before, and returns what is stored;
//                            both in units of the channel
#pragma once

#include <algorithm>

#include "kernel/weight_types.h"

namespace mara::kernel {

// Inputs [begin, end) of `count` channels from place `first` of the panel on; several at once hide the latency of the
// sums, each of which is taken in the order of the inputs.
template <class Codec, int32_t count>
void pack_channels(const Source& source, Channel* channels, std::byte* panel, int32_t first, int32_t begin,
                   int32_t end) {
    for (int32_t i = begin; i < end; ++i) {
        const float gain = source.gain == nullptr ? 1.0f : source.gain[i];
        const double shift = source.shift == nullptr ? 0.0 : source.shift[i];
        const ptrdiff_t line = static_cast<ptrdiff_t>(i / Codec::group) * panel_channels;
        for (int32_t c = 0; c < count; ++c) {
            Channel& channel = channels[first + c];
            const float value = channel.row[i] * gain;
            std::byte* const to = panel + (line + first + c) * Codec::bytes;
            channel.total += Codec::store(to, i % Codec::group, Codec::max_code > 0 ? value / channel.unit : value);
            channel.offset += channel.row[i] * shift;
        }
    }
}

template <class Codec>
void pack_panel(const Source& source, Channel* channels, int32_t count, int32_t inputs, std::byte* panel) {
    constexpr int32_t block = 64;  // inputs packed in one run: what is written stays in the nearest cache
    for (int32_t begin = 0; begin < inputs; begin += block) {
        const int32_t end = std::min(inputs, begin + block);
        int32_t c = 0;
        for (; c + 4 <= count; c += 4) pack_channels<Codec, 4>(source, channels, panel, c, begin, end);
        for (; c < count; ++c) pack_channels<Codec, 1>(source, channels, panel, c, begin, end);
    }
}

template <class Codec>
constexpr WeightFormat make_format(WeightType type, const char* name, int32_t depth_unit,
                                   std::span<const Implementation> implementations) {
    constexpr int32_t bits = Codec::bytes * 8 / Codec::group;
    return {type, name, bits, Codec::group, depth_unit, Codec::max_code, pack_panel<Codec>, implementations};
}

}  // namespace mara::kernel
