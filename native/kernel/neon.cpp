// Arm NEON (the baseline of 64-bit Arm): f32, f16 and bf16 weights are widened to f32; int8 weights meet 16-bit
// activations.
#include <cmath>

#include "kernel/operations.h"

#if defined(__aarch64__)
#include "kernel/float_tile.h"
#include "kernel/neon_vector.h"
#include "kernel/pack.h"
#include "kernel/wide_int8.h"

namespace mara::kernel {
namespace {

struct Isa : Neon {
    static constexpr int32_t max_rows = 6;
    static constexpr int32_t depth_block =
        256;  // 1 panel × 256 inputs × f32 = 16 KiB: stays in the nearest cache while the rows pass
    static constexpr int32_t panels_for(int32_t rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }
    static void prefetch(const std::byte* at) { __builtin_prefetch(at, 0, 2); }
};

struct F32 {
    static constexpr int32_t group = 1;
    static constexpr int32_t bytes = 64;
    static void load(const std::byte* at, int32_t v, float32x4_t* out) {
        out[0] = vld1q_f32(reinterpret_cast<const float*>(at) + 4 * v);
    }
};

struct F16 {
    static constexpr int32_t group = 1;
    static constexpr int32_t bytes = 32;
    static void load(const std::byte* at, int32_t v, float32x4_t* out) {
        out[0] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(at) + 4 * v)));
    }
};

// A pair of inputs per 32-bit lane: the second one is the lane's upper half as it stands, the first one the lower half
// moved up.
struct Bf16 {
    static constexpr int32_t group = 2;
    static constexpr int32_t bytes = 64;
    static void load(const std::byte* at, int32_t v, float32x4_t* out) {
        const uint32x4_t pairs = vld1q_u32(reinterpret_cast<const uint32_t*>(at) + 4 * v);
        out[0] = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
        out[1] = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000u)));
    }
};

struct Int8 : Isa {
    using I = int32x4_t;
    static constexpr int32_t sums_per_panel = 8;  // 2 channels each, two sums per channel
    static constexpr int32_t int_rows = 2;
    using Codes = int16x8_t;
    static void quantise(const float* from, int32_t n, V center, V factor, int16_t* to) {
        const V x = n == width ? load(from) : load_first_or(from, n, center);
        vst1_s16(to, vqmovn_s32(vcvtnq_s32_f32(mul(sub(x, center), factor))));
    }
    static I zero_int() { return vdupq_n_s32(0); }
    static Codes codes(const std::byte* at, int32_t s) {
        return vmovl_s8(vld1_s8(reinterpret_cast<const int8_t*>(at) + 8 * s));
    }
    static Codes four(const int16_t* from) {
        const int16x4_t values = vld1_s16(from);
        return vcombine_s16(values, values);
    }
    static I dot(I sum, Codes a, Codes b) {
        return vaddq_s32(sum, vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b)));
    }
    static void collect(const I* sums, float* to) {
        for (int32_t v = 0; v < 4; ++v) store(to + 4 * v, vcvtq_f32_s32(vpaddq_s32(sums[2 * v], sums[2 * v + 1])));
    }
};

}  // namespace

const Operations neon_f32{moments<Neon>, nullptr, 0, float_multiply<Isa, F32>, pack_panel<Neon, codecs::F32>};
const Operations neon_f16{moments<Neon>, nullptr, 0, float_multiply<Isa, F16>, pack_panel<Neon, codecs::F16>};
const Operations neon_bf16{moments<Neon>, nullptr, 0, float_multiply<Isa, Bf16>, pack_panel<Neon, codecs::Bf16>};
const Operations neon_i8{moments<Neon>, wide_prepare<Int8>, 2, wide_multiply<Int8>, pack_panel<Neon, codecs::I8>};

}  // namespace mara::kernel
#endif
