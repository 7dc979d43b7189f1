// The learner's products against float64.
#include <algorithm>
#include <array>
#include <cmath>

#include "guarded.h"
#include "learners.h"

namespace {

using namespace mara::test;

struct Side {
    int32_t count, depth;
    bool depth_major;
    GuardedFloats data;  // ends where nothing may be read

    Side(int32_t n, int32_t k, bool major, uint32_t seed)
        : count(n), depth(k), depth_major(major), data(static_cast<size_t>(n * k)) {
        const Floats values = random_floats(data.count, seed);
        std::copy(values.begin(), values.end(), data.data);
    }
    Operand operand() const { return {data.data, count, depth, depth_major ? count : depth, depth_major}; }
    double at(int32_t line, int32_t k) const { return data.data[depth_major ? k * count + line : line * depth + k]; }
};

void products() {
    for (const char* name : all_operations())
        for (const auto& [rows, columns, depth] :
             {std::array{1, 1, 1}, {2, 70, 300}, {15, 33, 17}, {127, 2, 513}, {129, 259, 40}})
            for (int32_t kind = 0; kind < 4; ++kind) {
                Workspace work;
                kernel::Pool* pool = nullptr;
                kernel::pool_create(2, &pool);
                const kernel::PoolPointer owned(pool);
                work.operations = find_operations(name);
                work.pool = pool;
                work.threads = 2;
                const Side left(rows, depth, (kind & 1) != 0, 1), right(columns, depth, (kind & 2) != 0, 2);
                const Floats scale = random_floats(static_cast<size_t>(depth), 3),
                             bias = random_floats(static_cast<size_t>(columns), 4);
                const Floats mask = random_floats(static_cast<size_t>(rows * columns), 5);
                Floats sums(static_cast<size_t>(rows), NAN);
                Operand a = left.operand(), b = right.operand();
                if (left.depth_major) a.sums = sums.data();
                if (!right.depth_major) b.scale = scale.data();
                for (const Finish finish : {Finish::none, Finish::bias_relu, Finish::mask}) {
                    GuardedFloats out(static_cast<size_t>(rows * columns));
                    std::fill_n(out.data, out.count, NAN);
                    multiply(work, a, b, out.data, finish, finish == Finish::mask ? mask.data() : bias.data());
                    double worst = 0;
                    for (int32_t r = 0; r < rows; ++r)
                        for (int32_t c = 0; c < columns; ++c) {
                            double sum = 0;
                            for (int32_t k = 0; k < depth; ++k)
                                sum += left.at(r, k) * right.at(c, k) *
                                       (b.scale == nullptr ? 1 : scale[static_cast<size_t>(k)]);
                            const auto place = static_cast<size_t>(r * columns + c);
                            if (finish == Finish::bias_relu) sum = std::max(0.0, sum + bias[static_cast<size_t>(c)]);
                            if (finish == Finish::mask && !(mask[place] > 0)) sum = 0;
                            const double error = std::abs(out.data[place] - sum);
                            worst = std::isnan(error) ? INFINITY : std::max(worst, error);
                        }
                    CHECK(worst < 1e-5 * std::sqrt(depth) * 4, "%s %dx%dx%d kind %d: off by %g", name, rows, columns,
                          depth, kind, worst);
                }
                for (int32_t r = 0; left.depth_major && r < rows; ++r) {
                    double sum = 0;
                    for (int32_t k = 0; k < depth; ++k) sum += left.at(r, k);
                    CHECK(std::abs(sums[static_cast<size_t>(r)] - sum) < 1e-4, "%s: sum of line %d", name, r);
                }
            }
}

}  // namespace

int main() {
    products();
    if (mara::test::failures == 0)
        std::printf("ok: %zu sets of operations, the best is %s\n", all_operations().size(), all_operations()[0]);
    return mara::test::failures == 0 ? 0 : 1;
}
