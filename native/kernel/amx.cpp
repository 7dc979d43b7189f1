// AMX: 16 × 64-byte tiles, bf16 × bf16 and unsigned × signed bytes. Panels are stored as AMX wants its second operand:
// 64-byte lines of 16 channels × 4 bytes of inputs, 16 lines to a tile. f32 and f16 go the AVX-512 way.
#include <cmath>

#include "kernel/avx512_operations.h"
#include "kernel/cpu.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 suspects its own intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")
#endif

#include "kernel/avx512_pack.h"

namespace mara::kernel {
namespace {

// Shape of the eight tile registers, as LDTILECFG reads it.
struct alignas(64) TileShapes {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

// Registers: 0–3 sums, 4–5 activations, 6–7 weights. Activations and sums have `rows` rows.
void configure(int32_t rows) {
    TileShapes shapes;
    for (int32_t t = 0; t < 8; ++t) {
        shapes.row_bytes[t] = tile_bytes;
        shapes.rows[t] = static_cast<uint8_t>(t < 6 ? rows : tile_rows);
    }
    _tile_loadconfig(&shapes);
}

struct Bf16 {
    static constexpr int32_t planes = 1;
};

struct Int8 {
    static constexpr int32_t planes = 2;
};

// Tile registers are named at compile time, hence macros: sums += activations · weights.
#define MARA_DOT(Type, sums, activations, weights)                     \
    do {                                                               \
        if constexpr (Type::planes == 1) _tile_dpbf16ps(sums, activations, weights); \
        else _tile_dpbusd(sums, activations, weights);                 \
    } while (false)

// Sums of one chunk: [plane][tile of rows][panel][16 rows][16 channels], f32 or int32.
struct alignas(64) Block {
    int32_t sums[2][block_rows / tile_rows][chunk_panels][tile_rows][panel_channels];
};

// One tile of rows against up to 4 panels.
template <class Type>
void one_by_four(const std::byte* x, int32_t steps, const std::byte* weights, size_t panel_bytes, int32_t panel_count,
                 int32_t (*to)[tile_rows][panel_channels]) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int32_t s = 0; s < steps; ++s, x += tile_size, weights += tile_size) {
        _tile_loadd(4, x, tile_bytes);
        _tile_loadd(6, weights, 64);
        MARA_DOT(Type, 0, 4, 6);
        if (panel_count > 1) {
            _tile_loadd(7, weights + panel_bytes, 64);
            MARA_DOT(Type, 1, 4, 7);
        }
        if (panel_count > 2) {
            _tile_loadd(6, weights + 2 * panel_bytes, 64);
            MARA_DOT(Type, 2, 4, 6);
        }
        if (panel_count > 3) {
            _tile_loadd(7, weights + 3 * panel_bytes, 64);
            MARA_DOT(Type, 3, 4, 7);
        }
    }
    _tile_stored(0, to[0], 64);
    if (panel_count > 1) _tile_stored(1, to[1], 64);
    if (panel_count > 2) _tile_stored(2, to[2], 64);
    if (panel_count > 3) _tile_stored(3, to[3], 64);
}

// Two tiles of rows, `next` bytes apart, against 2 panels.
template <class Type>
void two_by_two(const std::byte* x, size_t next, int32_t steps, const std::byte* weights, size_t panel_bytes, int32_t (*to0)[tile_rows][panel_channels],
                int32_t (*to1)[tile_rows][panel_channels]) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int32_t s = 0; s < steps; ++s, x += tile_size, weights += tile_size) {
        _tile_loadd(4, x, tile_bytes);
        _tile_loadd(6, weights, 64);
        MARA_DOT(Type, 0, 4, 6);
        _tile_loadd(5, x + next, tile_bytes);
        MARA_DOT(Type, 2, 5, 6);
        _tile_loadd(7, weights + panel_bytes, 64);
        MARA_DOT(Type, 1, 4, 7);
        MARA_DOT(Type, 3, 5, 7);
    }
    _tile_stored(0, to0[0], 64);
    _tile_stored(1, to0[1], 64);
    _tile_stored(2, to1[0], 64);
    _tile_stored(3, to1[1], 64);
}

#undef MARA_DOT

template <class Type>
void tile_multiply(const Layer& layer, const Input& input, int32_t first, int32_t panel_count, float* out, ptrdiff_t out_stride) {
    Block block;
    const int32_t tiles = (input.count + tile_rows - 1) / tile_rows;
    const int32_t steps = layer.depth * (Type::planes == 1 ? 2 : 1) / tile_bytes;
    const size_t plane = static_cast<size_t>(steps) * tile_size;
    const size_t next = plane * Type::planes;
    const std::byte* weights = layer.weights + static_cast<size_t>(first) * layer.panel_bytes;
    configure(input.count < tile_rows ? input.count : tile_rows);
    for (int32_t p = 0; p < Type::planes; ++p) {
        const std::byte* x = input.packed + static_cast<size_t>(p) * plane;
        int32_t t = 0;
        if (panel_count == chunk_panels)
            for (; t + 2 <= tiles; t += 2, x += 2 * next)
                for (int32_t half = 0; half < chunk_panels; half += 2)
                    two_by_two<Type>(x, next, steps, weights + static_cast<size_t>(half) * layer.panel_bytes, layer.panel_bytes, block.sums[p][t] + half,
                                     block.sums[p][t + 1] + half);
        for (; t < tiles; ++t, x += next) one_by_four<Type>(x, steps, weights, layer.panel_bytes, panel_count, block.sums[p][t]);
    }
    _tile_release();

    Partial partial;
    for (int32_t r = 0; r < input.count; ++r)
        for (int32_t p = 0; p < panel_count; ++p) {
            const __m512i sums = _mm512_load_si512(block.sums[0][r / tile_rows][p][r % tile_rows]);
            __m512 dot = reinterpret_cast<__m512>(sums);
            if constexpr (Type::planes == 2)
                dot = join_i8(sums, _mm512_load_si512(block.sums[1][r / tile_rows][p][r % tile_rows]),
                              _mm512_load_si512(layer.code_sum + (first + p) * panel_channels));
            Avx512::store(&partial.values[r][p * panel_channels], dot);
        }
    finish<Avx512>(layer, input, first, panel_count, partial, out, out_stride);
}

const Operations bf16{moments<Avx512>, pack_bf16, 2, tile_multiply<Bf16>};
const Operations i8{moments<Avx512>, pack_i8, 2, tile_multiply<Int8>};

bool available() { return cpu().amx; }

}  // namespace

extern const Variant amx_variant{"amx", available, WeightType::bf16, {&avx512_f32, &avx512_f16, &bf16, &i8}};

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
