#include "train/workspace.h"

#include "kernel/pool.h"

namespace mara::train {
namespace {

struct Multiplication {
    const VectorOperations& operations;
    const Operand* left;   // nullptr: packed already
    const Operand* right;  // nullptr: packed already
    int32_t left_panels;
    float* packed_left;
    float* packed_right;
    const Product& product;
    int32_t across;

    static void run(void* context, int32_t phase, int32_t item) {
        const auto& self = *static_cast<const Multiplication*>(context);
        const VectorOperations& operations = self.operations;
        if (phase == 1)
            return operations.multiply(self.product, item / self.across * operations.block_rows,
                                       item % self.across * operations.block_columns);
        if (item < self.left_panels)
            operations.pack_left(*self.left, item, self.packed_left);
        else
            operations.pack_right(*self.right, item - self.left_panels, self.packed_right);
    }
};

}  // namespace

void parallel(Workspace& work, int32_t count, void (*run)(void*, int32_t), void* context) {
    struct Loop {
        void (*run)(void*, int32_t);
        void* context;
    } loop{run, context};
    const auto item = [](void* held, int32_t, int32_t index) {
        const auto& self = *static_cast<const Loop*>(held);
        self.run(self.context, index);
    };
    kernel::pool_run(*work.pool, kernel::Job{item, &loop, 1, {count}}, work.threads);
}

void pack_left(Workspace& work, const Operand& from, Buffer& packed) {
    const int32_t tile = work.operations->rows;
    float* const to = packed.need(packed_floats(from.count, tile, from.depth));
    parallel(work, panels(from.count, tile), [&](int32_t panel) { work.operations->pack_left(from, panel, to); });
}

void pack_right(Workspace& work, const Operand& from, Buffer& packed) {
    const int32_t tile = work.operations->columns;
    float* const to = packed.need(packed_floats(from.count, tile, from.depth));
    parallel(work, panels(from.count, tile), [&](int32_t panel) { work.operations->pack_right(from, panel, to); });
}

void multiply(Workspace& work, Factor left, Factor right, float* out, Finish finish, const float* argument) {
    const VectorOperations& operations = *work.operations;
    const int32_t rows = left.from.count, columns = right.from.count, depth = left.from.depth;
    float* packed_left = nullptr;
    float* packed_right = nullptr;
    if (left.packed == nullptr) left.packed = packed_left = work.left.need(packed_floats(rows, operations.rows, depth));
    if (right.packed == nullptr)
        right.packed = packed_right = work.right.need(packed_floats(columns, operations.columns, depth));
    Product product{left.packed, right.packed, rows, columns, depth, out, columns, finish};
    (finish == Finish::bias_relu ? product.bias : product.mask) = argument;
    const int32_t left_panels = packed_left == nullptr ? 0 : panels(rows, operations.rows);
    const int32_t right_panels = packed_right == nullptr ? 0 : panels(columns, operations.columns);
    const int32_t down = panels(rows, operations.block_rows), across = panels(columns, operations.block_columns);
    Multiplication whole{operations, &left.from, &right.from, left_panels, packed_left, packed_right, product, across};
    kernel::pool_run(*work.pool,
                     kernel::Job{Multiplication::run, &whole, 2, {left_panels + right_panels, down * across}},
                     work.threads);
}

}  // namespace mara::train
