#include "kernel/weight_types.h"

#include <cstring>

#include "kernel/operations.h"
#include "kernel/pack.h"

namespace mara::kernel {
namespace {

#if defined(__x86_64__) || defined(_M_X64)
constexpr Implementation f32[] = {
    {"amx", &avx512_f32},    {"avx512-bf16", &avx512_f32}, {"avx512-vnni", &avx512_f32},
    {"avx512", &avx512_f32}, {"avx2", &avx2_f32},          {"reference", &reference_f32},
};
constexpr Implementation f16[] = {
    {"amx", &avx512_f16},    {"avx512-bf16", &avx512_f16}, {"avx512-vnni", &avx512_f16},
    {"avx512", &avx512_f16}, {"avx2", &avx2_f16},          {"reference", &reference_f16},
};
constexpr Implementation bf16[] = {
#if defined(__linux__)
    {"amx", &amx_bf16},
#endif
    {"avx512-bf16", &avx512_dot_bf16},
    {"avx512-vnni", &avx512_bf16},
    {"avx512", &avx512_bf16},
    {"avx2", &avx2_bf16},
    {"reference", &reference_bf16},
};
constexpr Implementation i8[] = {
#if defined(__linux__)
    {"amx", &amx_i8},
#endif
    {"avx512-bf16", &avx512_dot_i8},
    {"avx512-vnni", &avx512_dot_i8},
    {"avx512", &avx512_i8},
    {"avx2", &avx2_i8},
    {"reference", &reference_i8},
};
#elif defined(__aarch64__)
constexpr Implementation f32[] = {
    {"neon-bf16", &neon_f32}, {"neon-dot", &neon_f32}, {"neon", &neon_f32}, {"reference", &reference_f32}};
constexpr Implementation f16[] = {
    {"neon-bf16", &neon_f16}, {"neon-dot", &neon_f16}, {"neon", &neon_f16}, {"reference", &reference_f16}};
constexpr Implementation bf16[] = {
    {"neon-bf16", &neon_dot_bf16}, {"neon-dot", &neon_bf16}, {"neon", &neon_bf16}, {"reference", &reference_bf16}};
constexpr Implementation i8[] = {
    {"neon-bf16", &neon_dot_i8}, {"neon-dot", &neon_dot_i8}, {"neon", &neon_i8}, {"reference", &reference_i8}};
#else
constexpr Implementation f32[] = {{"reference", &reference_f32}};
constexpr Implementation f16[] = {{"reference", &reference_f16}};
constexpr Implementation bf16[] = {{"reference", &reference_bf16}};
constexpr Implementation i8[] = {{"reference", &reference_i8}};
#endif

constexpr WeightFormat formats[] = {
    make_format<codecs::F32>(WeightType::f32, "f32", 1, f32),
    make_format<codecs::F16>(WeightType::f16, "f16", 1, f16),
    make_format<codecs::Bf16>(WeightType::bf16, "bf16", 32, bf16),
    make_format<codecs::I8>(WeightType::i8, "int8", 64, i8),
};

}  // namespace

const WeightFormat* find_format(WeightType type) {
    for (const WeightFormat& format : formats)
        if (format.type == type) return &format;
    return nullptr;
}

const Operations* find_operations(const WeightFormat& format, const char* variant) {
    for (const Implementation& implementation : format.implementations)
        if (std::strcmp(implementation.variant, variant) == 0) return implementation.operations;
    return nullptr;
}

const char* weight_type_name(WeightType type) {
    const WeightFormat* const format = find_format(type);
    return format == nullptr ? "unknown" : format->name;
}

bool find_weight_type(const char* name, WeightType& type) {
    for (const WeightFormat& format : formats) {
        if (std::strcmp(format.name, name) != 0) continue;
        type = format.type;
        return true;
    }
    return false;
}

int32_t weight_types(WeightType* types, int32_t capacity) {
    int32_t count = 0;
    for (const WeightFormat& format : formats) {
        if (count < capacity) types[count] = format.type;
        ++count;
    }
    return count;
}

}  // namespace mara::kernel
