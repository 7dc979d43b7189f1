// Every variant of this machine × every weight type × awkward shapes × K = 1…67, against float64. Rows are gathered
// (shuffled, repeated), misaligned and followed by a forbidden page; outputs and scratch are poisoned before each call.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>

#include "check.h"
#include "guarded.h"
#include "kernel/pool.h"
#include "model.h"

namespace {

using namespace mara::test;
namespace kernel = mara::kernel;

constexpr int32_t row_count = 67;

struct Case {
    Shape shape;
    std::vector<int32_t> counts;
};

// Rows one float off any alignment, 3 floats apart. The last one ends at a page that may not be read.
struct Rows {
    int32_t width;
    ptrdiff_t stride;
    GuardedFloats memory;

    Rows(int32_t w, uint32_t seed)
        : width(w), stride(w + 3), memory(static_cast<size_t>((row_count - 1) * stride + w + 1)) {
        const Floats states = random_states(memory.count, seed);
        std::copy(states.begin(), states.end(), memory.data);
    }
    const float* base() const { return memory.data + 1; }
    float* row(int32_t r) { return memory.data + 1 + r * stride; }
};

void poison(kernel::Pool* pool) {
    if (pool->scratch != nullptr) std::memset(pool->scratch, 0xff, pool->scratch_bytes);  // NaN as f32, f16 and bf16
}

void run(const Case& test, uint32_t seed) {
    const Model model(test.shape, seed);
    Rows rows(test.shape.width, seed + 1);
    const int32_t with_nan = static_cast<int32_t>(seed % row_count);
    const int32_t with_infinity = (with_nan + 11) % row_count;
    rows.row(with_nan)[test.shape.width - 1] = std::numeric_limits<float>::quiet_NaN();
    rows.row(with_infinity)[0] = std::numeric_limits<float>::infinity();
    std::vector<double> expected(row_count);
    for (int32_t r = 0; r < row_count; ++r)
        expected[static_cast<size_t>(r)] = r == with_nan || r == with_infinity ? 0 : model.probability(rows.row(r));

    const PoolPointer pool = make_pool(3);
    for (const char* variant : variant_names())
        for (const kernel::WeightType type : all_types) {
            const char* type_name = type_names[static_cast<int32_t>(type)];
            const double tolerance = tolerances[static_cast<int32_t>(type)];
            const NetworkPointer network = make_network(model, type, variant);
            const kernel::Network* networks[] = {network.get()};
            double worst = 0;
            std::vector<float> alone(row_count, -1.0f);  // each row's probability, which must be the same in every call
            for (const int32_t count : test.counts) {
                std::mt19937 random(seed + static_cast<uint32_t>(count));
                std::vector<int32_t> indices(static_cast<size_t>(count));
                for (int32_t& index : indices) index = static_cast<int32_t>(random() % row_count);
                if (count > 2) indices[static_cast<size_t>(count) - 1] = with_nan;
                if (count > 1) indices[static_cast<size_t>(count) - 2] = row_count - 1;
                Floats out(static_cast<size_t>(count) + 2, std::numeric_limits<float>::quiet_NaN());
                out.front() = out.back() = 7;
                poison(pool.get());
                const int32_t threads = 1 + count % 3;
                const kernel::Status status = kernel::score(networks, 1, rows.base(), rows.stride, indices.data(),
                                                            count, out.data() + 1, pool.get(), threads);
                CHECK(status == kernel::Status::ok, "status %d", static_cast<int>(status));
                CHECK(out.front() == 7 && out.back() == 7, "%s %s wrote beside its output, seed %u", variant, type_name,
                      seed);
                for (int32_t i = 0; i < count; ++i) {
                    const auto row = static_cast<size_t>(indices[static_cast<size_t>(i)]);
                    const float p = out[static_cast<size_t>(i) + 1];
                    const double error = std::fabs(p - expected[row]);
                    worst = std::max(worst, error);
                    CHECK(error <= tolerance, "%s %s D=%d H=%d/%d K=%d row %d: %.7f instead of %.7f, seed %u", variant,
                          type_name, test.shape.width, test.shape.hidden1, test.shape.hidden2, count, i,
                          static_cast<double>(p), expected[row], seed);
                    CHECK(expected[row] != 0 || p == 0, "%s %s: a row with NaN or infinity got %g, seed %u", variant,
                          type_name, static_cast<double>(p), seed);
                    if (alone[row] < 0) alone[row] = p;
                    CHECK(alone[row] == p, "%s %s K=%d threads=%d: row %zu changed from %.9g to %.9g, seed %u", variant,
                          type_name, count, threads, row, static_cast<double>(alone[row]), static_cast<double>(p),
                          seed);
                }
            }
            std::printf("  %-12s %-5s D=%-5d H=%d/%d  worst %.1e\n", variant, type_name, test.shape.width,
                        test.shape.hidden1, test.shape.hidden2, worst);
        }
}

}  // namespace

int main(int argc, char** argv) {
    const auto seed = argc > 1 ? static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10)) : std::random_device{}();
    std::printf("seed %u (pass it as the argument to repeat)\n", seed);
    std::vector<int32_t> every(row_count);
    std::iota(every.begin(), every.end(), 1);
    const std::vector<int32_t> some = {1, 2, 7, 16, 17, 40, 65};
    const Case cases[] = {
        {{1, 1, 1}, {1, 2, 67}}, {{3, 5, 2}, every},           {{17, 64, 16}, every},  {{64, 64, 16}, every},
        {{65, 33, 9}, every},    {{100, 129, 31}, every},      {{1031, 67, 70}, some}, {{576, 1024, 256}, some},
        {{2048, 256, 64}, some}, {{4099, 65, 17}, {1, 6, 33}},
    };
    uint32_t offset = 0;
    for (const Case& test : cases) run(test, seed + 1000 * offset++);
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
