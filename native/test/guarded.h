// Floats that end exactly where a page without access begins, so that reading one too many ends the test.
#pragma once

#include <cstddef>

#if defined(_WIN32)
#include <vector>
#else
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#endif

namespace mara::test {

struct GuardedFloats {
    size_t count;
    float* data;

    GuardedFloats(const GuardedFloats&) = delete;
    GuardedFloats& operator=(const GuardedFloats&) = delete;

#if defined(_WIN32)
    explicit GuardedFloats(size_t n) : count(n), memory(n) { data = memory.data(); }

private:
    std::vector<float> memory;
#else
    explicit GuardedFloats(size_t n) : count(n) {
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t used = (n * sizeof(float) + page - 1) / page * page;
        bytes = used + page;
        void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED || mprotect(static_cast<std::byte*>(mapped) + used, page, PROT_NONE) != 0)
            std::abort();
        memory = static_cast<std::byte*>(mapped);
        data = reinterpret_cast<float*>(memory + used) - n;
    }
    ~GuardedFloats() { munmap(memory, bytes); }

private:
    std::byte* memory = nullptr;
    size_t bytes = 0;
#endif
};

}  // namespace mara::test
