#!/bin/sh
# Where nvcc is: tests the launch path against a stand-in runtime, and compiles the kernels for every architecture of CMakeLists.txt,
# failing on spills or local memory. Nothing here needs a GPU. `npm run build:cuda` makes the addon of it.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v nvcc >/dev/null; then
    echo "Skipped: compiling the CUDA kernel (needs nvcc 12.8 or later on the PATH)"
    exit 0
fi
# Asked of nvcc itself: what stands on the PATH may be a link or a script.
include=$(nvcc --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ INCLUDES="-I\([^"]*\)".*/\1/p')
folder=build/cuda-tests
mkdir -p "$folder"

${CXX:-c++} -std=c++20 -O1 -Wall -Wextra -Inative -Inative/test -isystem "$include" native/test/cuda_runtime.cpp \
    native/kernel/cuda/plan.cpp native/kernel/cuda/layout.cpp native/kernel/cuda/session.cpp native/kernel/cuda/device.cpp \
    native/kernel/*.cpp -lpthread -o "$folder/runtime"
"$folder/runtime"

codes=""
count=0
for architecture in $(sed -n 's/.*set(CMAKE_CUDA_ARCHITECTURES \(.*\))/\1/p' CMakeLists.txt); do
    number=${architecture%-real}
    codes="$codes -gencode arch=compute_$number,code=sm_$number"
    count=$((count + 1))
done
# shellcheck disable=SC2086
nvcc -std=c++20 -O3 -Inative -Xptxas=-v --threads=2 $codes -c native/kernel/cuda/kernels.cu -o "$folder/kernels.o" >"$folder/resources.log" 2>&1 || {
    cat "$folder/resources.log"
    exit 1
}
awk -v expected=$((count * 12)) '
    /Compiling entry function/ { kernel = $0; sub(/.*function ./, "", kernel); entries++ }
    /bytes stack frame/ { if ($1 + 0 || $5 + 0 || $9 + 0) { print "local memory: " kernel ": " $0; bad = 1 } else clean++ }
    /lmem/ { print "local memory: " kernel ": " $0; bad = 1 }
    END {
        print entries " kernels compiled, " clean " without spills or local memory; " expected " expected: 12 variants for each architecture"
        exit bad || entries != expected || clean != expected
    }
' "$folder/resources.log"
