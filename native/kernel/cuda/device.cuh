// The little that the kernel asks of the machine beyond C++: threads, barriers, warps, asynchronous copies and the mma
// instruction. native/test/cuda_host.h offers the same names on the host, so that one source is compiled for both.
#pragma once

#include <cstdint>

#define MARA_DEVICE __device__ __forceinline__
#define MARA_UNROLL _Pragma("unroll")
#define MARA_UNROLL_4 _Pragma("unroll 4")
#define MARA_UNROLL_8 _Pragma("unroll 8")

namespace mara::kernel::cuda {

struct alignas(16) Words {
    uint32_t x, y, z, w;
};

MARA_DEVICE int32_t thread_index() { return static_cast<int32_t>(threadIdx.x); }
MARA_DEVICE int32_t block_index() { return static_cast<int32_t>(blockIdx.x); }
MARA_DEVICE int32_t block_count() { return static_cast<int32_t>(gridDim.x); }
MARA_DEVICE char* shared_memory() {
    extern __shared__ __align__(128) char memory[];
    return memory;
}

MARA_DEVICE void block_sync() { __syncthreads(); }
MARA_DEVICE void memory_fence() { __threadfence(); }
MARA_DEVICE unsigned counter_add(unsigned* counter) { return atomicAdd(counter, 1u); }
MARA_DEVICE unsigned counter_read(const unsigned* counter) { return *static_cast<const volatile unsigned*>(counter); }
MARA_DEVICE void spin() { __nanosleep(20); }

MARA_DEVICE float shuffle_xor(float value, int32_t mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
MARA_DEVICE bool is_finite(float value) { return (__float_as_uint(value) & 0x7f800000u) != 0x7f800000u; }

MARA_DEVICE float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }
MARA_DEVICE uint32_t float_to_bits(float value) { return __float_as_uint(value); }
MARA_DEVICE float half_to_float(uint16_t bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
MARA_DEVICE uint16_t float_to_half(float value) {
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// 16 bytes from device memory into shared memory. From 8.0 on asynchronous, past the registers and L1.
MARA_DEVICE void copy_async(void* shared, const void* global) {
#if __CUDA_ARCH__ >= 800
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
#else
    *static_cast<Words*>(shared) = *static_cast<const Words*>(global);
#endif
}
MARA_DEVICE void copy_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Until at most `pending` of this thread's committed groups are under way.
template <int pending>
MARA_DEVICE void copy_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}
MARA_DEVICE void prefetch(const void* global) { asm volatile("prefetch.global.L2 [%0];" ::"l"(global)); }

struct F16;
struct Bf16;

// c += a · b for 16 channels × 8 states × 16 inputs, in the register layout of mma.sync.m16n8k16 (row, col).
template <class Type>
MARA_DEVICE void multiply_add(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                              uint32_t b1);

template <>
MARA_DEVICE void multiply_add<F16>(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                                   uint32_t b1) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(b0));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a2), "r"(a3), "r"(b1));
#endif
}

template <>
MARA_DEVICE void multiply_add<Bf16>(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                                    uint32_t b1) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

}  // namespace mara::kernel::cuda
