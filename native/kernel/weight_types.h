// The weight types: how each is stored, and which variants multiply it. A new type is a row of the table in
// weight_types.cpp.
#pragma once

#include <span>

#include "kernel/layer.h"

namespace mara::kernel {

// A linear layer as it stands in the agent file, and the affine of the LayerNorm in front of it, which is folded in.
struct Source {
    Matrix weights;      // [outputs][inputs]
    const float* gain;   // [inputs] or nullptr
    const float* shift;  // [inputs] or nullptr
    const float* bias;   // [outputs]
};

// What packing tells about the channels of a panel.
struct Panel {
    float unit[panel_channels];     // value of one weight unit
    double total[panel_channels];   // Σ over the inputs of the stored weights, in weight units
    double offset[panel_channels];  // the bias, with LayerNorm's shift folded in
};

struct Implementation {
    const char* variant;
    const Operations* operations;
};

struct WeightFormat {
    WeightType type;
    const char* name;  // as options and documents call it
    int32_t bits;      // per weight; may be less than 8
    // Inputs that lie side by side within one channel of a panel: what one dot-product instruction consumes. Together
    // they take whole bytes.
    int32_t group;
    // Inputs are padded with weights of 0 to a multiple of this: whole activation tiles for the types that are
    // multiplied tile by tile.
    int32_t depth_unit;
    // Weights are stored as whole numbers from −max_code to max_code in a unit of their channel's own; 0: as they are.
    int32_t max_code;
    std::span<const Implementation> implementations;

    int32_t depth_of(int32_t inputs) const { return (inputs + depth_unit - 1) / depth_unit * depth_unit; }
    size_t panel_bytes(int32_t depth) const {
        return static_cast<size_t>(depth) * panel_channels * static_cast<size_t>(bits) / 8;
    }
};

// nullptr: there is no such type.
const WeightFormat* find_format(WeightType type);

// nullptr: the variant does not have the type.
const Operations* find_operations(const WeightFormat& format, const char* variant);

}  // namespace mara::kernel
