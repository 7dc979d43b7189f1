// Where texts stand in the cache, for attention that is computed in tiles of cells.
#include <algorithm>
#include <iterator>

#include "llama/cache.h"

namespace mara::llama {
namespace {

// Cells that llama.cpp's tiled attention on CPUs takes at a time (ggml-cpu: GGML_FA_TILE_KV).
constexpr size_t tile = 64;

}  // namespace

void Cache::lay_out(SequenceId sequence, int32_t count) {
    const auto is_own = [&](const Cell& cell) { return cell.owners.test(static_cast<size_t>(sequence)); };
    const auto first = std::find_if(cells_.begin(), cells_.end(), is_own);
    if (static_cast<size_t>(first - cells_.begin()) % tile == 0 && std::all_of(first, cells_.end(), is_own)) return;
    const auto own = static_cast<size_t>(std::count_if(first, cells_.end(), is_own));
    const auto more = tile + static_cast<size_t>(count);
    const auto windows = window_ > 0 ? std::min(own, static_cast<size_t>(window_)) : own;
    const auto has_room = [&] { return fits(more + own) && windows_fit(more + windows); };
    std::vector<Cell> text;
    std::copy_if(cells_.begin(), cells_.end(), std::back_inserter(text), is_own);
    const std::vector<uint8_t> data = own > 0 ? read(sequence) : std::vector<uint8_t>();
    if (own > 0) remove(sequence, 0, whole);
    if (!has_room()) compact();
    // There is room, because the sequences' texts leave 256 cells for lanes. Where texts of lanes take it, this one
    // stands where it can.
    if (has_room()) fill(static_cast<int32_t>((tile - cells_.size() % tile) % tile));
    if (own == 0 || !write(sequence, data)) return;
    keep_window(text);
    for (Cell& cell : text) {
        cell.owners.reset().set(static_cast<size_t>(sequence));
        push(cell);
    }
}

// Appends `count` discarded cells, as copies of other sequences' cells.
void Cache::fill(int32_t count) {
    while (count > 0) {
        const auto source =
            std::find_if(cells_.begin(), cells_.end(), [this](const Cell& cell) { return !is_discarded(cell); });
        if (source == cells_.end()) {
            compact();
            return;
        }
        const auto owner = first_of(source->owners);
        const Position start = source->position;
        // Layers with a window would get only the last window of a longer copy, and stand elsewhere than the others.
        const Position end = start + (window_ > 0 ? std::min(count, window_) : count);
        std::vector<Position> positions;
        for (const Cell& cell : cells_)
            if (cell.owners.test(static_cast<size_t>(owner)) && cell.position < end) positions.push_back(cell.position);
        if (!write_behind(discarded_, read_part(owner, start, end))) return;
        first_discarded_ = std::min(first_discarded_, cells_.size());
        for (const Position position : positions) appended(discarded_, position);
        discarded_count_ += positions.size();
        count -= static_cast<int32_t>(positions.size());
    }
}

}  // namespace mara::llama
