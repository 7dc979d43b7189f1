// The order of cells and the rows of logits, on a cache that acts as llama.cpp's in every respect that they rely on:
// after any calls, every sequence's cells hold its own text in the order of positions.
#include <cstdlib>
#include <map>
#include <random>

#include "check.h"
#include "fake_llama.h"
#include "llama/lanes.h"

namespace {

using namespace mara::llama;
using mara::test::FakeCell;
using mara::test::FakeLlama;

constexpr SequenceId sequences = 4;
constexpr SequenceId lanes = 6;
constexpr size_t tile = 64;

class Play {
public:
    Play(unsigned seed, size_t capacity, BatchWay way)
        : seed_(seed),
          way_(way),
          random_(seed),
          llama_(capacity),
          lanes_(FakeLlama::api(), llama_.context(), sequences, lanes, true, true, nullptr, {false, true, way}) {}

    void run(int steps) {
        for (step_ = 0; step_ < steps && mara::test::failures == 0; step_++) {
            const SequenceId sequence = pick(sequences);
            switch (pick(10)) {
                case 0:
                    prompt(sequence);
                    break;
                case 1:
                    erase(sequence);
                    break;
                case 2:
                    if (pick(4) == 0) clear(sequence);
                    break;
                case 3:
                    if (seed_ % 2 == 0 && pick(4) == 0)
                        copy(sequence, (sequence + 1 + pick(sequences - 1)) % sequences);
                    break;
                case 4:
                    if (!shared_ && !texts_[sequence].empty()) reload(sequence);
                    break;
                default:
                    wave();
            }
            check();
        }
        std::printf("seed %u: %d steps, %zu cells at most of %zu, %d batches without room\n", seed_, step_, most_,
                    llama_.cells.size(), refused_);
        // A batch that is decoded token by token leaves one place.
        CHECK(way_ == BatchWay::apart || side_by_side_ > 1, "seed %u: at most %zu rows were presented at a time", seed_,
              side_by_side_);
    }

private:
    struct Written {
        Token token;
        int shifts;
    };
    using Text = std::vector<Written>;

    int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }
    Position end_of(SequenceId sequence) { return static_cast<Position>(texts_[sequence].size()); }

    void prompt(SequenceId sequence) {
        const int length = pick(3) == 0 ? 64 + pick(40) : 1 + pick(8);
        // A caller gives each sequence its share of the cells.
        if (texts_[sequence].size() + static_cast<size_t>(length) > (llama_.cells.size() - 64) / sequences) return;
        std::vector<Entry> entries;
        for (int i = 0; i < length; i++)
            entries.push_back({next_++, end_of(sequence) + i, sequence, no_fork, -1, i + 1 == length});
        const WaveResult result = lanes_.decode(entries);
        CHECK(result.status == 0, "seed %u step %d: no room for a prompt of %d", seed_, step_, length);
        presentable_ = true;
        for (const Entry& entry : entries) texts_[sequence].push_back({entry.token, 0});
        if (entries.size() >= tile) check_tiles(sequence);
        hold(length - 1, entries.back().token);
    }

    // One decision of some sequences: the first candidate in the sequence, the others in lanes; one is chosen, or none.
    void wave() {
        std::vector<Entry> entries;
        std::vector<SequenceId> deciding;
        for (SequenceId sequence = 0; sequence < sequences; sequence++)
            if (!texts_[sequence].empty() && pick(2) == 0 &&
                texts_[sequence].size() + 1 < (llama_.cells.size() - 64) / sequences)
                deciding.push_back(sequence);
        if (deciding.empty()) return;
        for (const SequenceId sequence : deciding)
            entries.push_back({next_++, end_of(sequence), sequence, no_fork, -1, true});
        const int forks = pick(lanes + 1);
        for (int lane = 0; lane < forks; lane++) {
            const SequenceId source = deciding[static_cast<size_t>(pick(static_cast<int>(deciding.size())))];
            entries.push_back({next_++, end_of(source), sequences + lane, source, -1, true});
        }
        llama_.refuses_decodes = pick(20) == 0;
        const bool refuses = llama_.refuses_decodes;
        const WaveResult result = lanes_.wave(entries, {}, 1);
        llama_.refuses_decodes = false;
        presentable_ = result.status == 0;
        if (!presentable_) {
            if (!refuses) refused_++;
            return;
        }
        std::vector<float> states(entries.size() * FakeLlama::width);
        lanes_.read_states(static_cast<int32_t>(entries.size()), states.data());
        for (size_t i = 0; i < states.size(); i++)
            CHECK(states[i] == static_cast<float>(entries[i / FakeLlama::width].token),
                  "seed %u step %d: entry %zu has the state of token %g", seed_, step_, i / FakeLlama::width,
                  static_cast<double>(states[i]));
        most_ = std::max(most_,
                         static_cast<size_t>(std::count_if(llama_.cells.begin(), llama_.cells.end(),
                                                           [](const FakeCell& cell) { return !cell.owners.empty(); })));
        std::vector<SequenceId> without;
        for (const SequenceId sequence : deciding) {
            std::vector<size_t> own;
            for (size_t i = 0; i < entries.size(); i++)
                if (entries[i].sequence == sequence || entries[i].fork_from == sequence) own.push_back(i);
            const int choice = pick(static_cast<int>(own.size()) + 1);
            if (choice == static_cast<int>(own.size())) {
                without.push_back(sequence);
                continue;
            }
            const Entry& chosen = entries[own[static_cast<size_t>(choice)]];
            hold(static_cast<int>(own[static_cast<size_t>(choice)]), chosen.token);
            if (chosen.sequence != sequence) lanes_.cache().adopt(sequence, chosen.position, chosen.sequence);
            texts_[sequence].push_back({chosen.token, 0});
        }
        lanes_.cache().release_forks();
        for (auto sequence = without.rbegin(); sequence != without.rend(); ++sequence)
            lanes_.cache().remove(*sequence, end_of(*sequence), whole);
    }

    // Erases as node-llama-cpp does: the range goes, and the cells behind it move up.
    void erase(SequenceId sequence) {
        Text& text = texts_[sequence];
        if (text.size() < 4) return;
        const Position start = pick(static_cast<int>(text.size()) - 2);
        const Position end = std::min<Position>(end_of(sequence), start + 1 + pick(20));
        lanes_.cache().remove(sequence, start, end);
        // Keys that others share would be turned for them too, so seeds that copy do not shift.
        if (!shared_ && end < end_of(sequence)) {
            lanes_.shift(sequence, end, whole, start - end);
            llama_.add(sequence, end, whole, start - end);
            for (auto later = text.begin() + end; later != text.end(); ++later) later->shifts++;
            text.erase(text.begin() + start, text.begin() + end);
        } else {
            lanes_.cache().remove(sequence, start, whole);
            text.resize(static_cast<size_t>(start));
        }
    }

    void clear(SequenceId sequence) {
        lanes_.cache().remove(sequence, 0, whole);
        texts_[sequence].clear();
    }

    void copy(SequenceId target, SequenceId source) {
        clear(target);
        lanes_.cache().share(source, target, 0, whole);
        texts_[target] = texts_[source];
        shared_ = true;
    }

    // A state is read and written by the caller, as node-llama-cpp does for files.
    void reload(SequenceId sequence) {
        const Api api = FakeLlama::api();
        lanes_.prepare_state(0);
        std::vector<uint8_t> data(api.state_seq_get_size(llama_.context(), sequence));
        api.state_seq_get_data(llama_.context(), data.data(), data.size(), sequence);
        lanes_.cache().remove(sequence, 0, whole);
        lanes_.prepare_state(end_of(sequence));
        CHECK(api.state_seq_set_data(llama_.context(), data.data(), data.size(), sequence) == data.size(),
              "seed %u step %d: no room for a state of %d", seed_, step_, end_of(sequence));
        lanes_.cache().loaded(sequence);
    }

    // A text that a long batch was decoded into stands in one piece from the beginning of a tile on, as it would alone.
    void check_tiles(SequenceId sequence) {
        size_t first = llama_.cells.size(), last = 0;
        for (size_t i = 0; i < llama_.cells.size(); i++) {
            if (llama_.cells[i].owners.count(sequence) == 0) continue;
            first = std::min(first, i);
            last = i;
        }
        CHECK(first % tile == 0 && last - first + 1 == texts_[sequence].size(),
              "seed %u step %d: a text of %zu stands in cells %zu to %zu", seed_, step_, texts_[sequence].size(), first,
              last);
    }

    void hold(int index, Token token) {
        const int32_t number = lanes_.rows().hold(index);
        CHECK(number >= 0, "seed %u step %d: no row %d", seed_, step_, index);
        if (held_.size() > 5) {
            lanes_.rows().free(held_.begin()->first);
            held_.erase(held_.begin());
        }
        CHECK(held_.count(number) == 0, "seed %u step %d: row %d is held twice", seed_, step_, number);
        held_[number] = token;
    }

    void check() {
        for (SequenceId sequence = 0; sequence < sequences; sequence++) {
            const Text& text = texts_[sequence];
            size_t at = 0;
            for (const FakeCell& cell : llama_.cells) {
                if (cell.owners.count(sequence) == 0) continue;
                CHECK(at < text.size() && cell.position == static_cast<Position>(at),
                      "seed %u step %d: sequence %d has position %d in place %zu of %zu", seed_, step_, sequence,
                      cell.position, at, text.size());
                if (at >= text.size()) return;
                CHECK(cell.token == text[at].token, "seed %u step %d: sequence %d holds another's token at %zu", seed_,
                      step_, sequence, at);
                CHECK(cell.turned + cell.pending == cell.position,
                      "seed %u step %d: sequence %d has a key turned to %d at %d", seed_, step_, sequence, cell.turned,
                      cell.position);
                // A shift that is still to be applied rounds the key once more.
                CHECK(cell.turns + (cell.pending != 0) == text[at].shifts,
                      "seed %u step %d: sequence %d has a key rounded %d times for %d shifts", seed_, step_, sequence,
                      cell.turns, text[at].shifts);
                at++;
            }
            CHECK(at == text.size(), "seed %u step %d: sequence %d has %zu of %zu cells", seed_, step_, sequence, at,
                  text.size());
        }
        for (SequenceId lane = sequences; lane < sequences + lanes; lane++)
            CHECK(llama_.last_position(lane) == -1, "seed %u step %d: lane %d is taken", seed_, step_, lane);
        for (const auto& [number, token] : held_) {
            std::vector<float> logits(FakeLlama::vocabulary);
            lanes_.rows().read(number, logits.data());
            CHECK(logits.front() == static_cast<float>(token), "seed %u step %d: row %d belongs to %g", seed_, step_,
                  number, static_cast<double>(logits.front()));
        }
        // A decode that failed leaves no index to present a row at, until the next.
        if (presentable_) present_side_by_side();
    }

    // Presents all rows that are held, and withdraws one only where there is no place for another.
    void present_side_by_side() {
        std::map<int32_t, std::pair<int32_t, Token>> shown;  // number: index, token
        for (const auto& [number, token] : held_) {
            int32_t index = lanes_.rows().present(number);
            if (index == no_place_free) {
                CHECK(!shown.empty(), "seed %u step %d: no place for the first row", seed_, step_);
                if (shown.empty()) return;
                lanes_.rows().withdraw(shown.begin()->first);
                shown.erase(shown.begin());
                index = lanes_.rows().present(number);
            }
            shown[number] = {index, token};
            side_by_side_ = std::max(side_by_side_, shown.size());
            for (const auto& [other, place] : shown) {
                const float* const logits = FakeLlama::api().get_logits_ith(llama_.context(), place.first);
                CHECK(logits != nullptr && *logits == static_cast<float>(place.second),
                      "seed %u step %d: row %d is not presented", seed_, step_, other);
            }
        }
        for (const auto& [number, token] : held_) {
            std::vector<float> logits(FakeLlama::vocabulary);
            lanes_.rows().read(number, logits.data());
            CHECK(logits.front() == static_cast<float>(token), "seed %u step %d: row %d was lost", seed_, step_,
                  number);
        }
        for (const auto& [number, place] : shown) lanes_.rows().withdraw(number);
    }

    unsigned seed_;
    BatchWay way_;
    int step_ = 0;
    std::mt19937 random_;
    FakeLlama llama_;
    Lanes lanes_;
    std::map<SequenceId, Text> texts_;
    std::map<int32_t, Token> held_;
    Token next_ = 1;
    size_t most_ = 0;
    size_t side_by_side_ = 0;
    int refused_ = 0;
    bool shared_ = false;
    bool presentable_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    const unsigned first = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1;
    const unsigned count = argc > 1 ? 1 : 12;
    for (unsigned seed = first; seed < first + count && mara::test::failures == 0; seed++)
        for (const BatchWay way : {BatchWay::whole, BatchWay::apart})
            Play(seed, seed % 3 == 0 ? 512 : seed % 3 == 1 ? 1024 : 2048, way).run(600);
    return mara::test::failures;
}
