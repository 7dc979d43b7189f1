// Random networks and states, and the float64 evaluation that every variant is compared with.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "kernel/kernel.h"
#include "kernel/pool_pointer.h"

namespace mara::test {

using Floats = std::vector<float>;

struct Shape {
    int32_t width, hidden1, hidden2;
};

struct Model {
    Shape shape;
    Floats ln_weight, ln_bias, w1, b1, w2, b2, w3, b3;

    // Weights of unit gain per layer and of half that at the end: whatever the shape, the two logits lie about ½ apart.
    Model(Shape s, uint32_t seed) : shape(s) {
        std::mt19937 random(seed);
        const auto normal = [&](size_t count, float deviation, float mean = 0) {
            std::normal_distribution<float> distribution(mean, deviation);
            Floats values(count);
            for (float& value : values) value = distribution(random);
            return values;
        };
        const auto d = static_cast<size_t>(s.width), h1 = static_cast<size_t>(s.hidden1),
                   h2 = static_cast<size_t>(s.hidden2);
        const auto gain = [](float fan, size_t in) { return std::sqrt(fan / static_cast<float>(in)); };
        ln_weight = normal(d, 0.2f, 1);
        ln_bias = normal(d, 0.2f);
        w1 = normal(h1 * d, gain(1, d));
        b1 = normal(h1, 0.1f);
        w2 = normal(h2 * h1, gain(2, h1));
        b2 = normal(h2, 0.1f);
        w3 = normal(2 * h2, gain(0.25f, h2));
        b3 = normal(2, 0.1f);
    }

    kernel::NetworkWeights weights() const {
        return {shape.width,    shape.hidden1,
                shape.hidden2,  ln_weight.data(),
                ln_bias.data(), kernel::row_major(w1.data(), shape.width),
                b1.data(),      kernel::row_major(w2.data(), shape.hidden1),
                b2.data(),      w3.data(),
                b3.data()};
    }

    double probability(const float* x) const {
        using Doubles = std::vector<double>;
        double mean = 0, variance = 0;
        for (int32_t i = 0; i < shape.width; ++i) mean += x[i];
        mean /= shape.width;
        for (int32_t i = 0; i < shape.width; ++i) variance += (x[i] - mean) * (x[i] - mean);
        variance /= shape.width;
        Doubles h(static_cast<size_t>(shape.width));
        for (size_t i = 0; i < h.size(); ++i)
            h[i] = (x[i] - mean) / std::sqrt(variance + 1e-5) * ln_weight[i] + ln_bias[i];
        const auto linear = [](const Floats& w, const Floats& b, const Doubles& in, bool relu) {
            Doubles out(b.size());
            for (size_t o = 0; o < out.size(); ++o) {
                double sum = b[o];
                for (size_t i = 0; i < in.size(); ++i) sum += w[o * in.size() + i] * in[i];
                out[o] = relu && sum < 0 ? 0 : sum;
            }
            return out;
        };
        const Doubles z = linear(w3, b3, linear(w2, b2, linear(w1, b1, h, true), true), false);
        return 1 / (1 + std::exp(z[0] - z[1]));
    }
};

// Hidden states as LLMs have them: a mean that is not 0, and a few inputs far larger than the others.
inline Floats random_states(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.3f, 2.0f);
    Floats states(count);
    for (float& value : states) value = random() % 500 == 0 ? normal(random) * 20 : normal(random);
    return states;
}

struct NetworkDeleter {
    void operator()(kernel::Network* network) const { kernel::network_free(network); }
};
using NetworkPointer = std::unique_ptr<kernel::Network, NetworkDeleter>;

using kernel::PoolPointer;

inline NetworkPointer make_network(const Model& model, kernel::WeightType type, const char* variant) {
    kernel::Network* network = nullptr;
    return kernel::network_create(model.weights(), type, variant, &network) == kernel::Status::ok
               ? NetworkPointer(network)
               : nullptr;
}

inline PoolPointer make_pool(int32_t threads) {
    kernel::Pool* pool = nullptr;
    return kernel::pool_create(threads, &pool) == kernel::Status::ok ? PoolPointer(pool) : nullptr;
}

inline std::vector<const char*> variant_names() {
    std::vector<const char*> names(32);
    names.resize(static_cast<size_t>(kernel::variants(names.data(), 32)));
    return names;
}

constexpr kernel::WeightType all_types[] = {kernel::WeightType::f32, kernel::WeightType::f16, kernel::WeightType::bf16,
                                            kernel::WeightType::i8};
constexpr const char* type_names[] = {"f32", "f16", "bf16", "int8"};
constexpr double tolerances[] = {1e-5, 4e-3, 4e-3, 2e-2};

}  // namespace mara::test
