// AVX2 + FMA + F16C: f32, f16 and bf16 weights are widened to f32; int8 weights meet 16-bit activations.
#include <cmath>

#include "kernel/operations.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernel/avx2_vector.h"
#include "kernel/float_tile.h"
#include "kernel/pack.h"
#include "kernel/wide_int8.h"

namespace mara::kernel {
namespace {

struct Isa : Avx2 {
    static constexpr int32_t max_rows = 6;
    static constexpr int32_t depth_block =
        256;  // 1 panel × 256 inputs × f32 = 16 KiB: stays in the nearest cache while the rows pass
    static constexpr int32_t panels_for(int32_t rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }
    static void prefetch(const std::byte* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T1); }
};

struct F32 {
    static constexpr int32_t group = 1;
    static constexpr int32_t bytes = 64;
    static void load(const std::byte* at, int32_t v, __m256* out) {
        out[0] = _mm256_load_ps(reinterpret_cast<const float*>(at) + v * 8);
    }
};

struct F16 {
    static constexpr int32_t group = 1;
    static constexpr int32_t bytes = 32;
    static void load(const std::byte* at, int32_t v, __m256* out) {
        out[0] = _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(at) + v));
    }
};

// A pair of inputs per 32-bit lane: the second one is the lane's upper half as it stands, the first one the lower half
// moved up.
struct Bf16 {
    static constexpr int32_t group = 2;
    static constexpr int32_t bytes = 64;
    static void load(const std::byte* at, int32_t v, __m256* out) {
        const __m256i pairs = _mm256_load_si256(reinterpret_cast<const __m256i*>(at) + v);
        out[0] = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
        out[1] = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u))));
    }
};

struct Int8 : Isa {
    using I = __m256i;
    using Codes = __m256i;
    static constexpr int32_t sums_per_panel = 4;  // 4 channels each, two sums per channel
    static constexpr int32_t int_rows = 2;
    static void quantise(const float* from, int32_t n, V center, V factor, int16_t* to) {
        const V x = n == width ? load(from) : load_first_or(from, n, center);
        const __m256i code = _mm256_cvtps_epi32(mul(sub(x, center), factor));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         _mm_packs_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1)));
    }
    static I zero_int() { return _mm256_setzero_si256(); }
    static I codes(const std::byte* at, int32_t s) {
        return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(at) + s));
    }
    static I four(const int16_t* from) {
        return _mm256_castpd_si256(_mm256_broadcast_sd(reinterpret_cast<const double*>(from)));
    }
    static I dot(I sum, I a, I b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
    // Lanes hold (channel 0, channel 0, channel 1, …): adds neighbours; hadd interleaves 128-bit halves, the
    // permutation puts them back.
    static void collect(const I* sums, float* to) {
        for (int32_t half = 0; half < 2; ++half) {
            const I mixed = _mm256_hadd_epi32(sums[2 * half], sums[2 * half + 1]);
            store(to + 8 * half, _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(mixed, _MM_SHUFFLE(3, 1, 2, 0))));
        }
    }
};

}  // namespace

const Operations avx2_f32{moments<Isa>, nullptr, 0, float_multiply<Isa, F32>, pack_panel<Avx2, codecs::F32>};
const Operations avx2_f16{moments<Isa>, nullptr, 0, float_multiply<Isa, F16>, pack_panel<Avx2, codecs::F16>};
const Operations avx2_bf16{moments<Isa>, nullptr, 0, float_multiply<Isa, Bf16>, pack_panel<Avx2, codecs::Bf16>};
const Operations avx2_i8{moments<Isa>, wide_prepare<Int8>, 2, wide_multiply<Int8>, pack_panel<Avx2, codecs::I8>};

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
