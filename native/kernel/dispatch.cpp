// Chooses a variant once: the best that this machine can run, or the one named by the caller or by MARA_KERNEL.
#include <cstdlib>
#include <cstring>

#include "kernel/cpu.h"
#include "kernel/layer.h"

namespace mara::kernel {

namespace {

// Best first.
const Variant all[] = {
#if defined(__x86_64__) && defined(__linux__)
    {"amx", [] { return cpu().amx; }, WeightType::bf16},
#endif
#if defined(__x86_64__) || defined(_M_X64)
    {"avx512-bf16", [] { return cpu().avx512_vnni && cpu().avx512_bf16; }, WeightType::bf16},
    {"avx512-vnni", [] { return cpu().avx512_vnni; }, WeightType::f16},
    {"avx512", [] { return cpu().avx512; }, WeightType::f16},
    {"avx2", [] { return cpu().avx2; }, WeightType::f16},
#elif defined(__aarch64__)
    {"neon-bf16", [] { return cpu().dot_product && cpu().arm_bf16; }, WeightType::bf16},
    {"neon-dot", [] { return cpu().dot_product; }, WeightType::f16},
    {"neon", [] { return true; }, WeightType::f16},
#endif
    {"reference", [] { return true; }, WeightType::f32},
};

}  // namespace

const Variant* find_variant(const char* name) {
    if (name == nullptr) name = std::getenv("MARA_KERNEL");
    const bool any = name == nullptr || *name == '\0';
    for (const Variant& variant : all)
        if ((any || std::strcmp(variant.name, name) == 0) && variant.available()) return &variant;
    return nullptr;
}

int32_t variants(const char** names, int32_t capacity) {
    int32_t count = 0;
    for (const Variant& variant : all) {
        if (!variant.available()) continue;
        if (count < capacity) names[count] = variant.name;
        ++count;
    }
    return count;
}

WeightType preferred_type(const char* variant) {
    const Variant* chosen = find_variant(variant);
    return chosen == nullptr ? WeightType::f32 : chosen->preferred;
}

}  // namespace mara::kernel
