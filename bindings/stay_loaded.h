// Keeps the addon in memory until the process ends.
#pragma once

namespace mara::bindings {

// Node unloads an addon when the last environment that loaded it ends (a worker thread's, say). A thread of ours that
// had not ended by then would run on in unmapped memory.
void stay_loaded();

}  // namespace mara::bindings
