// Which way batches are decoded in, by the times that either took.
#include "llama/batch_costs.h"

#include "check.h"

namespace {

using namespace mara::llama;

// Batches of `count` on a machine on which a token alone takes `single` and a batch `whole`. Gives how many were
// decoded apart.
int apart_of(BatchCosts& costs, size_t count, int batches, double single, double whole) {
    int apart = 0;
    for (int i = 0; i < batches; i++) {
        if (costs.apart(count)) {
            apart++;
            for (size_t token = 0; token < count; token++) costs.observe(1, single);
        } else {
            costs.observe(count, whole);
        }
    }
    return apart;
}

}  // namespace

int main() {
    {
        BatchCosts costs;
        const int apart = apart_of(costs, 4, 1000, 6, 32);
        CHECK(apart > 985, "%d of 1000 batches were decoded apart where that is faster", apart);
    }
    {
        BatchCosts costs;
        const int apart = apart_of(costs, 4, 1000, 6, 20);
        CHECK(apart > 0 && apart < 10, "%d of 1000 batches were decoded apart where that is slower", apart);
        BatchCosts clear;
        CHECK(apart_of(clear, 4, 1000, 6, 8) == 1, "batches were decoded apart though that takes three times as long");
    }
    {
        // What a token takes is not tried with batches of more than four.
        BatchCosts costs;
        CHECK(apart_of(costs, 8, 1000, 1, 100) == 0, "a large batch was decoded apart as a try");
        apart_of(costs, 2, 10, 1, 3);
        CHECK(apart_of(costs, 8, 100, 1, 100) == 100, "a large batch was decoded as a whole though that is slower");
        CHECK(apart_of(costs, apart_max + 1, 100, 1, 1000) == 0, "a batch beyond the bound was decoded apart");
    }
    {
        // Slow decodes do not decide while most are fast, and a machine that changes does.
        BatchCosts costs;
        apart_of(costs, 2, 20, 6, 16);
        for (int i = 0; i < 8; i++) costs.observe(1, 500);
        CHECK(apart_of(costs, 2, 10, 6, 16) == 10, "slow decodes changed the way");
        CHECK(apart_of(costs, 2, 2000, 6, 8) < 1000, "the former times were kept for ever");
    }
    return mara::test::failures;
}
