// Cuts one block of memory into 64-byte aligned pieces. With a null base it only measures.
#pragma once

#include <cstddef>

namespace mara::kernel {

constexpr size_t round_to_line(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

struct Arena {
    std::byte* base;
    size_t used = 0;

    template <class T>
    T* take(size_t count) {
        std::byte* piece = base == nullptr ? nullptr : base + used;
        used += round_to_line(count * sizeof(T));
        return reinterpret_cast<T*>(piece);
    }
};

}  // namespace mara::kernel
