// Rows of a layer as its file has them, against a slow reference.
#include "kernel/matrix.h"

#include <cmath>
#include <cstring>
#include <tuple>
#include <vector>

#include "check.h"
#include "items.h"
#include "kernel/numbers.h"

namespace {

using namespace mara;
using kernel::ItemType;
using kernel::Matrix;

// The value of a binary float with these widths of exponent and fraction.
double value_of(uint32_t bits, int exponent_bits, int fraction_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const auto exponent = static_cast<int>((bits >> fraction_bits) & ((1u << exponent_bits) - 1));
    const double fraction = std::ldexp(static_cast<double>(bits & ((1u << fraction_bits) - 1)), -fraction_bits);
    const bool is_negative = (bits >> (exponent_bits + fraction_bits)) != 0;
    double magnitude;
    if (exponent == (1 << exponent_bits) - 1)
        magnitude = fraction == 0 ? HUGE_VAL : std::nan("");
    else if (exponent == 0)
        magnitude = std::ldexp(fraction, 1 - bias);
    else
        magnitude = std::ldexp(1 + fraction, exponent - bias);
    return is_negative ? -magnitude : magnitude;
}

bool same(float got, double wanted) {
    const auto rounded = static_cast<float>(wanted);
    return std::isnan(rounded) ? std::isnan(got) : std::memcmp(&got, &rounded, sizeof got) == 0;
}

// Every bit pattern of the 16-bit formats, as one row.
void every_pattern() {
    constexpr int32_t count = 1 << 16;
    std::vector<uint16_t> bits(count);
    for (int32_t i = 0; i < count; ++i) bits[static_cast<size_t>(i)] = static_cast<uint16_t>(i);
    std::vector<float> scratch(count);
    for (const auto& [type, exponent, fraction] : {std::tuple{ItemType::f16, 5, 10}, {ItemType::bf16, 8, 7}}) {
        const float* row = nullptr;
        const Matrix matrix{reinterpret_cast<const std::byte*>(bits.data()), type, count, 1};
        kernel::read_rows(matrix, 0, 1, count, scratch.data(), &row);
        for (uint32_t i = 0; i < count; ++i)
            CHECK(same(row[i], value_of(i, exponent, fraction)), "type %d, bits %x: %g", static_cast<int>(type), i,
                  static_cast<double>(row[i]));
    }
}

void float64_is_rounded() {
    const double values[] = {1 + 0x1p-24, 1 + 0x1.8p-23, -0x1p-149, 0x1p-150, 1e300, -1e300, -0.0, std::nan("")};
    float scratch[8];
    const float* row = nullptr;
    const Matrix matrix{reinterpret_cast<const std::byte*>(values), ItemType::f64, 8, 1};
    kernel::read_rows(matrix, 0, 1, 8, scratch, &row);
    for (int i = 0; i < 8; ++i) CHECK(same(row[i], values[i]), "%g became %g", values[i], static_cast<double>(row[i]));
}

// Rows of every type, at any address and with any strides, that the test knows by their numbers.
void every_order() {
    constexpr int32_t rows = 21, columns = 37;
    const struct {
        ptrdiff_t row, column;
    } orders[] = {{columns, 1}, {1, rows}, {2 * columns, 2}, {columns + 3, 1}, {3, 3 * rows}};
    for (const ItemType type : {ItemType::f32, ItemType::f16, ItemType::bf16, ItemType::f64}) {
        const size_t size = kernel::item_size(type);
        for (const auto& [row_stride, column_stride] : orders) {
            for (const size_t address : {0, 1, 3}) {
                std::vector<std::byte> memory(address + 4096 * size, std::byte{0xff});
                const Matrix matrix{memory.data() + address, type, row_stride, column_stride};
                const auto value = [](int32_t r, int32_t c) { return static_cast<float>((r * 7 + c * 3) % 120 - 60); };
                for (int32_t r = 0; r < rows; ++r)
                    for (int32_t c = 0; c < columns; ++c) {
                        const ptrdiff_t at = (r * row_stride + c * column_stride) * static_cast<ptrdiff_t>(size);
                        mara::test::store_item(type, value(r, c), memory.data() + address + at);
                    }
                CHECK(kernel::is_readable_in_place(matrix) ==
                          (type == ItemType::f32 && address == 0 && column_stride == 1),
                      "type %d, stride %td", static_cast<int>(type), column_stride);
                std::vector<float> scratch(16 * columns);
                const float* found[16];
                kernel::read_rows(matrix, 5, 16, columns, scratch.data(), found);
                for (int32_t r = 0; r < 16; ++r)
                    for (int32_t c = 0; c < columns; ++c)
                        CHECK(found[r][c] == value(r + 5, c), "type %d, strides %td and %td, address %zu, [%d][%d]: %g",
                              static_cast<int>(type), row_stride, column_stride, address, r, c,
                              static_cast<double>(found[r][c]));
            }
        }
    }
}

}  // namespace

int main() {
    every_pattern();
    float64_is_rounded();
    every_order();
    std::printf("%d failures\n", test::failures);
    return test::failures == 0 ? 0 : 1;
}
