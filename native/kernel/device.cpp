#include "kernel/device.h"

#include "kernel/network.h"

namespace mara::kernel {

void network_set_device(Network* network, std::unique_ptr<Device> device) {
    network->device = std::move(device);
    network->current_device.store(network->device.get(), std::memory_order_release);
}

Device* network_device(const Network* network) { return network->current_device.load(std::memory_order_acquire); }

}  // namespace mara::kernel
