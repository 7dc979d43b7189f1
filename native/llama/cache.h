// The order of cells in a unified KV cache.
//
// Attention adds up a sequence's cells in the order in which they stand. A cell that is given up is therefore not
// freed, since a later token of another sequence could then stand in front of that sequence's earlier ones and be
// rounded otherwise. It goes to a sequence that nothing reads, the discarded one, and the cache is only appended to:
//
//     cell      0   1   2   3   4   5   6   7
//     holds     a0  b0  a1  b1  b1  a2  b2        a1: sequence a, position 1
//                           ^ rejected, discarded
//
// Only cells that stand last are freed. When discarded cells get in the way, what stands behind the first of them is
// written anew from there on, in the same order and bit for bit (`compact`).
//
// Layers with a sliding window have a cache of their own, with fewer cells, to which the same tokens are appended.
// Compaction leaves each text its last window there, and is done before llama.cpp would overwrite a cell
// (docs/design.md).
//
// Recurrent layers hold one state per sequence in place of cells, which a token changes for good. A sequence of its
// own, the keeper, therefore has the state from before the sequence's last batch. Recurrent models have no cells at
// all.
#pragma once

#include <bitset>
#include <cstdint>
#include <limits>
#include <vector>

#include "llama/api.h"

namespace mara::llama {

constexpr int32_t sequences_max = 256;  // llama.cpp's LLAMA_MAX_SEQ
constexpr Position whole = std::numeric_limits<Position>::max();

// Not thread-safe: nothing may be decoding while a method runs.
class Cache {
public:
    // `discarded` is a sequence of its own; sequences from `first_lane` up to it are lanes. For recurrent models the
    // keepers stand behind it. `swa_full`: layers with a sliding window have as many cells as the others.
    Cache(const Api& api, llama_context* context, SequenceId first_lane, SequenceId discarded, bool swa_full);

    // Tokens that a layer with a sliding window attends to; 0 where the model has none.
    Position window() const { return window_; }
    // Cells in use, discarded ones included.
    size_t size() const { return cells_.size(); }
    // True where sequences have a recurrent state.
    bool recurrent() const { return recurrent_; }

    // True if llama.cpp has yet to turn the keys of shifted cells, which it does at its next decode. Texts must not be
    // moved until then: a state holds the new positions beside the old keys.
    bool keys_wait() const { return keys_wait_; }
    // The same for the sequence's cells at positions in [start, end).
    bool keys_wait(SequenceId sequence, Position start, Position end) const;

    // Before `count` tokens are appended: compacts the texts where that pays or is needed. All lanes are empty, and no
    // keys wait.
    void make_room(int32_t count);

    // After that, before a long batch of one sequence, where attention is computed in tiles of cells: lets its text
    // stand in one piece from a multiple of the tile on, as it would if it were alone.
    void lay_out(SequenceId sequence, int32_t count);

    // Before a batch whose first token of the sequence has this position: keeps the state, which `remove` from there on
    // brings back.
    void keep(SequenceId sequence, Position position);

    // After a batch: its tokens stand behind the earlier cells, in the order of the batch.
    void appended(SequenceId sequence, Position position);
    void decoded();

    // Gives up the sequence's cells at positions in [start, end). Changes nothing where a recurrent state has seen a
    // token of them and the one from before was not kept.
    void remove(SequenceId sequence, Position start, Position end);

    // Lets the lane see the sequence's cells.
    void fork(SequenceId source, SequenceId lane);
    // Makes the lane's cell at `position` the sequence's, in place of the sequence's cells from there on.
    void adopt(SequenceId sequence, Position position, SequenceId lane);
    // Gives up the cells that were decoded into forked lanes.
    void release_forks();

    // Gives the cells of `source` in [start, end) to `target` as well.
    void share(SequenceId source, SequenceId target, Position start, Position end);

    // The caller is about to put an earlier state in the place of the sequence's, and to free its cells from `start`
    // on.
    void restoring(SequenceId sequence, Position start);

    // The caller is about to add `delta` to the positions of the sequence in [start, end).
    void shift(SequenceId sequence, Position start, Position end, Position delta);

    // The caller has written the sequence, which was empty, behind the earlier cells.
    void loaded(SequenceId sequence);

private:
    struct Cell {
        Position position;
        std::bitset<sequences_max> owners;
        bool in_window = true;   // it has a cell in the layers with a window, too
        bool key_waits = false;  // it was shifted, and its key not yet turned
    };
    struct Shared {
        SequenceId source;
        SequenceId target;
        Position position;
    };

    bool is_discarded(const Cell& cell) const;
    static SequenceId first_of(const std::bitset<sequences_max>& owners);
    // Texts whose beginnings are the same are written anew with cells of their own: their windows or states may differ.
    bool writes_apart() const { return window_ > 0 || recurrent_; }
    void copy_state(SequenceId source, SequenceId target);
    bool take_back_state(SequenceId sequence, Position start, Position end);
    void forget_kept(SequenceId sequence);
    SequenceId keeper_of(SequenceId sequence) const { return discarded_ + 1 + sequence; }
    bool compaction_pays() const;
    // Number of the first cells that compaction leaves where they are. A window or a state is only written as a whole.
    size_t standing() const;
    bool fits(size_t count) const { return cells_.size() + count <= capacity_; }
    bool windows_fit(size_t count) const { return window_count_ + count <= window_capacity_; }
    void keep_window(std::vector<Cell>& text) const;
    void push(const Cell& cell);
    void pop();
    void replace(const std::vector<Cell>& cells);
    void compact();
    void fill(int32_t count);
    void give_up(size_t index, SequenceId sequence);
    void give_up_range(SequenceId sequence, Position start, Position end);
    std::vector<uint8_t> read(SequenceId sequence) const;
    bool write(SequenceId sequence, const std::vector<uint8_t>& data);
    // The same for the sequence's cells at positions in [start, end), up to the last with an `end` of -1; and behind
    // those that it has.
    std::vector<uint8_t> read_part(SequenceId sequence, Position start, Position end);
    bool write_behind(SequenceId sequence, const std::vector<uint8_t>& data);

    Api api_;
    llama_context* context_;
    llama_memory_i* memory_;
    SequenceId first_lane_;
    SequenceId discarded_;
    size_t capacity_;
    Position window_;
    size_t window_capacity_;
    bool has_cells_;
    bool recurrent_;
    // Per sequence: the position before which its keeper's state stands, or -1.
    std::vector<Position> kept_;
    // Cells in the order in which they stand, unless `scattered_`.
    std::vector<Cell> cells_;
    size_t discarded_count_ = 0;
    size_t first_discarded_ = std::numeric_limits<size_t>::max();
    size_t window_count_ = 0;  // cells with `in_window`: at least as many as the layers with a window hold
    std::bitset<sequences_max> forks_;
    // A text was loaded into layers with a window, where llama.cpp chooses its cells.
    bool scattered_ = false;
    bool keys_wait_ = false;
};

}  // namespace mara::llama
