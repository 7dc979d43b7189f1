// Parts that the NEON variants take from each other.
#pragma once

#include "kernel/layer.h"

namespace mara::kernel {

extern const Operations neon_f32;
extern const Operations neon_f16;
extern const Operations neon_bf16;  // widened
extern const Operations neon_i8;    // 16-bit products
extern const Operations neon_dot_i8;

}  // namespace mara::kernel
