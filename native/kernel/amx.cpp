// AMX: 16 × 64-byte tiles, bf16 × bf16 and unsigned × signed bytes. Panels are stored as AMX wants its second operand:
// 64-byte lines of 16 channels × 4 bytes of inputs, 16 lines to a tile. f32 and f16 go the AVX-512 way.
// Linux only, because only there it is known how to ask for the tile registers.
#include <cmath>

#include "kernel/operations.h"

#if defined(__x86_64__) && defined(__linux__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 suspects its own intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                                                          \
    __attribute__((                                                                                                    \
        target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c"))), \
    apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")
#endif

#include "kernel/avx512_pack.h"
#include "kernel/pack.h"

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

// Holds tiles of this kernel's shapes for as long as it lives; sums and activations have `rows` rows, weights 16. Then
// the thread gets its own shapes back, because llama.cpp loads its shapes only once on the thread that decodes, and
// relies on them ever after.
class TileScope {
public:
    explicit TileScope(int32_t rows) {
        _tile_storeconfig(&caller_);
        TileShapes shapes;
        for (int32_t t = 0; t < 8; ++t) {
            shapes.row_bytes[t] = tile_bytes;
            shapes.rows[t] = static_cast<uint8_t>(t < 6 ? rows : tile_rows);
        }
        _tile_loadconfig(&shapes);
    }
    ~TileScope() { _tile_loadconfig(&caller_); }  // with palette 0, where nothing was loaded: releases the tiles
    TileScope(const TileScope&) = delete;
    TileScope& operator=(const TileScope&) = delete;

private:
    TileShapes caller_;
};

struct Bf16 {
    static constexpr int32_t planes = 1;
};

struct Int8 {
    static constexpr int32_t planes = 2;
};

constexpr int32_t tiles_max = 2 * block_rows / tile_rows;

// Sums of one chunk, f32 or int32: [tile of activations][panel][16 rows][16 channels].
struct alignas(64) Block {
    int32_t sums[tiles_max][chunk_panels][tile_rows][panel_channels];
};

// sums += activations · weights. A macro, because registers are part of the instruction's name.
#define MARA_DOT(sums, activations, weights)            \
    do {                                                \
        if constexpr (Type::planes == 1)                \
            _tile_dpbf16ps(sums, activations, weights); \
        else                                            \
            _tile_dpbusd(sums, activations, weights);   \
    } while (false)

// `tiles` tiles of activations, `next` bytes apart, × `panels` panels, in one pass over both. Each sum is one chain
// over the steps. Registers: 0–3 the sums, 4 and 5 the activations, 6 and 7 the weights.
template <class Type, int32_t tiles, int32_t panels>
void multiply_tiles(const std::byte* x, size_t next, int32_t steps, const std::byte* weights, size_t panel_bytes,
                    int32_t (*to)[chunk_panels][tile_rows][panel_channels], int32_t panel) {
    static_assert(tiles * panels <= 4 && tiles <= 2);
    _tile_zero(0);
    if constexpr (tiles * panels > 1) _tile_zero(1);
    if constexpr (tiles * panels > 2) _tile_zero(2);
    if constexpr (tiles * panels > 3) _tile_zero(3);
    for (int32_t s = 0; s < steps; ++s, x += tile_size, weights += tile_size) {
        _tile_loadd(6, weights, 64);
        _tile_loadd(4, x, tile_bytes);
        MARA_DOT(0, 4, 6);
        if constexpr (tiles > 1) {
            _tile_loadd(5, x + next, tile_bytes);
            if constexpr (panels == 1)
                MARA_DOT(1, 5, 6);
            else
                MARA_DOT(2, 5, 6);
        }
        if constexpr (panels > 1) {
            _tile_loadd(7, weights + panel_bytes, 64);
            MARA_DOT(1, 4, 7);
            if constexpr (tiles > 1) MARA_DOT(3, 5, 7);
        }
        if constexpr (panels > 2) {
            _tile_loadd(6, weights + 2 * panel_bytes, 64);
            MARA_DOT(2, 4, 6);
            _tile_loadd(7, weights + 3 * panel_bytes, 64);
            MARA_DOT(3, 4, 7);
        }
    }
    _tile_stored(0, to[0][panel], 64);
    if constexpr (panels > 1) _tile_stored(1, to[0][panel + 1], 64);
    if constexpr (tiles == 1 && panels > 2) {
        _tile_stored(2, to[0][panel + 2], 64);
        _tile_stored(3, to[0][panel + 3], 64);
    }
    if constexpr (tiles == 2 && panels == 1) _tile_stored(1, to[1][panel], 64);
    if constexpr (tiles == 2 && panels == 2) {
        _tile_stored(2, to[1][panel], 64);
        _tile_stored(3, to[1][panel + 1], 64);
    }
}

#undef MARA_DOT

// Tiles of activations two by two; a last single one meets four panels at once.
template <class Type>
void multiply_chunk(const std::byte* x, size_t next, int32_t tiles, int32_t steps, const std::byte* weights,
                    size_t panel_bytes, int32_t panel_count, Block& block) {
    const int32_t paired = tiles / 2 * 2;
    const int32_t pairs = panel_count / 2 * 2;
    for (int32_t t = 0; t < paired; t += 2) {
        const std::byte* at = x + static_cast<size_t>(t) * next;
        for (int32_t p = 0; p < pairs; p += 2)
            multiply_tiles<Type, 2, 2>(at, next, steps, weights + static_cast<size_t>(p) * panel_bytes, panel_bytes,
                                       block.sums + t, p);
        if (pairs < panel_count)
            multiply_tiles<Type, 2, 1>(at, next, steps, weights + static_cast<size_t>(pairs) * panel_bytes, panel_bytes,
                                       block.sums + t, pairs);
    }
    if (paired == tiles) return;
    const std::byte* at = x + static_cast<size_t>(paired) * next;
    if (panel_count == 4)
        return multiply_tiles<Type, 1, 4>(at, next, steps, weights, panel_bytes, block.sums + paired, 0);
    for (int32_t p = 0; p < panel_count; ++p)
        multiply_tiles<Type, 1, 1>(at, next, steps, weights + static_cast<size_t>(p) * panel_bytes, panel_bytes,
                                   block.sums + paired, p);
}

template <class Type>
void tile_multiply(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
                   ptrdiff_t out_stride) {
    // A single row leaves the tile unit nearly idle, and integer sums are exact: the same result sooner.
    if (Type::planes == 2 && input.count == 1)
        return avx512_dot_i8.multiply(layer, input, first, panel_count, out, out_stride);
    Block block;
    const int32_t tiles = (input.count + tile_rows - 1) / tile_rows * Type::planes;
    const int32_t steps = layer.depth * (Type::planes == 1 ? 2 : 1) / tile_bytes;
    const size_t next = static_cast<size_t>(steps) * tile_size;
    {
        const TileScope shapes(input.count < tile_rows ? input.count : tile_rows);
        const std::byte* const weights = layer.weights + static_cast<size_t>(first) * layer.panel_bytes;
        multiply_chunk<Type>(input.packed, next, tiles, steps, weights, layer.panel_bytes, panel_count, block);
    }

    Partial partial;
    for (int32_t r = 0; r < input.count; ++r)
        for (int32_t p = 0; p < panel_count; ++p) {
            const int32_t tile = r / tile_rows * Type::planes;
            const __m512i sums = _mm512_load_si512(block.sums[tile][p][r % tile_rows]);
            __m512 dot = _mm512_castsi512_ps(sums);
            if constexpr (Type::planes == 2)
                dot = join_i8(sums, _mm512_load_si512(block.sums[tile + 1][p][r % tile_rows]),
                              _mm512_load_si512(layer.code_sum + (first + p) * panel_channels));
            Avx512::store(&partial.values[r][p * panel_channels], dot);
        }
    finish<Avx512>(layer, input, first, panel_count, partial, out, out_stride);
}

}  // namespace

const Operations amx_bf16{moments<Avx512>, pack_bf16, 2, tile_multiply<Bf16>, pack_panel<Avx512, codecs::Bf16>};
const Operations amx_i8{moments<Avx512>, pack_i8, 2, tile_multiply<Int8>, pack_panel<Avx512, codecs::I8>};

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
