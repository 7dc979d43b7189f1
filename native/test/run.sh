#!/bin/sh
# Builds and runs the native tests: as released, under AddressSanitizer and UBSan, under ThreadSanitizer (with the addon), and, where a
# cross compiler and qemu are installed, for arm64. CUDA's part needs nvcc.
set -eu
cd "$(dirname "$0")/../.."
check() { make --no-print-directory -f native/test/Makefile -j2 "$@"; }

check
check OUT=build/native-tests-sanitized SANITIZE=address,undefined
sh native/test/threads.sh
sh native/test/cuda.sh
if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64-static >/dev/null; then
    # Linked statically, so that qemu needs no system libraries of arm64.
    check OUT=build/native-tests-arm64 CXX=aarch64-linux-gnu-g++ LDFLAGS=-static RUN="qemu-aarch64-static -cpu max" \
        TESTS="accuracy behaviour judge student matrix weight_types pack products gradients learner layout cells batch_costs"
else
    echo "Skipped: the native tests for arm64 (Debian: apt-get install g++-aarch64-linux-gnu qemu-user-static)"
fi
