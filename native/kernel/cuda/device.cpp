// A session as a kernel::Device: one call at a time, any number of states, and dead for good after the first error.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>

#include "kernel/cuda/session.h"

namespace mara::kernel::cuda {
namespace {

class CudaDevice : public Device {
public:
    Session session;

    bool logits(const float* base, ptrdiff_t row_stride, const int32_t* rows, int32_t count, float* out) override {
        const std::lock_guard lock(mutex_);
        if (failed_.load(std::memory_order_relaxed)) return false;
        for (int32_t start = 0; start < count; start += max_rows) {
            const int32_t some = std::min(max_rows, count - start);
            int32_t plain[max_rows];
            if (rows == nullptr) std::iota(plain, plain + some, start);
            if (session.score(base, row_stride, rows == nullptr ? plain : rows + start, some, out + start)) continue;
            failed_.store(true, std::memory_order_release);
            return false;
        }
        return true;
    }

    const char* name() const override { return "cuda"; }
    WeightType type() const override { return session.type(); }
    const char* failure() const override {
        return failed_.load(std::memory_order_acquire) ? session.problem().c_str() : nullptr;
    }

private:
    std::mutex mutex_;
    std::atomic<bool> failed_{false};
};

}  // namespace

std::unique_ptr<Device> create(const NetworkWeights& weights, WeightType type, int32_t index, std::string& problem) {
    auto device = std::make_unique<CudaDevice>();
    if (device->session.open(weights, type, index)) return device;
    problem = device->session.problem();
    return nullptr;
}

}  // namespace mara::kernel::cuda
