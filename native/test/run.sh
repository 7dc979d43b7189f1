#!/bin/sh
# Builds and runs the native tests: as released, under AddressSanitizer and UBSan, and, where a cross compiler and qemu are
# installed, for arm64. CUDA's part needs nvcc.
set -eu
cd "$(dirname "$0")/../.."

build_and_run() {
    folder=$1
    shift
    cmake -S . -B "build/$folder" -DMARA_BUILD_TESTS=ON -DCMAKE_BUILD_TYPE=Release "$@"
    cmake --build "build/$folder" --parallel 2
    ctest --test-dir "build/$folder" --output-on-failure
}

build_and_run native-tests
build_and_run native-tests-sanitized -DMARA_SANITIZE=ON
sh native/test/cuda.sh
if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64-static >/dev/null; then
    sh native/test/arm64.sh
else
    echo "arm64: not tested, there is no aarch64-linux-gnu-g++ or qemu-aarch64-static here"
fi
