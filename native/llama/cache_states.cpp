// The states of recurrent layers: keeping the one from before a batch, and bringing it back.
#include "llama/cache.h"

namespace mara::llama {

// llama.cpp copies a state whatever the range, and no cells for an empty one. Both sequences share the state until one
// of them is decoded.
void Cache::copy_state(SequenceId source, SequenceId target) { api_.memory_seq_cp(memory_, source, target, 0, 0); }

void Cache::keep(SequenceId sequence, Position position) {
    if (!recurrent_ || sequence >= first_lane_) return;
    copy_state(sequence, keeper_of(sequence));
    kept_[static_cast<size_t>(sequence)] = position;
}

void Cache::forget_kept(SequenceId sequence) {
    if (!recurrent_ || sequence >= first_lane_) return;
    api_.memory_seq_rm(memory_, keeper_of(sequence), -1, -1);
    kept_[static_cast<size_t>(sequence)] = -1;
}

// False where the state has seen a token of the range, and the state from before is not kept.
bool Cache::take_back_state(SequenceId sequence, Position start, Position end) {
    if (!recurrent_ || sequence >= first_lane_) return true;
    if (start == 0 && end == whole) {
        forget_kept(sequence);
        return true;
    }
    if (end == whole && kept_[static_cast<size_t>(sequence)] == start) {
        copy_state(keeper_of(sequence), sequence);
        return true;
    }
    const Position last = api_.memory_seq_pos_max(memory_, sequence);
    return last < start || last >= end;
}

void Cache::restoring(SequenceId sequence, Position start) {
    forget_kept(sequence);
    give_up_range(sequence, start, whole);
}

}  // namespace mara::llama
