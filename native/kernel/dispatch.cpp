// Chooses a variant once: the best that this machine can run, or the one named by the caller or by MARA_KERNEL.
#include <cstdlib>
#include <cstring>

#include "kernel/layer.h"

namespace mara::kernel {

#if defined(__x86_64__) && defined(__linux__)
extern const Variant amx_variant;
#endif
#if defined(__x86_64__) || defined(_M_X64)
extern const Variant avx512_bf16_variant;
extern const Variant avx512_vnni_variant;
extern const Variant avx512_variant;
extern const Variant avx2_variant;
#elif defined(__aarch64__)
extern const Variant neon_bf16_variant;
extern const Variant neon_dot_variant;
extern const Variant neon_variant;
#endif
extern const Variant reference_variant;

namespace {

// Best first.
const Variant* const all[] = {
#if defined(__x86_64__) && defined(__linux__)
    &amx_variant,
#endif
#if defined(__x86_64__) || defined(_M_X64)
    &avx512_bf16_variant, &avx512_vnni_variant, &avx512_variant, &avx2_variant,
#elif defined(__aarch64__)
    &neon_bf16_variant,
    &neon_dot_variant,
    &neon_variant,
#endif
    &reference_variant,
};

}  // namespace

const Variant* find_variant(const char* name) {
    if (name == nullptr) name = std::getenv("MARA_KERNEL");
    const bool any = name == nullptr || *name == '\0';
    for (const Variant* variant : all)
        if ((any || std::strcmp(variant->name, name) == 0) && variant->available()) return variant;
    return nullptr;
}

int32_t variants(const char** names, int32_t capacity) {
    int32_t count = 0;
    for (const Variant* variant : all) {
        if (!variant->available()) continue;
        if (count < capacity) names[count] = variant->name;
        ++count;
    }
    return count;
}

WeightType preferred_type(const char* variant) {
    const Variant* chosen = find_variant(variant);
    return chosen == nullptr ? WeightType::f32 : chosen->preferred;
}

}  // namespace mara::kernel
