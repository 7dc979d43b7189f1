#include "lane_arguments.h"

#include "agent.h"

namespace mara::bindings {

namespace {

constexpr size_t entry_size = 6;

}  // namespace

std::vector<llama::Entry> read_entries(const Napi::Value& value) {
    const auto flat = value.As<Napi::Int32Array>();
    std::vector<llama::Entry> entries(flat.ElementLength() / entry_size);
    for (size_t i = 0; i < entries.size(); i++) {
        const int32_t* const item = flat.Data() + i * entry_size;
        entries[i] = {item[0], item[1], item[2], item[3], item[4], item[5] != 0};
    }
    return entries;
}

llama::WaveJudge read_judge(const Napi::Array& agents) {
    llama::WaveJudge judge;
    for (uint32_t i = 0; i < agents.Length(); i++) {
        judge.push_back(network_of(agents.Get(i)));
        if (judge.back() == nullptr) throw Napi::Error::New(agents.Env(), "AGENT_DISPOSED: The agent was disposed");
    }
    return judge;
}

}  // namespace mara::bindings
