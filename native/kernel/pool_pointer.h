// A thread pool that is freed with its owner.
#pragma once

#include <memory>

#include "kernel/kernel.h"

namespace mara::kernel {

struct PoolDeleter {
    void operator()(Pool* pool) const { pool_free(pool); }
};
using PoolPointer = std::unique_ptr<Pool, PoolDeleter>;

}  // namespace mara::kernel
