// The instruction sets that this processor and its operating system allow; for AMX Linux is asked for permission.
#pragma once

namespace mara::kernel {

struct Cpu {
    bool avx2 = false;    // AVX2 + FMA + F16C
    bool avx512 = false;  // F + BW + DQ + VL
    bool avx512_vnni = false;
    bool avx512_bf16 = false;
    bool amx = false;          // tiles + bf16 + int8, and the process may use them
    bool dot_product = false;  // Arm SDOT
    bool arm_bf16 = false;     // Arm BFDOT
};

const Cpu& cpu();

}  // namespace mara::kernel
