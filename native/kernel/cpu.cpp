#include "kernel/cpu.h"

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace mara::kernel {
namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct Registers {
    uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
#if defined(_MSC_VER)
    int32_t r[4];
    __cpuidex(r, static_cast<int32_t>(leaf), static_cast<int32_t>(subleaf));
    return {static_cast<uint32_t>(r[0]), static_cast<uint32_t>(r[1]), static_cast<uint32_t>(r[2]),
            static_cast<uint32_t>(r[3])};
#else
    Registers r{};
    __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
    return r;
#endif
}

// Which register states the operating system saves (XCR0).
uint64_t saved_states() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

// Linux hands out the 8 KiB of tile registers only to processes that ask.
bool tiles_permitted() {
#if defined(__linux__)
    constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

Cpu detect() {
    const auto bit = [](uint32_t value, int32_t index) { return ((value >> index) & 1u) != 0; };
    Cpu found;
    const Registers basic = cpuid(1, 0);
    if (cpuid(0, 0).a < 7 || !bit(basic.c, 27)) return found;
    const uint64_t saved = saved_states();
    const auto saves = [&](uint64_t mask) { return (saved & mask) == mask; };
    const Registers extended = cpuid(7, 0);
    found.avx2 = saves(0x6) && bit(basic.c, 12) && bit(basic.c, 28) && bit(basic.c, 29) && bit(extended.b, 5);
    found.avx512 = found.avx2 && saves(0xe6) && bit(extended.b, 16) && bit(extended.b, 17) && bit(extended.b, 30) &&
                   bit(extended.b, 31);
    found.avx512_vnni = found.avx512 && bit(extended.c, 11);
    found.avx512_bf16 = found.avx512 && extended.a >= 1 && bit(cpuid(7, 1).a, 5);
    found.amx = found.avx512_vnni && found.avx512_bf16 && saves(0x60000) && bit(extended.d, 22) &&
                bit(extended.d, 24) && bit(extended.d, 25) && tiles_permitted();
    return found;
}

#elif defined(__aarch64__)

Cpu detect() {
    Cpu found;
#if defined(__linux__)
    found.dot_product = (getauxval(AT_HWCAP) & (1ul << 20)) != 0;  // HWCAP_ASIMDDP
    found.arm_bf16 = (getauxval(AT_HWCAP2) & (1ul << 14)) != 0;    // HWCAP2_BF16
#elif defined(__APPLE__)
    const auto has = [](const char* name) {
        int32_t value = 0;
        size_t size = sizeof value;
        return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
    };
    found.dot_product = has("hw.optional.arm.FEAT_DotProd");
    found.arm_bf16 = has("hw.optional.arm.FEAT_BF16");
#endif
    return found;
}

#else

Cpu detect() { return {}; }

#endif

}  // namespace

const Cpu& cpu() {
    static const Cpu found = detect();
    return found;
}

}  // namespace mara::kernel
