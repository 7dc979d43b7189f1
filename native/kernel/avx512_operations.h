// Parts that the AVX-512 family of variants takes from each other.
#pragma once

#include "kernel/layer.h"

namespace mara::kernel {

extern const Operations avx512_f32;
extern const Operations avx512_f16;
extern const Operations avx512_bf16;      // widened
extern const Operations avx512_i8;        // 16-bit products
extern const Operations avx512_dot_bf16;  // VDPBF16PS
extern const Operations avx512_dot_i8;    // VPDPBUSD

}  // namespace mara::kernel
