#include "kernel/judge.h"

#include <algorithm>
#include <limits>

#include "kernel/device.h"

namespace mara::kernel {
namespace {

bool is_sound(const Judge& judge) {
    if (judge.count < 0 || judge.count > max_members) return false;
    return std::all_of(judge.members, judge.members + judge.count, [&](const Member& member) {
        return member.weight >= 0 && network_width(member.network) == network_width(judge.members->network);
    });
}

}  // namespace

Status judge(const Judge& judge, const float* base, ptrdiff_t row_stride, const int32_t* rows, int32_t count,
             float* logits, float* probabilities, Pool* pool, int32_t threads) {
    if (count <= 0) return Status::ok;
    std::fill_n(probabilities, count, 0.0f);
    if (!is_sound(judge)) return Status::bad_shape;

    const auto logits_of = [&](int32_t member) { return logits + static_cast<ptrdiff_t>(member) * count; };
    const Network* on_cpu[max_members];
    float* outputs[max_members];
    int32_t cpu_count = 0;
    for (int32_t m = 0; m < judge.count; ++m) {
        const Member& member = judge.members[m];
        if (member.weight == 0) {
            std::fill_n(logits_of(m), count, std::numeric_limits<float>::quiet_NaN());
            continue;
        }
        Device* const device = network_device(member.network);
        if (device != nullptr && device->logits(base, row_stride, rows, count, logits_of(m))) continue;
        on_cpu[cpu_count] = member.network;
        outputs[cpu_count++] = logits_of(m);
    }
    const Status status = score_logits(on_cpu, cpu_count, base, row_stride, rows, count, outputs, pool, threads);
    if (status != Status::ok) return status;

    for (int32_t i = 0; i < count; ++i) {
        Opinion opinions[max_members];
        int32_t asked = 0;
        for (int32_t m = 0; m < judge.count; ++m)
            if (judge.members[m].weight > 0)
                opinions[asked++] = {logits_of(m)[i], judge.members[m].weight, judge.members[m].threshold};
        probabilities[i] = combine(judge.combination, opinions, asked);
    }
    return Status::ok;
}

}  // namespace mara::kernel
