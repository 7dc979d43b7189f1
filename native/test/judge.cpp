// Several agents that look at the same states: against float64, and each one's bits against its own alone.
#include "kernel/judge.h"

#include <cstring>

#include "check.h"
#include "kernel/device.h"
#include "kernel/probability.h"
#include "model.h"

namespace {

using namespace mara::test;
namespace kernel = mara::kernel;
using kernel::WeightType;

constexpr int32_t width = 130, row_count = 70;

double logistic(double logit) { return 1 / (1 + std::exp(-logit)); }

struct Panel {
    std::vector<Model> models;
    std::vector<NetworkPointer> owners;
    std::vector<const kernel::Network*> networks;
    std::vector<WeightType> types;

    void add(int32_t hidden, WeightType type, const char* variant) {
        models.emplace_back(mara::test::Shape{width, hidden, 12}, static_cast<uint32_t>(hidden));
        owners.push_back(make_network(models.back(), type, variant));
        networks.push_back(owners.back().get());
        types.push_back(type);
    }
    kernel::Status judge(const Floats& states, const int32_t* rows, int32_t count, Floats& logits, kernel::Pool* pool,
                         int32_t threads) const {
        return kernel::judge(networks.data(), static_cast<int32_t>(networks.size()), states.data(), width, rows, count,
                             logits.data(), pool, threads);
    }
};

void check_panel(const Panel& panel, const char* variant, const Floats& states, int32_t nan_row) {
    const PoolPointer pool = make_pool(3);
    const size_t size = panel.networks.size();
    for (const int32_t count : {1, 2, 17, row_count}) {
        const auto states_count = static_cast<size_t>(count);
        std::vector<int32_t> rows(states_count);
        for (int32_t i = 0; i < count; ++i) rows[static_cast<size_t>(i)] = (i * 11 + 3) % row_count;
        Floats logits(size * states_count, 7), alone(states_count, 7);
        const auto status = panel.judge(states, rows.data(), count, logits, pool.get(), 1 + count % 3);
        CHECK(status == kernel::Status::ok, "status %d", static_cast<int>(status));
        for (size_t a = 0; a < size; ++a) {
            float* const out[] = {alone.data()};
            kernel::score_logits(&panel.networks[a], 1, states.data(), width, rows.data(), count, out, pool.get(), 1);
            for (size_t i = 0; i < states_count; ++i) {
                const float logit = logits[a * states_count + i];
                CHECK(logit == alone[i], "%s, agent %zu of %zu, state %zu: %g, alone %g", variant, a, size, i,
                      static_cast<double>(logit), static_cast<double>(alone[i]));
                const double wanted =
                    rows[i] == nan_row ? 0 : panel.models[a].probability(states.data() + rows[i] * width);
                const double tolerance = wanted == 0 ? 0 : 1e-6 + tolerances[static_cast<size_t>(panel.types[a])];
                CHECK(std::fabs(static_cast<double>(kernel::probability_of(logit)) - wanted) <= tolerance,
                      "%s, agent %zu of %zu, state %zu: logit %g instead of probability %.7f", variant, a, size, i,
                      static_cast<double>(logit), wanted);
            }
        }
    }
}

void panels() {
    Floats states = random_states(static_cast<size_t>(row_count) * width, 5);
    constexpr int32_t nan_row = 36;
    states[nan_row * width + 7] = NAN;
    for (const char* variant : variant_names()) {
        Panel panel;
        panel.add(40, WeightType::f32, variant);
        check_panel(panel, variant, states, nan_row);
        panel.add(41, WeightType::f32, variant);
        check_panel(panel, variant, states, nan_row);
        panel.add(50, WeightType::i8, variant);
        panel.add(64, WeightType::bf16, variant);
        check_panel(panel, variant, states, nan_row);
    }
}

class FakeDevice : public kernel::Device {
public:
    bool works = true;
    int32_t calls = 0;
    bool logits(const float*, ptrdiff_t, const int32_t*, int32_t count, float* out) override {
        ++calls;
        std::fill_n(out, count, works ? 2.5f : NAN);
        return works;
    }
    const char* name() const override { return "fake"; }
    WeightType type() const override { return WeightType::f32; }
    const char* failure() const override { return works ? nullptr : "told to"; }
};

void devices() {
    const Floats states = random_states(3 * width, 10);
    const PoolPointer pool = make_pool(1);
    Panel panel;
    panel.add(40, WeightType::f32, nullptr);
    panel.add(41, WeightType::f32, nullptr);
    auto owned = std::make_unique<FakeDevice>();
    FakeDevice& device = *owned;
    kernel::network_set_device(panel.owners[1].get(), std::move(owned));
    Floats logits(6);
    for (const bool works : {true, false}) {
        device.works = works;
        panel.judge(states, nullptr, 3, logits, pool.get(), 1);
        for (size_t i = 0; i < 6; ++i) {
            const bool is_fake = works && i >= 3;
            const double wanted =
                is_fake ? logistic(2.5) : panel.models[i / 3].probability(states.data() + i % 3 * width);
            const auto got = static_cast<double>(kernel::probability_of(logits[i]));
            CHECK(std::fabs(got - wanted) < 1e-5, "agent %zu, state %zu: %g instead of %g", i / 3, i % 3, got, wanted);
        }
    }
    CHECK(device.calls == 2, "%d calls of the device", device.calls);
}

void refusals() {
    const Floats states = random_states(2 * width, 11);
    const PoolPointer pool = make_pool(1);
    Panel panel;
    panel.add(40, WeightType::f32, nullptr);
    const kernel::Network* const network = panel.networks[0];
    const NetworkPointer wider = make_network(Model({width + 1, 8, 4}, 1), WeightType::f32, nullptr);
    const std::vector<std::vector<const kernel::Network*>> unsound = {
        {network, wider.get()}, std::vector<const kernel::Network*>(kernel::max_judging + 1, network)};
    for (const auto& networks : unsound) {
        panel.networks = networks;
        Floats logits(2 * networks.size(), 7);
        CHECK(panel.judge(states, nullptr, 2, logits, pool.get(), 1) == kernel::Status::bad_shape, "%zu agents",
              networks.size());
        CHECK(logits == Floats(logits.size(), -std::numeric_limits<float>::infinity()),
              "a failed call rejects everything");
    }
    panel.networks.assign(kernel::max_judging, network);
    Floats logits(2 * kernel::max_judging);
    CHECK(panel.judge(states, nullptr, 2, logits, pool.get(), 1) == kernel::Status::ok, "16 agents");
}

}  // namespace

int main() {
    panels();
    devices();
    refusals();
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
