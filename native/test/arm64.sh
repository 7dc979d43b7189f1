#!/bin/sh
# Cross-compiles the native tests for arm64 and runs them under qemu (Debian: g++-aarch64-linux-gnu, qemu-user-static).
# Arguments go to cmake, for instance -DMARA_SANITIZE=ON.
set -eu
cd "$(dirname "$0")/../.."
cmake -S . -B build/native-tests-arm64 -DCMAKE_TOOLCHAIN_FILE=native/test/arm64.cmake -DMARA_BUILD_TESTS=ON -DCMAKE_BUILD_TYPE=Release "$@"
cmake --build build/native-tests-arm64
ctest --test-dir build/native-tests-arm64 --output-on-failure
