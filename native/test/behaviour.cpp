// Behaviour that does not depend on the instruction set: conversions, several networks at once, arguments, choice of
// the variant, and pools used from many threads.
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <thread>

#include "check.h"
#include "kernel/numbers.h"
#include "kernel/pool.h"
#include "model.h"

namespace {

using namespace mara::test;
namespace kernel = mara::kernel;

void conversions() {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto half = static_cast<uint16_t>(bits);
        const float value = kernel::f16_to_float(half);
        if (std::isfinite(value)) CHECK(kernel::float_to_f16(value) == half, "f16 %04x", bits);
        const float brain = kernel::bf16_to_float(half);
        if (!std::isnan(brain)) CHECK(kernel::float_to_bf16(brain) == half, "bf16 %04x", bits);
        // Halfway to the next number: rounds to the even one.
        const auto next = static_cast<uint16_t>(bits + 1);
        const auto even = static_cast<uint16_t>(bits & 1 ? bits + 1 : bits);
        const float above = kernel::f16_to_float(next);
        if (std::isfinite(value) && std::isfinite(above) && (bits & 0x7fff) != 0x7fff)
            CHECK(kernel::float_to_f16((value + above) / 2) == even, "f16 halfway above %04x", bits);
    }
    CHECK(kernel::float_to_f16(1e9f) == 0x7bff && kernel::float_to_f16(-1e9f) == 0xfbff, "f16 saturates");
    CHECK(std::isnan(kernel::bf16_to_float(kernel::float_to_bf16(NAN))), "bf16 NaN");
}

void several_networks() {
    const int32_t width = 130, count = 70;
    const Floats states = random_states(static_cast<size_t>(width * count), 5);
    const PoolPointer pool = make_pool(4);
    for (const char* variant : variant_names()) {
        std::vector<NetworkPointer> networks;
        std::vector<const kernel::Network*> pointers;
        uint32_t seed = 1;
        for (const kernel::WeightType type :
             {kernel::WeightType::i8, kernel::WeightType::f32, kernel::WeightType::bf16, kernel::WeightType::i8}) {
            networks.push_back(make_network(Model({width, 40 + static_cast<int32_t>(seed), 12}, seed), type, variant));
            pointers.push_back(networks.back().get());
            ++seed;
        }
        Floats together(pointers.size() * count), alone(count);
        kernel::score(pointers.data(), static_cast<int32_t>(pointers.size()), states.data(), width, nullptr, count,
                      together.data(), pool.get(), 4);
        for (size_t a = 0; a < pointers.size(); ++a) {
            kernel::score(&pointers[a], 1, states.data(), width, nullptr, count, alone.data(), pool.get(), 1);
            CHECK(std::memcmp(alone.data(), together.data() + a * count, count * sizeof(float)) == 0, "%s, network %zu",
                  variant, a);
        }
    }
}

void arguments() {
    const Model model({20, 16, 4}, 1);
    kernel::Network* network = nullptr;
    CHECK(kernel::network_create(model.weights(), kernel::WeightType::f32, "none", &network) ==
                  kernel::Status::unsupported_variant &&
              network == nullptr,
          "name");
    kernel::NetworkWeights empty = model.weights();
    empty.hidden2 = 0;
    CHECK(kernel::network_create(empty, kernel::WeightType::f32, nullptr, &network) == kernel::Status::bad_shape,
          "shape");
    Model damaged = model;
    for (const kernel::WeightType type : {kernel::WeightType::f32, kernel::WeightType::i8}) {
        for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
            for (float* const weight :
                 {&damaged.ln_weight[0], &damaged.ln_bias[0], &damaged.w1.back(), &damaged.b1.back(), &damaged.w2[0],
                  &damaged.b2.back(), &damaged.w3.back(), &damaged.b3[0]}) {
                const float before = *weight;
                *weight = bad;
                CHECK(
                    kernel::network_create(damaged.weights(), type, nullptr, &network) == kernel::Status::not_finite &&
                        network == nullptr,
                    "%g", static_cast<double>(bad));
                *weight = before;
            }
        }
    }
    damaged.w2[0] = std::numeric_limits<float>::max();
    CHECK(make_network(damaged, kernel::WeightType::f32, nullptr) != nullptr, "the largest number");

    const NetworkPointer a = make_network(model, kernel::WeightType::f32, nullptr);
    const NetworkPointer b = make_network(Model({21, 16, 4}, 1), kernel::WeightType::f32, nullptr);
    const kernel::Network* both[] = {a.get(), b.get()};
    const Floats states = random_states(42, 1);
    Floats out(4, 9.0f);
    const PoolPointer pool = make_pool(1);
    CHECK(kernel::score(both, 2, states.data(), 21, nullptr, 2, out.data(), pool.get(), 1) == kernel::Status::bad_shape,
          "widths");
    CHECK(std::all_of(out.begin(), out.end(), [](float p) { return p == 0; }), "a failed call rejects everything");
    CHECK(kernel::score(both, 1, states.data(), 21, nullptr, 0, nullptr, pool.get(), 1) == kernel::Status::ok,
          "no rows");
    CHECK(kernel::network_width(a.get()) == 20, "width %d", kernel::network_width(a.get()));
    CHECK(kernel::network_bytes(a.get()) >= (20 * 16 + 16 * 16 + 4) * 4, "bytes %zu", kernel::network_bytes(a.get()));
}

void choice() {
    const Model model({20, 16, 4}, 1);
    const std::vector<const char*> names = variant_names();
    CHECK(std::strcmp(names.back(), "reference") == 0, "the reference comes last, not %s", names.back());
    const auto chosen = [&] {
        const NetworkPointer network = make_network(model, kernel::WeightType::f32, nullptr);
        return network == nullptr ? "" : kernel::network_variant(network.get());
    };
    CHECK(std::strcmp(chosen(), names.front()) == 0, "chose %s", chosen());
#if !defined(_WIN32)
    setenv("MARA_KERNEL", "reference", 1);
    CHECK(std::strcmp(chosen(), "reference") == 0, "chose %s", chosen());
    setenv("MARA_KERNEL", "none", 1);
    CHECK(*chosen() == '\0', "chose %s", chosen());
    unsetenv("MARA_KERNEL");
#endif
}

// Enough work for `useful_threads` to use them all; several callers, each with a pool of its own, share one network.
void threads() {
    const int32_t width = 512, count = 64;
    const Model model({width, 1024, 64}, 3);
    const Floats states = random_states(static_cast<size_t>(width * count), 4);
    const NetworkPointer network = make_network(model, kernel::WeightType::f32, nullptr);
    const kernel::Network* networks[] = {network.get()};
    Floats expected(count);
    kernel::score(networks, 1, states.data(), width, nullptr, count, expected.data(), make_pool(1).get(), 1);
    std::atomic<int32_t> differences{0};
    std::vector<std::thread> callers;
    for (int32_t c = 0; c < 3; ++c)
        callers.emplace_back([&, c] {
            const PoolPointer pool = make_pool(2 + c);
            Floats out(count);
            for (int32_t i = 0; i < 30; ++i) {
                kernel::score(networks, 1, states.data(), width, nullptr, count, out.data(), pool.get(),
                              1 + (i + c) % 6);
                if (out != expected) ++differences;
            }
        });
    for (std::thread& caller : callers) caller.join();
    CHECK(differences == 0, "%d calls differed", differences.load());
}

// CPU time of this process while a pool with workers has nothing to do.
void idle_pool_sleeps() {
    const Model model({512, 1024, 64}, 3);
    const Floats states = random_states(512 * 64, 4);
    const NetworkPointer network = make_network(model, kernel::WeightType::f32, nullptr);
    const kernel::Network* networks[] = {network.get()};
    const PoolPointer pool = make_pool(4);
    Floats out(64);
    kernel::score(networks, 1, states.data(), 512, nullptr, 64, out.data(), pool.get(), 4);
    CHECK(!pool->workers.empty(), "the call was meant to start workers");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::clock_t before = std::clock();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    [[maybe_unused]] const double busy = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
#if !defined(_WIN32)  // there std::clock is wall time
    CHECK(busy < 0.02, "%.3f s of CPU time in 0.2 s of idleness", busy);
#endif
}

void scratch_is_kept() {
    const Model model({96, 48, 12}, 3);
    const Floats states = random_states(96 * 70, 4);
    const NetworkPointer network = make_network(model, kernel::WeightType::i8, nullptr);
    const kernel::Network* networks[] = {network.get()};
    const PoolPointer pool = make_pool(1);
    Floats out(70);
    kernel::score(networks, 1, states.data(), 96, nullptr, 70, out.data(), pool.get(), 1);
    const std::byte* scratch = pool->scratch;
    for (int32_t count = 1; count <= 70; ++count)
        kernel::score(networks, 1, states.data(), 96, nullptr, count, out.data(), pool.get(), 1);
    CHECK(pool->scratch == scratch, "a smaller call allocated again");
}

}  // namespace

int main() {
    conversions();
    several_networks();
    arguments();
    choice();
    threads();
    idle_pool_sleeps();
    scratch_is_kept();
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
