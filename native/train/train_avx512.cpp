// The learner's operations in AVX-512.
#include <cmath>

#include "kernel/cpu.h"
#include "kernel/layer.h"
#include "train/operations.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 suspects its own intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif

#include "kernel/avx512_vector.h"
#include "train/vector_operations.h"

namespace mara::train {
namespace {

struct Isa : kernel::Avx512 {
    static constexpr int32_t tile_rows = 14;
    static constexpr int32_t tile_vectors = 2;
    static constexpr int32_t depth_block = 256;
};

bool available() { return kernel::cpu().avx512; }

}  // namespace

extern const VectorOperations avx512_operations = Vector<Isa>::operations("avx512", available);

}  // namespace mara::train

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
