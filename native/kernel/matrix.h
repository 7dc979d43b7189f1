// A layer's weights where an agent's file has them: in any of its float formats, row by row or in another order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mara::kernel {

enum class ItemType : int { f32, f16, bf16, f64 };

constexpr size_t item_size(ItemType type) { return type == ItemType::f64 ? 8 : type == ItemType::f32 ? 4 : 2; }

struct Matrix {
    const std::byte* items;  // item [0][0]; not necessarily aligned
    ItemType type;
    ptrdiff_t row_stride;  // in items
    ptrdiff_t column_stride;
};

// A row-major matrix of float32.
inline Matrix row_major(const float* values, int32_t columns) {
    return {reinterpret_cast<const std::byte*>(values), ItemType::f32, columns, 1};
}

// True if rows can be read where they are: float32 items side by side, aligned.
bool is_readable_in_place(const Matrix& matrix);

// Gives `count` rows from `first` on as float32, [columns] each; float64 is rounded to nearest. They point into the
// matrix if it is readable in place, otherwise into `scratch`, [count][columns].
void read_rows(const Matrix& matrix, int32_t first, int32_t count, int32_t columns, float* scratch, const float** rows);

}  // namespace mara::kernel
