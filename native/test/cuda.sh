#!/bin/sh
# Where nvcc is: tests the launch path against a stand-in runtime, builds the addon for every architecture, fails on spills or local memory,
# and loads the file, which must work without a driver. Nothing here needs a GPU.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v nvcc >/dev/null; then
    echo "CUDA: not compiled, there is no nvcc here"
    exit 0
fi
include=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")/include

mkdir -p build/cuda-tests
${CXX:-c++} -std=c++20 -O1 -Wall -Wextra -Inative -Inative/test -isystem "$include" native/test/cuda_runtime.cpp \
    native/kernel/cuda/plan.cpp native/kernel/cuda/layout.cpp native/kernel/cuda/session.cpp native/kernel/cuda/device.cpp \
    native/kernel/*.cpp -lpthread -o build/cuda-tests/runtime
build/cuda-tests/runtime

# The kernels anew each time: ptxas reports their resources only when it compiles.
find build-cuda -name 'kernels.cu.o*' -delete 2>/dev/null || true
npm run --silent build:cuda >build/cuda-tests/build.log 2>&1 || { cat build/cuda-tests/build.log; exit 1; }
awk '
    /Compiling entry function/ { kernel = $0; sub(/.*function ./, "", kernel); entries++ }
    /bytes stack frame/ { if ($1 + 0 || $5 + 0 || $9 + 0) { print "local memory: " kernel ": " $0; bad = 1 } else clean++ }
    /lmem/ { print "local memory: " kernel ": " $0; bad = 1 }
    END {
        print entries " kernels compiled, " clean " without spills or local memory"
        exit bad || entries != 84 || clean != 84  # 12 variants for 7 architectures
    }
' build/cuda-tests/build.log
node -e '
    const addon = require("./build-cuda/Release/mara.node");
    if (!addon.hasCuda || !Array.isArray(addon.cudaDevices())) throw new Error("the CUDA build does not answer");
    console.log(`the CUDA build loads; devices here: ${addon.cudaDevices().map(({name}) => name).join(", ") || "none"}`);
'
