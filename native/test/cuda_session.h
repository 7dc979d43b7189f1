// The launch code's device memory, kept in host memory: packed weights, scratch and results, poisoned before each
// run.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "kernel/cuda/layout.h"
#include "kernel/cuda/plan.h"
#include "kernel/numbers.h"
#include "model.h"

namespace mara::test {

struct HostSession {
    using Plan = kernel::cuda::Plan;

    kernel::cuda::Limits limits;
    kernel::cuda::Packed packed;
    Plan plan{};
    kernel::cuda::Arguments a{};
    Floats states, partials, hidden, head_parts, logits;
    std::vector<int32_t> valid;
    std::vector<unsigned> counters;

    HostSession(const kernel::cuda::Limits& l, const Model& model, kernel::WeightType type)
        : limits(l), packed(kernel::cuda::pack(model.weights(), *kernel::cuda::find_device_format(type))) {
        const kernel::cuda::DeviceScratch scratch = scratch_for(limits, packed.shape, type);
        states.resize(scratch.states / 4);
        partials.resize(scratch.partials / 4);
        hidden.resize(scratch.hidden / 4);
        head_parts.resize(scratch.head_parts / 4);
        logits.resize(kernel::cuda::max_rows);
        valid.resize(kernel::cuda::max_rows);
        counters.assign(static_cast<size_t>(packed.shape.counters()), 0);
    }

    void poison() {
        for (Floats* array : {&states, &partials, &hidden, &head_parts, &logits})
            std::fill(array->begin(), array->end(), NAN);
        std::fill(valid.begin(), valid.end(), -1);
    }

    kernel::cuda::Arguments& arguments(const float* base, int64_t stride, const std::vector<int32_t>& rows,
                                       bool staged) {
        plan = make_plan(limits, packed.shape, packed.type, static_cast<int32_t>(rows.size()));
        describe(packed, packed.memory.data(), a);
        a.base = base;
        a.row_stride = stride;
        std::copy(rows.begin(), rows.end(), a.rows);
        a.count = static_cast<int32_t>(rows.size());
        a.states = states.data();
        a.partials = partials.data();
        a.hidden = hidden.data();
        a.head_parts = head_parts.data();
        a.valid = valid.data();
        a.counters = counters.data();
        a.logits = logits.data();
        a.slices = plan.slices;
        a.slice_units = plan.slice_units;
        a.chunk_units = plan.chunk_units;
        a.stages = plan.stages;
        a.staged = staged ? 1 : 0;
        a.vectors = staged ? 1 : 0;
        return a;
    }

    // The first hidden layer as the last run left it.
    double hidden_value(int32_t state, int32_t channel) const {
        using namespace kernel::cuda;
        if (plan.path == Path::simt)
            return hidden[static_cast<size_t>(state) * packed.shape.units2() * depth_unit + channel];
        const size_t tile = static_cast<size_t>(state / row_tile) * packed.shape.units2() + channel / depth_unit;
        const size_t element = (tile * row_tile + state % row_tile) * depth_unit + channel % depth_unit;
        uint16_t bits;
        std::memcpy(&bits, reinterpret_cast<const char*>(hidden.data()) + element * 2, 2);
        return (packed.type == kernel::WeightType::f16 ? kernel::f16_to_float(bits) : kernel::bf16_to_float(bits)) /
               packed.hidden_scale;
    }
};

}  // namespace mara::test
