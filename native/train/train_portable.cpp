// The learner's operations in plain C++, four numbers at a time, which compilers turn into whatever vectors their
// baseline has.
#include "train/vector_operations.h"

namespace mara::train {
namespace {

struct Isa {
    static constexpr int32_t width = 4;
    static constexpr int32_t tile_rows = 4;
    static constexpr int32_t tile_vectors = 2;
    static constexpr int32_t depth_block = 256;

    struct V {
        float at[width];
    };
    template <class F>
    static V each(F&& value) {
        V out;
        for (int32_t i = 0; i < width; ++i) out.at[i] = value(i);
        return out;
    }
    static V zero() { return V{}; }
    static V set1(float x) {
        return each([&](int32_t) { return x; });
    }
    static V load(const float* from) {
        return each([&](int32_t i) { return from[i]; });
    }
    static V load_first(const float* from, int32_t n) { return load_first_or(from, n, zero()); }
    static V load_first_or(const float* from, int32_t n, V rest) {
        return each([&](int32_t i) { return i < n ? from[i] : rest.at[i]; });
    }
    static void store(float* to, V a) {
        for (int32_t i = 0; i < width; ++i) to[i] = a.at[i];
    }
    static V add(V a, V b) {
        return each([&](int32_t i) { return a.at[i] + b.at[i]; });
    }
    static V sub(V a, V b) {
        return each([&](int32_t i) { return a.at[i] - b.at[i]; });
    }
    static V fma(V a, V b, V c) {
        return each([&](int32_t i) { return a.at[i] * b.at[i] + c.at[i]; });
    }
    static float sum(V a) { return (a.at[0] + a.at[1]) + (a.at[2] + a.at[3]); }
};

bool available() { return true; }

}  // namespace

extern const VectorOperations portable_operations = Vector<Isa>::operations("portable", available);

}  // namespace mara::train
