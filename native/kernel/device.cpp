#include "kernel/device.h"

#include <algorithm>

#include "kernel/combine.h"
#include "kernel/network.h"

namespace mara::kernel {

void network_set_device(Network* network, std::unique_ptr<Device> device) {
    network->device = std::move(device);
    network->current_device.store(network->device.get(), std::memory_order_release);
}

Device* network_device(const Network* network) { return network->current_device.load(std::memory_order_acquire); }

Status score_on_device(const Network* network, const float* base, ptrdiff_t row_stride, const int32_t* rows,
                       int32_t count, float* probabilities, Pool* pool, int32_t threads) {
    Device* const device = network_device(network);
    if (device != nullptr && device->logits(base, row_stride, rows, count, probabilities)) {
        std::transform(probabilities, probabilities + count, probabilities, probability_of);
        return Status::ok;
    }
    return score(&network, 1, base, row_stride, rows, count, probabilities, pool, threads);
}

}  // namespace mara::kernel
