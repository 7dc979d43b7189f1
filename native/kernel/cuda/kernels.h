// The compiled variants of the fused kernel, for the launch code. No CUDA headers: a kernel is known by its address.
#pragma once

#include "kernel/cuda/plan.h"

namespace mara::kernel::cuda {

// The kernel of a plan, for cudaLaunchKernelExC; it takes one Arguments by value. nullptr if there is no such variant.
const void* kernel_for(const Plan& plan, WeightType type);

}  // namespace mara::kernel::cuda
