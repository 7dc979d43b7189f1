// Weights as a file holds them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernel/matrix.h"
#include "kernel/numbers.h"

namespace mara::test {

// Stores a number as one item. Returns what is read of it again.
inline float store_item(kernel::ItemType type, float value, std::byte* to) {
    const double wide = value;
    const uint16_t half = kernel::float_to_f16(value), brain = kernel::float_to_bf16(value);
    const void* const from = type == kernel::ItemType::f32   ? static_cast<const void*>(&value)
                             : type == kernel::ItemType::f64 ? static_cast<const void*>(&wide)
                             : type == kernel::ItemType::f16 ? static_cast<const void*>(&half)
                                                             : static_cast<const void*>(&brain);
    std::memcpy(to, from, kernel::item_size(type));
    if (type == kernel::ItemType::f16) return kernel::f16_to_float(half);
    if (type == kernel::ItemType::bf16) return kernel::bf16_to_float(brain);
    return value;
}

}  // namespace mara::test
