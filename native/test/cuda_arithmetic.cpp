// The CUDA kernel's own source on the host (cuda_host.h), over types × shapes × K × devices, against float64:
// probabilities, the hidden layer block by block, and that nothing depends on how threads happen to be scheduled.
#include "cuda_host.h"
// After the names they use.
#include "check.h"
#include "cuda_session.h"
#include "kernel/cuda/mma.cuh"
#include "kernel/cuda/simt.cuh"
#include "kernel/probability.h"
#include "model.h"

namespace {

using namespace mara::test;
using namespace mara::kernel::cuda;
using mara::kernel::WeightType;

template <class Type>
void run_kernel(const Plan& plan, const Arguments& a) {
    if (plan.path == Path::simt) return plan.rows == 1 ? fused_simt<Type, 1>(a) : fused_simt<Type, 4>(a);
    if constexpr (!std::is_same_v<Type, F32>) {
        if (plan.rows == 2)
            fused_mma<Type, 2>(a);
        else if (plan.rows == 5)
            fused_mma<Type, 5>(a);
        else
            fused_mma<Type, 8>(a);
    }
}

void launch(const Plan& plan, WeightType type, const Arguments& a, uint32_t seed) {
    host::launch(plan.grid, plan.shared_bytes, seed, [&] {
        if (type == WeightType::f32)
            run_kernel<F32>(plan, a);
        else if (type == WeightType::f16)
            run_kernel<F16>(plan, a);
        else
            run_kernel<Bf16>(plan, a);
    });
}

struct Case {
    Limits limits;
    mara::test::Shape shape;
    std::vector<int32_t> counts;
    bool staged;
};

// First hidden layer of every state in float64, from the float32 weights.
std::vector<double> hidden_layer(const Model& model, const float* x) {
    const auto d = static_cast<size_t>(model.shape.width);
    double mean = 0, variance = 0;
    for (size_t i = 0; i < d; ++i) mean += x[i];
    mean /= static_cast<double>(d);
    for (size_t i = 0; i < d; ++i) variance += (x[i] - mean) * (x[i] - mean);
    const double deviation = std::sqrt(variance / static_cast<double>(d) + 1e-5);
    std::vector<double> hidden(static_cast<size_t>(model.shape.hidden1));
    for (size_t c = 0; c < hidden.size(); ++c) {
        double sum = model.b1[c];
        for (size_t i = 0; i < d; ++i)
            sum += model.w1[c * d + i] * ((x[i] - mean) / deviation * model.ln_weight[i] + model.ln_bias[i]);
        hidden[c] = sum > 0 ? sum : 0;
    }
    return hidden;
}

constexpr double hidden_tolerances[] = {2e-5, 6e-3, 5e-2};  // by WeightType; hidden values are of the order of 1

void run(const Case& test, uint32_t seed) {
    const Model model(test.shape, seed);
    const int32_t stride = test.shape.width + 3;  // rows that are not 16-byte aligned, unless staged
    constexpr int32_t row_count = 67;
    Floats states = random_states(static_cast<size_t>(stride) * row_count + 1, seed + 1);
    const float* const base = states.data() + 1;
    const int32_t with_nan = 5, with_infinity = 9;
    states[static_cast<size_t>(with_nan * stride + 1 + test.shape.width - 1)] = NAN;
    states[static_cast<size_t>(with_infinity * stride + 1)] = INFINITY;
    std::vector<double> expected(row_count);
    for (int32_t r = 0; r < row_count; ++r)
        expected[static_cast<size_t>(r)] =
            r == with_nan || r == with_infinity ? 0 : model.probability(base + r * stride);

    for (const WeightType type : {WeightType::f32, WeightType::f16, WeightType::bf16}) {
        const auto t = static_cast<size_t>(type);
        HostSession session(test.limits, model, type);
        double worst = 0;
        for (const int32_t count : test.counts) {
            std::mt19937 random(seed + static_cast<uint32_t>(count));
            std::vector<int32_t> rows(static_cast<size_t>(count));
            for (int32_t& row : rows) row = static_cast<int32_t>(random() % row_count);
            if (count > 2) rows.back() = with_nan;
            if (count > 3) rows[1] = with_infinity;
            session.poison();
            Arguments& a = session.arguments(base, stride, rows, test.staged);
            launch(session.plan, type, a, seed);
            const Floats first_run(session.logits.begin(), session.logits.begin() + count);
            for (int32_t i = 0; i < count; ++i) {
                const auto row = static_cast<size_t>(rows[static_cast<size_t>(i)]);
                const auto p = static_cast<double>(mara::kernel::probability_of(first_run[static_cast<size_t>(i)]));
                worst = std::max(worst, std::fabs(p - expected[row]));
                CHECK(std::fabs(p - expected[row]) <= tolerances[t],
                      "%s sm_%d%d D=%d H=%d/%d K=%d state %d: %.7f instead of %.7f, seed %u", type_names[t],
                      test.limits.major, test.limits.minor, test.shape.width, test.shape.hidden1, test.shape.hidden2,
                      count, i, p, expected[row], seed);
                CHECK(expected[row] != 0 || p == 0, "%s K=%d: a state with NaN or infinity got %g, seed %u",
                      type_names[t], count, p, seed);
            }
            for (int32_t i = count; i < max_rows; ++i)
                CHECK(std::isnan(session.logits[static_cast<size_t>(i)]), "wrote past its output");
            for (const unsigned counter : session.counters) CHECK(counter == 0, "a counter was left at %u", counter);

            for (int32_t i = 0; i < count; i += row_tile) {  // the first hidden layer of one state of each tile
                const int32_t row = rows[static_cast<size_t>(i)];
                if (row == with_nan || row == with_infinity) continue;
                const std::vector<double> wanted = hidden_layer(model, base + row * stride);
                for (int32_t c = 0; c < test.shape.hidden1; ++c) {
                    const double want = wanted[static_cast<size_t>(c)], got = session.hidden_value(i, c);
                    CHECK(std::fabs(got - want) <= hidden_tolerances[t] * (1 + want),
                          "%s K=%d state %d: hidden %d is %.6f instead of %.6f, seed %u", type_names[t], count, i, c,
                          got, want, seed);
                }
            }

            session.poison();
            launch(session.plan, type, session.arguments(base, stride, rows, test.staged), seed + 77);
            CHECK(std::equal(first_run.begin(), first_run.end(), session.logits.begin()),
                  "%s K=%d: another schedule, other results, seed %u", type_names[t], count, seed);
        }
        std::printf("  sm_%d%d %2d blocks %-4s D=%-5d H=%d/%d  worst %.1e\n", test.limits.major, test.limits.minor,
                    test.limits.multiprocessors, type_names[t], test.shape.width, test.shape.hidden1,
                    test.shape.hidden2, worst);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const auto seed = argc > 1 ? static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10)) : std::random_device{}();
    std::printf("seed %u (pass it as the argument to repeat)\n", seed);
    // Few multiprocessors, so that blocks also take several items, and little shared memory, so that slices come in
    // several chunks.
    const Limits turing{7, 5, 3, size_t{64} << 10}, ada{8, 9, 5, size_t{99} << 10}, hopper{9, 0, 9, size_t{227} << 10};
    const Case cases[] = {
        {hopper, {1, 1, 1}, {1, 2, 5}, false},
        {turing, {3, 5, 2}, {1, 4, 17, 64}, false},
        {hopper, {64, 64, 16}, {1, 2, 3, 4, 5, 8, 9, 16, 17, 40, 41, 64}, false},
        {ada, {65, 33, 9}, {1, 4, 5, 40}, true},
        {hopper, {576, 192, 48}, {1, 4, 7, 33, 64}, false},
        {turing, {1031, 129, 70}, {2, 12, 40, 64}, true},
        {ada, {2048, 128, 33}, {1, 5, 64}, false},
        {hopper, {8192, 64, 16}, {1, 40}, false},
    };
    uint32_t offset = 0;
    for (const Case& test : cases) run(test, seed + 1000 * offset++);
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
