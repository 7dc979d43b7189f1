// The parts that all variants share: the form of packed weights, the form of activations, and the functions that a
// variant offers for a weight type.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/kernel.h"

namespace mara::kernel {

constexpr int32_t panel_channels = 16;  // output channels that lie side by side
constexpr int32_t chunk_panels = 4;     // panels that one thread takes at a time
constexpr int32_t block_rows = 64;      // states in flight; a longer call is a sequence of such blocks
constexpr int32_t tile_rows = 16;       // rows of a packed activation tile
constexpr int32_t tile_bytes = 64;      // bytes per row of a packed activation tile
constexpr int32_t depth_block = 512;    // inputs summed in one run before the partial sum is put aside

// One linear layer. Weights: [panels][depth / group][16 channels][group], 64-byte aligned. The per-channel arrays have
// panels · 16 entries; channels beyond `outputs` are all zero, so they come out as 0.
struct Layer {
    int32_t inputs;
    int32_t outputs;
    int32_t panels;
    int32_t depth;
    size_t panel_bytes;
    const std::byte* weights;
    const float* scale;       // value of one weight unit; 1 where weights are stored as they are
    const float* sum;         // Σ over the inputs of the stored weights, in weight units
    const int32_t* code_sum;  // the same, exact, where weights are stored as codes; nullptr otherwise
    const float* bias;
};

// The activations of one block of rows. y = (dot − mean·sum) · mul · scale + bias, per row and channel.
// Variants read `rows` in place (raw floats; mean and mul undo the moments afterwards), or they read `packed`, which
// their own `prepare` wrote (already normalised: mean is 0).
struct Activations {
    int32_t count;
    const float* const* rows;
    std::byte* packed;
    float* mean;
    float* mul;
};

struct Source;
struct Panel;

struct Operations {
    // Mean and reciprocal deviation (eps 1e-5) of one row. Not finite if the row holds a NaN or an infinity.
    void (*moments)(const float* row, int32_t inputs, float* mean, float* deviation_reciprocal);
    // Normalises row `index` of `input` as (x − mean)·mul, packs it into `input.packed` and sets mean and mul to what
    // is left to undo. nullptr: rows are read in place. Different rows may be prepared at the same time.
    void (*prepare)(const Activations& input, int32_t index, int32_t inputs, int32_t depth);
    // Bytes of `packed` per padded input and row.
    int32_t packed_bytes;
    // out[r · out_stride + c] = max(0, y) for all rows and the channels of panels [first, first + panel_count),
    // panel_count <= chunk_panels. The sum of one (row, channel) is taken in the same order whatever the other rows and
    // panels are.
    void (*multiply)(const Layer& layer, const Activations& input, int32_t first, int32_t panel_count, float* out,
                     ptrdiff_t out_stride);
    // Writes `count` channels from `first` on side by side into a panel, up to the end of the last input's group: the
    // same bits in every variant. False if a weight is not finite; what was written then means nothing.
    bool (*pack)(const Source& source, int32_t first, int32_t count, int32_t inputs, std::byte* to, Panel& panel);
};

struct Variant {
    const char* name;
    bool (*available)();  // on this machine
    WeightType preferred;
};

// The variant of that name, or the best one for nullptr (MARA_KERNEL first). nullptr if this machine cannot run it.
const Variant* find_variant(const char* name);

}  // namespace mara::kernel
