// Assertions for the native tests. A failure prints where and what, and the run goes on; `failures` is the exit status.
#pragma once

#include <cstdio>

namespace mara::test {

inline int failures = 0;

}  // namespace mara::test

// CHECK(condition, "format", values…): the message should name the seed and the shape.
#define CHECK(condition, ...)                                                      \
    do {                                                                           \
        if (!(condition)) {                                                        \
            ++mara::test::failures;                                                \
            if (mara::test::failures <= 20) {                                      \
                std::printf("%s:%d: %s failed: ", __FILE__, __LINE__, #condition); \
                std::printf(__VA_ARGS__);                                          \
                std::printf("\n");                                                 \
            }                                                                      \
        }                                                                          \
    } while (false)
