// AVX-512 with dot-product instructions: bf16 × bf16 pairs (AVX512_BF16) and unsigned × signed bytes (VNNI).
#include <cmath>
#include <cstring>

#include "kernel/operations.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 suspects its own intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                                          \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c"))), \
    apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")
#endif

#include "kernel/avx512_pack.h"
#include "kernel/pack.h"

namespace mara::kernel {
namespace {

constexpr int32_t bytes_per_block =
    512;  // of a row: with 4 panels 32 KiB of weights, which stay in the nearest cache while the rows pass

// Four bytes of a row in every lane.
inline __m512i spread(const std::byte* from) {
    int32_t bits;
    std::memcpy(&bits, from, 4);
    return _mm512_set1_epi32(bits);
}

// Sums of one chunk for all rows of the block.
struct alignas(64) Block {
    __m512i high[block_rows][chunk_panels];
    __m512i low[block_rows][chunk_panels];
};

struct Bf16 {
    static constexpr int32_t max_rows = 6;
    static constexpr bool two_planes = false;
    static __m512i dot(__m512i sum, __m512i x, __m512i w) {
#if defined(__clang__)
        asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));  // the intrinsic crashes LLVM 16 here
        return sum;
#else
        return _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sum), (__m512bh)x, (__m512bh)w));
#endif
    }
};

struct Int8 {
    static constexpr int32_t max_rows = 3;
    static constexpr bool two_planes = true;
    static __m512i dot(__m512i sum, __m512i x, __m512i w) { return _mm512_dpbusd_epi32(sum, x, w); }
};

// Continues the sums of `rows` rows × `panels` panels over bytes [start, end) of each row.
template <class Type, int32_t rows, int32_t panels>
void dot_tile(const std::byte* const* x, size_t plane, int32_t start, int32_t end, const std::byte* weights,
              size_t panel_bytes, Block& block, int32_t row, int32_t panel) {
    __m512i high[rows][panels];
    __m512i low[rows][panels];
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t p = 0; p < panels; ++p) {
            high[r][p] = start == 0 ? _mm512_setzero_si512() : block.high[row + r][panel + p];
            if constexpr (Type::two_planes)
                low[r][p] = start == 0 ? _mm512_setzero_si512() : block.low[row + r][panel + p];
        }
    for (int32_t b = start; b < end; b += tile_bytes) {
        const size_t tile = static_cast<size_t>(b / tile_bytes) * tile_size;
        for (int32_t k = 0; k < tile_bytes; k += 4, weights += 64) {
            __m512i w[panels];
            for (int32_t p = 0; p < panels; ++p)
                w[p] = _mm512_load_si512(weights + static_cast<size_t>(p) * panel_bytes);
            for (int32_t r = 0; r < rows; ++r) {
                const std::byte* from = x[r] + tile + k;
                const __m512i upper = spread(from);
                for (int32_t p = 0; p < panels; ++p) high[r][p] = Type::dot(high[r][p], upper, w[p]);
                if constexpr (Type::two_planes) {
                    const __m512i lower = spread(from + plane);
                    for (int32_t p = 0; p < panels; ++p) low[r][p] = Type::dot(low[r][p], lower, w[p]);
                }
            }
        }
    }
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t p = 0; p < panels; ++p) {
            block.high[row + r][panel + p] = high[r][p];
            if constexpr (Type::two_planes) block.low[row + r][panel + p] = low[r][p];
        }
}

template <class Type, int32_t rows>
void dot_rows(int32_t left, const std::byte* const* x, size_t plane, int32_t start, int32_t end,
              const std::byte* weights, size_t panel_bytes, int32_t panel_count, Block& block, int32_t row) {
    if constexpr (rows > 0) {
        if (left < rows)
            return dot_rows<Type, rows - 1>(left, x, plane, start, end, weights, panel_bytes, panel_count, block, row);
        if (panel_count == chunk_panels)
            return dot_tile<Type, rows, chunk_panels>(x, plane, start, end, weights, panel_bytes, block, row, 0);
        for (int32_t p = 0; p < panel_count; ++p)
            dot_tile<Type, rows, 1>(x, plane, start, end, weights + static_cast<size_t>(p) * panel_bytes, panel_bytes,
                                    block, row, p);
    }
}

template <class Type>
void dot_multiply(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
                  ptrdiff_t out_stride) {
    Block block;
    const std::byte* x[block_rows];
    for (int32_t r = 0; r < input.count; ++r)
        x[r] = Type::two_planes ? i8_row(input.packed, r, layer.depth) : bf16_row(input.packed, r, layer.depth);
    const size_t plane = Type::two_planes ? plane_size(layer.depth) : 0;
    const int32_t row_bytes = Type::two_planes ? layer.depth : layer.depth * 2;
    const std::byte* weights = layer.weights + static_cast<size_t>(first) * layer.panel_bytes;
    for (int32_t start = 0; start < row_bytes;
         start += bytes_per_block, weights += static_cast<size_t>(bytes_per_block) * panel_channels) {
        const int32_t end = row_bytes - start < bytes_per_block ? row_bytes : start + bytes_per_block;
        for (int32_t row = 0; row < input.count; row += Type::max_rows)
            dot_rows<Type, Type::max_rows>(input.count - row, x + row, plane, start, end, weights, layer.panel_bytes,
                                           panel_count, block, row);
    }
    Partial partial;
    for (int32_t r = 0; r < input.count; ++r)
        for (int32_t p = 0; p < panel_count; ++p) {
            __m512 dot = _mm512_castsi512_ps(block.high[r][p]);
            if constexpr (Type::two_planes)
                dot = join_i8(block.high[r][p], block.low[r][p],
                              _mm512_load_si512(layer.code_sum + (first + p) * panel_channels));
            Avx512::store(&partial.values[r][p * panel_channels], dot);
        }
    finish<Avx512>(layer, input, first, panel_count, partial, out, out_stride);
}

}  // namespace

const Operations avx512_dot_bf16{moments<Avx512>, pack_bf16, 2, dot_multiply<Bf16>, pack_panel<Avx512, codecs::Bf16>};
const Operations avx512_dot_i8{moments<Avx512>, pack_i8, 2, dot_multiply<Int8>, pack_panel<Avx512, codecs::I8>};

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
