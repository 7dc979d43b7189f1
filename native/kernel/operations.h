// Every implementation of a weight type. weight_types.cpp says which variants use which.
#pragma once

// What pack.h calls is included here, before any #pragma target: its functions have external linkage.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernel/items.h"
#include "kernel/numbers.h"
#include "kernel/weight_types.h"

namespace mara::kernel {

extern const Operations reference_f32, reference_f16, reference_bf16, reference_i8;

// x86
extern const Operations avx2_f32, avx2_f16, avx2_bf16, avx2_i8;
extern const Operations avx512_f32, avx512_f16;
extern const Operations avx512_bf16;      // widened to f32
extern const Operations avx512_i8;        // 16-bit products
extern const Operations avx512_dot_bf16;  // VDPBF16PS
extern const Operations avx512_dot_i8;    // VPDPBUSD
extern const Operations amx_bf16, amx_i8;

// Arm
extern const Operations neon_f32, neon_f16;
extern const Operations neon_bf16;      // widened to f32
extern const Operations neon_i8;        // 16-bit products
extern const Operations neon_dot_bf16;  // BFDOT
extern const Operations neon_dot_i8;    // SDOT

}  // namespace mara::kernel
