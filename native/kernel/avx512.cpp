// AVX-512 (F, BW, DQ, VL): f32, f16 and bf16 weights are widened to f32; int8 weights meet 16-bit activations.
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
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#include "kernel/avx512_vector.h"
#include "kernel/float_tile.h"
#include "kernel/pack.h"
#include "kernel/wide_int8.h"

namespace mara::kernel {
namespace {

struct Isa : Avx512 {
    static constexpr int32_t max_rows = 6;
    static constexpr int32_t depth_block =
        128;  // 4 panels × 128 inputs × f32 = 32 KiB: stays in the nearest cache while the rows pass
    static constexpr int32_t panels_for(int32_t) { return 4; }
    static void prefetch(const std::byte* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T1); }
};

struct F32 {
    static constexpr int32_t group = 1;
    static constexpr int32_t bytes = 64;
    static void load(const std::byte* at, int32_t, __m512* out) { out[0] = _mm512_load_ps(at); }
};

struct F16 {
    static constexpr int32_t group = 1;
    static constexpr int32_t bytes = 32;
    static void load(const std::byte* at, int32_t, __m512* out) {
        out[0] = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(at)));
    }
};

// A pair of inputs per 32-bit lane: the second one is the lane's upper half as it stands, the first one the lower half
// moved up.
struct Bf16 {
    static constexpr int32_t group = 2;
    static constexpr int32_t bytes = 64;
    static void load(const std::byte* at, int32_t, __m512* out) {
        const __m512i pairs = _mm512_load_si512(at);
        out[0] = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
        out[1] = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u))));
    }
};

struct Int8 : Isa {
    using I = __m512i;
    using Codes = __m512i;
    static constexpr int32_t sums_per_panel = 2;  // 8 channels each, two sums per channel
    static constexpr int32_t int_rows = 6;
    static void quantise(const float* from, int32_t n, __m512 center, __m512 factor, int16_t* to) {
        const __m512 x = n == width ? load(from) : load_first_or(from, n, center);
        const __m512i code = _mm512_cvtps_epi32(mul(sub(x, center), factor));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtsepi32_epi16(code));
    }
    static I zero_int() { return _mm512_setzero_si512(); }
    static I codes(const std::byte* at, int32_t s) {
        return _mm512_cvtepi8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(at) + s));
    }
    static I four(const int16_t* from) {
        int64_t bits;
        std::memcpy(&bits, from, 8);
        return _mm512_set1_epi64(bits);
    }
    static I dot(I sum, I a, I b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }
    // Lanes hold (channel 0, channel 0, channel 1, …): adds neighbours and puts the 16 channels in order.
    static void collect(const I* sums, float* to) {
        const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        const __m512i a = _mm512_permutex2var_epi32(sums[0], even, sums[1]);
        const __m512i b = _mm512_permutex2var_epi32(sums[0], odd, sums[1]);
        store(to, _mm512_cvtepi32_ps(_mm512_add_epi32(a, b)));
    }
};

}  // namespace

const Operations avx512_f32{moments<Avx512>, nullptr, 0, float_multiply<Isa, F32>, pack_panel<Avx512, codecs::F32>};
const Operations avx512_f16{moments<Avx512>, nullptr, 0, float_multiply<Isa, F16>, pack_panel<Avx512, codecs::F16>};
const Operations avx512_bf16{moments<Avx512>, nullptr, 0, float_multiply<Isa, Bf16>, pack_panel<Avx512, codecs::Bf16>};
const Operations avx512_i8{moments<Avx512>, wide_prepare<Int8>, 2, wide_multiply<Int8>, pack_panel<Avx512, codecs::I8>};

}  // namespace mara::kernel

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
