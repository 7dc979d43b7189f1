// The fused kernel on the GPU: gather, LayerNorm and three layers in one launch.
//
// How the layers are separated inside one launch. The launch is cooperative (every block resident), one block per
// multiprocessor, and blocks wait on counters in device memory (block.cuh: arrive, await), each only for the blocks
// whose results it reads: the states, the slices of its own 64 channels, the hidden layer. The end is a last-block
// scheme, in which nobody waits. Considered and not taken:
//   - cooperative_groups' grid.sync(): the same round trip through L2, but always of all blocks; it would be needed
//   three times.
//   - thread-block clusters: the slices of a group could be added through distributed shared memory, which saves one of
//   the three waits, but
//     only on 9.0 and later, with a second version of the code to keep right without a device at hand.
//   - last-block only: the last block of a group would add up its slices alone (80 KiB through one multiprocessor,
//   about 0.8 µs, while the
//     others idle), and that of the second layer likewise.
// Per wait about 1 µs on an H100. D = 4096, K = 40: normalise (16 KiB per block, beside the stream of 64 KiB of
// weights) 2–3 µs, multiply 1–2 µs, reduce ½ µs, second layer and finish 1½ µs. An estimate: docs/cuda.md says what has
// been measured.
#include "kernel/cuda/device.cuh"
// After device.cuh, whose names they use.
#include "kernel/cuda/kernels.h"
#include "kernel/cuda/mma.cuh"
#include "kernel/cuda/simt.cuh"

namespace mara::kernel::cuda {
namespace {

template <class Type, int Rows>
__global__ void __launch_bounds__(block_threads, 1) mara_simt(const __grid_constant__ Arguments arguments) {
    fused_simt<Type, Rows>(arguments);
}

template <class Type, int RowTiles>
__global__ void __launch_bounds__(block_threads, 1) mara_mma(const __grid_constant__ Arguments arguments) {
    fused_mma<Type, RowTiles>(arguments);
}

template <class Type>
const void* simt(const Plan& plan) {
    if (plan.rows == 1) return reinterpret_cast<const void*>(mara_simt<Type, 1>);
    return plan.rows == small_rows ? reinterpret_cast<const void*>(mara_simt<Type, small_rows>) : nullptr;
}

template <class Type>
const void* mma(const Plan& plan) {
    switch (plan.rows) {
        case 2:
            return reinterpret_cast<const void*>(mara_mma<Type, 2>);
        case 5:
            return reinterpret_cast<const void*>(mara_mma<Type, 5>);
        case 8:
            return reinterpret_cast<const void*>(mara_mma<Type, 8>);
        default:
            return nullptr;
    }
}

}  // namespace

const void* kernel_for(const Plan& plan, WeightType type) {
    if (plan.path == Path::simt) {
        if (type == WeightType::f32) return simt<F32>(plan);
        if (type == WeightType::f16) return simt<F16>(plan);
        return type == WeightType::bf16 ? simt<Bf16>(plan) : nullptr;
    }
    if (type == WeightType::f16) return mma<F16>(plan);
    return type == WeightType::bf16 ? mma<Bf16>(plan) : nullptr;
}

}  // namespace mara::kernel::cuda
