// The float formats of agent files: how an item is read as float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernel/numbers.h"

namespace mara::kernel::items {

template <class Item>
Item load(const std::byte* from) {
    Item item;
    std::memcpy(&item, from, sizeof item);
    return item;
}

struct F32 {
    static constexpr ptrdiff_t size = 4;
    static float read(const std::byte* from) { return load<float>(from); }
};
struct F16 {
    static constexpr ptrdiff_t size = 2;
    static float read(const std::byte* from) { return f16_to_float(load<uint16_t>(from)); }
};
struct Bf16 {
    static constexpr ptrdiff_t size = 2;
    static float read(const std::byte* from) { return bf16_to_float(load<uint16_t>(from)); }
};
struct F64 {
    static constexpr ptrdiff_t size = 8;
    static float read(const std::byte* from) { return static_cast<float>(load<double>(from)); }
};

}  // namespace mara::kernel::items
