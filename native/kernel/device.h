// A device that scores in the CPU's place, and may fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernel/kernel.h"

namespace mara::kernel {

// All methods may be called from any thread.
class Device {
public:
    virtual ~Device() = default;

    // As kernel::score_logits of one network. False: the device has failed, now or before, and nothing useful was
    // written. Waits for the device: not to be called on Node's main thread.
    virtual bool logits(const float* base, ptrdiff_t row_stride, const int32_t* rows, int32_t count, float* out) = 0;

    virtual const char* name() const = 0;
    virtual WeightType type() const = 0;
    virtual const char* failure() const = 0;  // what failed, or nullptr while the device works
};

// Gives the network its device, at most once. Other threads may be scoring.
void network_set_device(Network* network, std::unique_ptr<Device> device);
Device* network_device(const Network* network);  // nullptr: none

}  // namespace mara::kernel
