#include "llama/cache.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace mara::llama {
namespace {

// With these bounds, compaction copies at most four cells for each discarded one, and attention runs over few of them.
// Where texts are written as a whole it waits longer, since a recurrent state may have many megabytes.
constexpr size_t discarded_min = 64;
constexpr size_t discarded_min_of_whole_texts = 256;
constexpr size_t copied_per_discarded = 4;

}  // namespace

Cache::Cache(const Api& api, llama_context* context, SequenceId first_lane, SequenceId discarded, bool swa_full)
    : api_(api),
      context_(context),
      memory_(api.get_memory(context)),
      first_lane_(first_lane),
      discarded_(discarded),
      capacity_(api.n_ctx(context)),
      window_(api.model_n_swa(api.get_model(context))),
      window_capacity_(capacity_),
      has_cells_(!api.model_is_recurrent(api.get_model(context))),
      recurrent_(!has_cells_ || api.model_is_hybrid(api.get_model(context))),
      kept_(static_cast<size_t>(first_lane), -1) {
    // This is the size in llama.cpp (llama_kv_cache_iswa), before its padding.
    if (window_ > 0 && !swa_full)
        window_capacity_ =
            std::min<size_t>(capacity_, static_cast<size_t>(window_) * api.n_seq_max(context) + api.n_ubatch(context));
}

SequenceId Cache::first_of(const std::bitset<sequences_max>& owners) {
    SequenceId sequence = 0;
    while (!owners.test(static_cast<size_t>(sequence))) sequence++;
    return sequence;
}

bool Cache::is_discarded(const Cell& cell) const { return cell.owners.test(static_cast<size_t>(discarded_)); }

bool Cache::compaction_pays() const {
    return discarded_count_ >= (writes_apart() ? discarded_min_of_whole_texts : discarded_min) &&
           cells_.size() - standing() - discarded_count_ <= copied_per_discarded * discarded_count_;
}

bool Cache::keys_wait(SequenceId sequence, Position start, Position end) const {
    return keys_wait_ && std::any_of(cells_.begin(), cells_.end(), [&](const Cell& cell) {
               return cell.key_waits && cell.owners.test(static_cast<size_t>(sequence)) && cell.position >= start &&
                      cell.position < end;
           });
}

void Cache::make_room(int32_t count) {
    // There is room for one more: the token whose decode lets llama.cpp turn keys.
    const size_t wanted = static_cast<size_t>(count) + 1;
    const bool lacks_room = !fits(wanted) && discarded_count_ > 0;
    const bool windows_lack_room = window_ > 0 && !windows_fit(wanted);
    if (scattered_ || compaction_pays() || lacks_room || windows_lack_room) compact();
}

void Cache::push(const Cell& cell) {
    cells_.push_back(cell);
    window_count_ += cell.in_window;
}

void Cache::replace(const std::vector<Cell>& cells) {
    cells_.clear();
    first_discarded_ = std::numeric_limits<size_t>::max();
    discarded_count_ = 0;
    window_count_ = 0;
    for (const Cell& cell : cells) push(cell);
}

void Cache::pop() {
    window_count_ -= cells_.back().in_window;
    cells_.pop_back();
}

// A text that is read out of the cache leaves behind the cells that its last token's window does not reach.
void Cache::keep_window(std::vector<Cell>& text) const {
    if (window_ == 0) return;
    Position last = 0;
    for (const Cell& cell : text) last = std::max(last, cell.position);
    for (Cell& cell : text) cell.in_window = cell.in_window && cell.position > last - window_;
}

void Cache::appended(SequenceId sequence, Position position) {
    if (!has_cells_) return;
    Cell cell{position, {}};
    cell.owners.set(static_cast<size_t>(sequence));
    push(cell);
}

void Cache::decoded() {
    if (!keys_wait_) return;
    for (Cell& cell : cells_) cell.key_waits = false;
    keys_wait_ = false;
}

// Takes the sequence from a cell's owners. A cell without owners is freed if it stands last.
void Cache::give_up(size_t index, SequenceId sequence) {
    Cell& cell = cells_[index];
    cell.owners.reset(static_cast<size_t>(sequence));
    if (cell.owners.any()) return;
    if (index + 1 == cells_.size() && !scattered_) {
        pop();
        return;
    }
    api_.memory_seq_cp(memory_, sequence, discarded_, cell.position, cell.position + 1);
    cell.owners.set(static_cast<size_t>(discarded_));
    first_discarded_ = std::min(first_discarded_, index);
    discarded_count_++;
}

void Cache::remove(SequenceId sequence, Position start, Position end) {
    // This comes first, since llama.cpp frees no cell while the state has seen its token.
    if (!take_back_state(sequence, start, end)) return;
    give_up_range(sequence, start, end);
    api_.memory_seq_rm(memory_, sequence, start, end == whole ? -1 : end);
}

void Cache::give_up_range(SequenceId sequence, Position start, Position end) {
    for (size_t i = cells_.size(); i-- > 0;) {
        if (!cells_[i].owners.test(static_cast<size_t>(sequence))) continue;
        const Position position = cells_[i].position;
        if (position < start && !scattered_) break;  // the cells before have smaller positions
        if (position >= start && position < end) give_up(i, sequence);
    }
}

void Cache::fork(SequenceId source, SequenceId lane) {
    forks_.set(static_cast<size_t>(lane));
    api_.memory_seq_cp(memory_, source, lane, -1, -1);
}

void Cache::adopt(SequenceId sequence, Position position, SequenceId lane) {
    remove(sequence, position, whole);
    api_.memory_seq_cp(memory_, lane, sequence, position, position + 1);
    for (size_t i = cells_.size(); i-- > 0;) {
        if (!cells_[i].owners.test(static_cast<size_t>(lane)) || cells_[i].position != position) continue;
        cells_[i].owners.set(static_cast<size_t>(sequence));
        return;
    }
}

void Cache::release_forks() {
    // Goes from the end, so that cells that stand last are freed. Only the last wave's tokens have lanes among their
    // owners.
    for (size_t i = cells_.size(), open = forks_.count(); i-- > 0 && open > 0;) {
        const auto lanes = cells_[i].owners & forks_;
        if (lanes.none()) continue;
        open--;
        for (SequenceId lane = first_lane_; lane < discarded_; lane++)
            if (lanes.test(static_cast<size_t>(lane))) give_up(i, lane);
    }
    for (SequenceId lane = first_lane_; lane < discarded_; lane++)
        if (forks_.test(static_cast<size_t>(lane))) api_.memory_seq_rm(memory_, lane, -1, -1);
    forks_.reset();
}

void Cache::share(SequenceId source, SequenceId target, Position start, Position end) {
    for (Cell& cell : cells_)
        if (cell.owners.test(static_cast<size_t>(source)) && cell.position >= start && cell.position < end)
            cell.owners.set(static_cast<size_t>(target));
    api_.memory_seq_cp(memory_, source, target, start, end == whole ? -1 : end);
}

void Cache::shift(SequenceId sequence, Position start, Position end, Position delta) {
    // The keeper's position would have to follow.
    forget_kept(sequence);
    for (Cell& cell : cells_) {
        if (!cell.owners.test(static_cast<size_t>(sequence)) || cell.position < start || cell.position >= end) continue;
        cell.position += delta;
        cell.key_waits = true;
    }
    keys_wait_ = true;
}

void Cache::loaded(SequenceId sequence) {
    const Position end = api_.memory_seq_pos_max(memory_, sequence);
    // llama.cpp's answer is the first position within the window or the state's, while the text begins at 0.
    const Position start = writes_apart() ? 0 : std::max(0, api_.memory_seq_pos_min(memory_, sequence));
    for (Position position = start; position <= end; position++) appended(sequence, position);
    // llama.cpp chooses where the window stands, so the next batch lets every text be written anew.
    if (window_ > 0) scattered_ = true;
}

size_t Cache::standing() const { return writes_apart() ? 0 : std::min(first_discarded_, cells_.size()); }

std::vector<uint8_t> Cache::read(SequenceId sequence) const {
    std::vector<uint8_t> data(api_.state_seq_get_size(context_, sequence));
    data.resize(api_.state_seq_get_data(context_, data.data(), data.size(), sequence));
    return data;
}

bool Cache::write(SequenceId sequence, const std::vector<uint8_t>& data) {
    return api_.state_seq_set_data(context_, data.data(), data.size(), sequence) == data.size();
}

// llama.cpp reads and writes whole sequences, so a part of one goes through a lane.
std::vector<uint8_t> Cache::read_part(SequenceId sequence, Position start, Position end) {
    api_.memory_seq_cp(memory_, sequence, first_lane_, start, end);
    std::vector<uint8_t> data = read(first_lane_);
    api_.memory_seq_rm(memory_, first_lane_, -1, -1);
    return data;
}

bool Cache::write_behind(SequenceId sequence, const std::vector<uint8_t>& data) {
    if (!write(first_lane_, data)) return false;
    api_.memory_seq_cp(memory_, first_lane_, sequence, -1, -1);
    api_.memory_seq_rm(memory_, first_lane_, -1, -1);
    return true;
}

void Cache::compact() {
    // Cells that texts share are written once for each of them.
    if (writes_apart()) {
        size_t owned = 0;
        for (const Cell& cell : cells_)
            if (!is_discarded(cell)) owned += cell.owners.count();
        if (owned > capacity_) return;
    }
    struct Text {
        SequenceId sequence;
        Position start;  // of the first cell that moves, or -1 for all of them
        std::vector<Cell> cells;
        std::vector<uint8_t> data;
    };
    const auto moving = cells_.begin() + static_cast<std::ptrdiff_t>(standing());
    const bool moves_all = moving == cells_.begin();
    std::vector<Text> texts;
    std::vector<Shared> shared;
    for (SequenceId sequence = 0; sequence < discarded_; sequence++) {
        const auto is_own = [&](const Cell& cell) { return cell.owners.test(static_cast<size_t>(sequence)); };
        const auto begin = std::find_if(moving, cells_.end(), is_own);
        if (begin == cells_.end()) continue;
        Text text{sequence, moves_all ? -1 : begin->position, {}, {}};
        for (auto cell = begin; cell != cells_.end(); cell++) {
            if (!is_own(*cell)) continue;
            const auto first = writes_apart() ? sequence : first_of(cell->owners);
            if (first == sequence)
                text.cells.push_back(*cell);
            else
                shared.push_back({first, sequence, cell->position});
        }
        // A cell of several sequences is written with the first of them.
        for (const Shared& cell : shared)
            if (cell.target == sequence) api_.memory_seq_rm(memory_, sequence, cell.position, cell.position + 1);
        if (!text.cells.empty()) text.data = moves_all ? read(sequence) : read_part(sequence, text.start, -1);
        texts.push_back(std::move(text));
    }
    for (const Text& text : texts) api_.memory_seq_rm(memory_, text.sequence, text.start, -1);
    api_.memory_seq_rm(memory_, discarded_, -1, -1);
    replace({cells_.begin(), moving});
    scattered_ = false;
    for (Text& text : texts) {
        // There is room, because the text stood in the same cache. Should llama.cpp refuse it all the same, the next
        // decode fails.
        if (text.cells.empty()) continue;
        if (!(moves_all ? write(text.sequence, text.data) : write_behind(text.sequence, text.data))) continue;
        keep_window(text.cells);
        for (Cell& cell : text.cells) {
            if (writes_apart()) cell.owners.reset().set(static_cast<size_t>(text.sequence));
            push(cell);
        }
    }
    for (const Shared& cell : shared)
        api_.memory_seq_cp(memory_, cell.source, cell.target, cell.position, cell.position + 1);
}

}  // namespace mara::llama
