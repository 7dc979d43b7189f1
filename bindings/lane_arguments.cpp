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

llama::WaveJudge read_judge(const Napi::Object& value) {
    const auto agents = value.Get("agents").As<Napi::Array>();
    const auto weights = value.Get("weights").As<Napi::Float32Array>();
    const auto thresholds = value.Get("thresholds").As<Napi::Float32Array>();
    llama::WaveJudge judge{
        {}, {}, static_cast<kernel::Combination>(value.Get("combination").As<Napi::Number>().Int32Value())};
    for (uint32_t i = 0; i < agents.Length(); i++) {
        judge.networks.push_back(network_of(agents.Get(i)));
        if (judge.networks.back() == nullptr)
            throw Napi::Error::New(value.Env(), "AGENT_DISPOSED: The agent was disposed");
        judge.members.push_back({judge.networks.back().get(), weights[i], thresholds[i]});
    }
    return judge;
}

}  // namespace mara::bindings
