// Reads the arguments of a wave, as lib/native.ts describes them.
#pragma once

#include <napi.h>

#include <vector>

#include "llama/lanes.h"

namespace mara::bindings {

// An Int32Array of six numbers per entry.
std::vector<llama::Entry> read_entries(const Napi::Value& value);

// Agents. Throws AGENT_DISPOSED.
llama::WaveJudge read_judge(const Napi::Array& agents);

}  // namespace mara::bindings
