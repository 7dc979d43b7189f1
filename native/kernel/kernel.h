// The agent's network on the CPU: gather, LayerNorm, three linear layers, ReLU, softmax, in one call.
//
// No Node headers and no exceptions across this boundary: raw pointers, sizes and status codes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/matrix.h"

namespace mara::kernel {

enum class Status : int { ok = 0, out_of_memory, unsupported_type, unsupported_variant, bad_shape, not_finite };

enum class WeightType : int { f32 = 0, f16 = 1, bf16 = 2, i8 = 3 };

// Weights as they stand in the agent file. Linear weights are [out][in] (PyTorch's layout).
struct NetworkWeights {
    int32_t width;           // D, the LLM's embedding size
    int32_t hidden1;         // H
    int32_t hidden2;         // H/4 in published agents
    const float* ln_weight;  // [D]
    const float* ln_bias;    // [D]
    Matrix w1;               // [H][D]
    const float* b1;         // [H]
    Matrix w2;               // [H2][H]
    const float* b2;         // [H2]
    const float* w3;         // [2][H2]
    const float* b3;         // [2]
};

// The name of a weight type as options have it: "f32", "int8".
const char* weight_type_name(WeightType type);
// The type of that name. False: there is none, and `type` is left alone.
bool find_weight_type(const char* name, WeightType& type);
// All types of this build. Returns how many; fills up to `capacity`.
int32_t weight_types(WeightType* types, int32_t capacity);

// Packed weights that never change, with LayerNorm's affine folded into the first layer. A network may be given a
// device later on (device.h). Threads may share it.
struct Network;

// Packs for `variant` (nullptr: the best this machine has, or MARA_KERNEL when set). `weights` is not kept.
// unsupported_type: there is no such type, or the variant does not have it. not_finite: a weight is NaN or infinite.
Status network_create(const NetworkWeights& weights, WeightType type, const char* variant, Network** out);
void network_free(Network* network);

int32_t network_width(const Network* network);
const char* network_variant(const Network* network);  // "reference", "avx2", "avx512", ...
size_t network_bytes(const Network* network);         // packed weights, in bytes

struct Pool;  // worker threads asleep between calls, plus scratch; one call at a time per pool

Status pool_create(int32_t max_threads, Pool** out);
void pool_free(Pool* pool);

// probabilities[a * count + i] = accept probability of network a for the state at `base + rows[i] * row_stride` (in
// floats). All networks have the same width. `rows` may be nullptr (then row i is i). A row holding a NaN gets
// probability 0. Reads rows in place; allocates nothing once `pool` has seen a call of this size. `threads` <= the
// pool's maximum. A row's probability depends on neither the other rows, nor its place among them, nor the number of
// threads. On failure (out_of_memory, bad_shape: networks of different widths) all probabilities are 0.
Status score(const Network* const* networks, int32_t network_count, const float* base, ptrdiff_t row_stride,
             const int32_t* rows, int32_t count, float* probabilities, Pool* pool, int32_t threads);

// Gives log-odds of accepting, ln(p / (1 − p)), in logits[a][i]; −∞ where the probability is 0. Otherwise like `score`.
Status score_logits(const Network* const* networks, int32_t network_count, const float* base, ptrdiff_t row_stride,
                    const int32_t* rows, int32_t count, float* const* logits, Pool* pool, int32_t threads);

// Names of the variants this build has and this machine can run, best first. Returns how many; fills up to `capacity`.
int32_t variants(const char** names, int32_t capacity);

// The weight type that "auto" means on this machine for `variant` (nullptr: the best).
WeightType preferred_type(const char* variant);

}  // namespace mara::kernel
