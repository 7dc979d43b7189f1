#include "kernel/judge.h"

#include <algorithm>
#include <limits>

#include "kernel/device.h"

namespace mara::kernel {

Status judge(const Network* const* networks, int32_t network_count, const float* base, ptrdiff_t row_stride,
             const int32_t* rows, int32_t count, float* logits, Pool* pool, int32_t threads) {
    if (network_count <= 0 || count <= 0) return Status::ok;
    const auto logits_of = [&](int32_t a) { return logits + static_cast<ptrdiff_t>(a) * count; };
    std::fill(logits, logits_of(network_count), -std::numeric_limits<float>::infinity());
    const bool is_sound =
        network_count <= max_judging && std::all_of(networks, networks + network_count, [&](const Network* network) {
            return network_width(network) == network_width(networks[0]);
        });
    if (!is_sound) return Status::bad_shape;

    const Network* on_cpu[max_judging];
    float* outputs[max_judging];
    int32_t cpu_count = 0;
    for (int32_t a = 0; a < network_count; ++a) {
        Device* const device = network_device(networks[a]);
        if (device != nullptr && device->logits(base, row_stride, rows, count, logits_of(a))) continue;
        on_cpu[cpu_count] = networks[a];
        outputs[cpu_count++] = logits_of(a);
    }
    const Status status = score_logits(on_cpu, cpu_count, base, row_stride, rows, count, outputs, pool, threads);
    if (status != Status::ok) std::fill(logits, logits_of(network_count), -std::numeric_limits<float>::infinity());
    return status;
}

}  // namespace mara::kernel
