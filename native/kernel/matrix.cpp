#include "kernel/matrix.h"

#include "kernel/items.h"

namespace mara::kernel {
namespace {

template <class Item>
void copy_rows(const Matrix& matrix, int32_t first, int32_t count, int32_t columns, float* to) {
    const ptrdiff_t row_bytes = matrix.row_stride * Item::size, column_bytes = matrix.column_stride * Item::size;
    const std::byte* const start = matrix.items + first * row_bytes;
    if (column_bytes == Item::size) {
        for (int32_t r = 0; r < count; ++r)
            for (int32_t c = 0; c < columns; ++c)
                to[ptrdiff_t{r} * columns + c] = Item::read(start + r * row_bytes + c * Item::size);
    } else {
        // A transposed matrix has the rows' items of one column side by side, so each line of memory is read once.
        for (int32_t c = 0; c < columns; ++c)
            for (int32_t r = 0; r < count; ++r)
                to[ptrdiff_t{r} * columns + c] = Item::read(start + r * row_bytes + c * column_bytes);
    }
}

}  // namespace

bool is_readable_in_place(const Matrix& matrix) {
    return matrix.type == ItemType::f32 && matrix.column_stride == 1 &&
           reinterpret_cast<uintptr_t>(matrix.items) % alignof(float) == 0;
}

void read_rows(const Matrix& matrix, int32_t first, int32_t count, int32_t columns, float* scratch,
               const float** rows) {
    if (is_readable_in_place(matrix)) {
        const auto* const values = reinterpret_cast<const float*>(matrix.items);
        for (int32_t r = 0; r < count; ++r) rows[r] = values + (first + r) * matrix.row_stride;
        return;
    }
    switch (matrix.type) {
        case ItemType::f32:
            copy_rows<items::F32>(matrix, first, count, columns, scratch);
            break;
        case ItemType::f16:
            copy_rows<items::F16>(matrix, first, count, columns, scratch);
            break;
        case ItemType::bf16:
            copy_rows<items::Bf16>(matrix, first, count, columns, scratch);
            break;
        case ItemType::f64:
            copy_rows<items::F64>(matrix, first, count, columns, scratch);
            break;
    }
    for (int32_t r = 0; r < count; ++r) rows[r] = scratch + ptrdiff_t{r} * columns;
}

}  // namespace mara::kernel
