// Several agents as one judge: against float64, and each member's bits against those of the member alone.
#include "kernel/judge.h"

#include <cstring>

#include "check.h"
#include "kernel/device.h"
#include "model.h"

namespace {

using namespace mara::test;
namespace kernel = mara::kernel;
using kernel::Combination;
using kernel::WeightType;

constexpr int32_t width = 130, row_count = 70;
constexpr Combination combinations[] = {Combination::minimum, Combination::product, Combination::mean_logit};
constexpr const char* combination_names[] = {"minimum", "product", "mean logit"};

double logistic(double logit) { return 1 / (1 + std::exp(-logit)); }

// The combination of members' probabilities, spelt out in float64.
double reference(Combination combination, const std::vector<kernel::Member>& members,
                 const std::vector<double>& probabilities) {
    double product = 1, minimum = 1, sum = 0, weights = 0;
    for (size_t m = 0; m < members.size(); ++m) {
        if (members[m].weight == 0) continue;
        const double odds = probabilities[m] / (1 - probabilities[m]);
        const double bar = static_cast<double>(members[m].threshold) / (1 - static_cast<double>(members[m].threshold));
        const double relative = odds / bar / (1 + odds / bar);
        product *= relative;
        minimum = std::fmin(minimum, relative);
        sum += static_cast<double>(members[m].weight) * std::log(odds / bar);
        weights += static_cast<double>(members[m].weight);
    }
    if (combination == Combination::mean_logit) return logistic(sum / weights);
    return combination == Combination::product ? product : minimum;
}

struct Panel {
    std::vector<Model> models;
    std::vector<NetworkPointer> networks;
    std::vector<kernel::Member> members;
    std::vector<WeightType> types;

    void add(int32_t hidden, WeightType type, const char* variant, float weight, float threshold) {
        models.emplace_back(mara::test::Shape{width, hidden, 12}, static_cast<uint32_t>(hidden));
        networks.push_back(make_network(models.back(), type, variant));
        members.push_back({networks.back().get(), weight, threshold});
        types.push_back(type);
    }
    kernel::Judge judge(Combination combination) const {
        return {members.data(), static_cast<int32_t>(members.size()), combination};
    }
};

void check_panel(const Panel& panel, const char* variant, const Floats& states, int32_t nan_row) {
    const PoolPointer pool = make_pool(3);
    const size_t size = panel.members.size();
    for (const Combination combination : combinations)
        for (const int32_t count : {1, 2, 17, row_count}) {
            std::vector<int32_t> rows(static_cast<size_t>(count));
            for (int32_t i = 0; i < count; ++i) rows[static_cast<size_t>(i)] = (i * 11 + 3) % row_count;
            Floats logits(size * static_cast<size_t>(count), 7), together(static_cast<size_t>(count), 7),
                alone(together);
            const auto status = kernel::judge(panel.judge(combination), states.data(), width, rows.data(), count,
                                              logits.data(), together.data(), pool.get(), 1 + count % 3);
            CHECK(status == kernel::Status::ok, "status %d", static_cast<int>(status));
            for (size_t m = 0; m < size; ++m) {
                const kernel::Network* const networks[] = {panel.networks[m].get()};
                float* const out[] = {alone.data()};
                kernel::score_logits(networks, 1, states.data(), width, rows.data(), count, out, pool.get(), 1);
                for (size_t i = 0; i < alone.size(); ++i) {
                    const float logit = logits[m * alone.size() + i];
                    CHECK(panel.members[m].weight == 0 ? std::isnan(logit) : logit == alone[i],
                          "%s, member %zu of %zu, state %zu: %g, alone %g", variant, m, size, i,
                          static_cast<double>(logit), static_cast<double>(alone[i]));
                }
            }
            for (size_t i = 0; i < together.size(); ++i) {
                std::vector<double> probabilities;
                double tolerance = 1e-6;
                for (size_t m = 0; m < size; ++m) {
                    probabilities.push_back(panel.models[m].probability(states.data() + rows[i] * width));
                    tolerance += 4 * tolerances[static_cast<size_t>(panel.types[m])];
                }
                const double got = together[i];
                const double wanted = rows[i] == nan_row ? 0 : reference(combination, panel.members, probabilities);
                CHECK(std::fabs(got - wanted) <= (wanted == 0 ? 0 : tolerance),
                      "%s, %s of %zu, state %zu: %.7f instead of %.7f", variant,
                      combination_names[static_cast<size_t>(combination)], size, i, got, wanted);
            }
        }
}

void panels() {
    Floats states = random_states(static_cast<size_t>(row_count) * width, 5);
    constexpr int32_t nan_row = 36;
    states[nan_row * width + 7] = NAN;
    for (const char* variant : variant_names()) {
        Panel panel;
        panel.add(40, WeightType::f32, variant, 1, 0.5f);
        check_panel(panel, variant, states, nan_row);
        panel.add(41, WeightType::f32, variant, 3, 0.3f);
        check_panel(panel, variant, states, nan_row);
        panel.add(42, WeightType::f32, variant, 0, 0.9f);
        panel.add(50, WeightType::i8, variant, 0.25f, 0.7f);
        panel.add(64, WeightType::bf16, variant, 2, 0.55f);
        check_panel(panel, variant, states, nan_row);
    }
}

// Between the two middle probabilities of the states.
float median(const float* logits) {
    Floats sorted(logits, logits + row_count);
    std::sort(sorted.begin(), sorted.end());
    return (kernel::probability_of(sorted[row_count / 2 - 1]) + kernel::probability_of(sorted[row_count / 2])) / 2;
}

// A state is accepted where each agent accepts it by its own threshold.
void minimum_is_all() {
    const Floats states = random_states(static_cast<size_t>(row_count) * width, 8);
    Panel panel;
    panel.add(40, WeightType::f32, nullptr, 1, 0.5f);
    panel.add(41, WeightType::f32, nullptr, 1, 0.5f);
    const PoolPointer pool = make_pool(1);
    Floats logits(2 * row_count), together(row_count);
    kernel::judge(panel.judge(Combination::minimum), states.data(), width, nullptr, row_count, logits.data(),
                  together.data(), pool.get(), 1);
    for (size_t m = 0; m < 2; ++m) panel.members[m].threshold = median(logits.data() + m * row_count);
    kernel::judge(panel.judge(Combination::minimum), states.data(), width, nullptr, row_count, logits.data(),
                  together.data(), pool.get(), 1);
    int32_t accepted = 0;
    for (size_t i = 0; i < together.size(); ++i) {
        const bool by_all = kernel::probability_of(logits[i]) > panel.members[0].threshold &&
                            kernel::probability_of(logits[row_count + i]) > panel.members[1].threshold;
        CHECK((together[i] > 0.5f) == by_all, "state %zu: %g", i, static_cast<double>(together[i]));
        accepted += by_all ? 1 : 0;
    }
    CHECK(accepted > 0 && accepted < row_count, "%d of the states are accepted", accepted);
}

void one_is_itself() {
    const Floats states = random_states(static_cast<size_t>(row_count) * width, 9);
    const PoolPointer pool = make_pool(1);
    for (const WeightType type : all_types) {
        Panel panel;
        panel.add(48, type, nullptr, 0.3f, 0.5f);
        const kernel::Network* const networks[] = {panel.networks[0].get()};
        Floats logits(row_count), together(row_count), alone(row_count);
        kernel::score(networks, 1, states.data(), width, nullptr, row_count, alone.data(), pool.get(), 1);
        for (const Combination combination : combinations) {
            kernel::judge(panel.judge(combination), states.data(), width, nullptr, row_count, logits.data(),
                          together.data(), pool.get(), 1);
            CHECK(together == alone, "%s of one %s agent", combination_names[static_cast<size_t>(combination)],
                  kernel::weight_type_name(type));
        }
    }
}

void certain_opinions() {
    const float infinity = std::numeric_limits<float>::infinity();
    const kernel::Opinion opinions[] = {{30, 1, 0.5f}, {-20, 1, 0.5f}};
    CHECK(std::fabs(static_cast<double>(kernel::combine(Combination::mean_logit, opinions, 2)) - logistic(5)) < 1e-6,
          "logits beyond float32's probabilities keep their size");
    const kernel::Opinion torn[] = {{infinity, 1, 0.5f}, {-infinity, 1, 0.5f}};
    for (const Combination combination : combinations)
        CHECK(kernel::combine(combination, torn, 2) == 0, "certain of both: %s",
              combination_names[static_cast<size_t>(combination)]);
    const kernel::Opinion never[] = {{40, 1, 1}}, always[] = {{-40, 1, 0}}, broken[] = {{-infinity, 1, 0}};
    CHECK(kernel::combine(Combination::minimum, never, 1) == 0, "a threshold of 1 accepts nothing");
    CHECK(kernel::combine(Combination::minimum, always, 1) == 1, "a threshold of 0 accepts");
    CHECK(kernel::combine(Combination::minimum, broken, 1) == 0, "but no state without a probability");
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
    panel.add(40, WeightType::f32, nullptr, 1, 0.5f);
    panel.add(41, WeightType::f32, nullptr, 1, 0.5f);
    auto owned = std::make_unique<FakeDevice>();
    FakeDevice& device = *owned;
    kernel::network_set_device(panel.networks[1].get(), std::move(owned));
    Floats logits(6), together(3);
    for (const bool works : {true, false}) {
        device.works = works;
        kernel::judge(panel.judge(Combination::mean_logit), states.data(), width, nullptr, 3, logits.data(),
                      together.data(), pool.get(), 1);
        for (size_t i = 0; i < 3; ++i) {
            const double first = panel.models[0].probability(states.data() + i * width);
            const double second = works ? logistic(2.5) : panel.models[1].probability(states.data() + i * width);
            const double wanted = reference(Combination::mean_logit, panel.members, {first, second});
            CHECK(std::fabs(static_cast<double>(together[i]) - wanted) < 1e-5, "state %zu: %g instead of %g", i,
                  static_cast<double>(together[i]), wanted);
        }
    }
    CHECK(device.calls == 2, "%d calls of the device", device.calls);
    panel.members[1].weight = 0;
    kernel::judge(panel.judge(Combination::mean_logit), states.data(), width, nullptr, 3, logits.data(),
                  together.data(), pool.get(), 1);
    CHECK(device.calls == 2, "a member without weight was asked");
}

void refusals() {
    const Floats states = random_states(2 * width, 11);
    const PoolPointer pool = make_pool(1);
    Panel panel;
    panel.add(40, WeightType::f32, nullptr, 1, 0.5f);
    Floats logits(2 * (kernel::max_members + 1)), together(2);
    const auto status_of = [&](const std::vector<kernel::Member>& members) {
        together.assign(2, 7);
        return kernel::judge({members.data(), static_cast<int32_t>(members.size()), Combination::product},
                             states.data(), width, nullptr, 2, logits.data(), together.data(), pool.get(), 1);
    };
    const kernel::Member member = panel.members[0];
    const NetworkPointer wider = make_network(Model({width + 1, 8, 4}, 1), WeightType::f32, nullptr);
    const std::vector<std::vector<kernel::Member>> unsound = {
        {member, {wider.get()}},
        {member, {member.network, -1}},
        {member, {member.network, NAN}},
        std::vector<kernel::Member>(kernel::max_members + 1, member),
    };
    for (const auto& members : unsound) {
        CHECK(status_of(members) == kernel::Status::bad_shape, "%zu members", members.size());
        CHECK(together == Floats(2, 0), "a failed call rejects everything");
    }
    CHECK(status_of(std::vector<kernel::Member>(kernel::max_members, member)) == kernel::Status::ok, "16 members");
    for (const std::vector<kernel::Member>& members : {std::vector<kernel::Member>{}, {{member.network, 0}}}) {
        CHECK(status_of(members) == kernel::Status::ok, "nobody asked");
        CHECK(std::isnan(together[0]) && std::isnan(together[1]), "nobody asked: %g", static_cast<double>(together[0]));
    }
}

}  // namespace

int main() {
    panels();
    minimum_is_all();
    one_is_itself();
    certain_opinions();
    devices();
    refusals();
    std::printf("%d failures\n", mara::test::failures);
    return mara::test::failures == 0 ? 0 : 1;
}
