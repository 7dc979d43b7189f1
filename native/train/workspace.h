// Memory and threads of one learner: aligned buffers that grow, loops over a pool, products in parallel.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

#include "kernel/kernel.h"
#include "train/operations.h"

namespace mara::train {

// 64-byte aligned floats; growing loses their contents. Throws std::bad_alloc.
class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { release(); }

    float* need(size_t count) {
        if (count > capacity_) {
            release();
            data_ = static_cast<float*>(::operator new(count * sizeof(float), std::align_val_t{64}));
            capacity_ = count;
        }
        return data_;
    }
    float* data() const { return data_; }

private:
    void release() {
        ::operator delete(data_, std::align_val_t{64});
        data_ = nullptr;
        capacity_ = 0;
    }

    float* data_ = nullptr;
    size_t capacity_ = 0;
};

struct Workspace {
    const VectorOperations* operations = nullptr;
    kernel::Pool* pool = nullptr;
    int32_t threads = 1;
    Buffer left, right;           // packed operands of the product under way
    Buffer gradient1, gradient2;  // of the two hidden layers before their ReLU, [rows][hidden]
};

// run(i) for i in [0, count), in parallel. `run` must not throw.
void parallel(Workspace& work, int32_t count, void (*run)(void* context, int32_t item), void* context);

template <class F>
void parallel(Workspace& work, int32_t count, F&& body) {
    parallel(
        work, count, [](void* context, int32_t item) { (*static_cast<std::remove_reference_t<F>*>(context))(item); },
        &body);
}

// Packs an operand that several products share.
void pack_left(Workspace& work, const Operand& from, Buffer& packed);
void pack_right(Workspace& work, const Operand& from, Buffer& packed);

// Operands of a product, each packed beforehand or to be packed for it.
struct Factor {
    Factor(const Operand& operand) : from(operand), packed(nullptr) {}
    Factor(const Operand& operand, const Buffer& buffer) : from(operand), packed(buffer.data()) {}
    Operand from;
    const float* packed;
};

// out[left.count][right.count] = finish(left · rightᵀ). `argument` is the bias or the mask.
void multiply(Workspace& work, Factor left, Factor right, float* out, Finish finish = Finish::none,
              const float* argument = nullptr);

}  // namespace mara::train
