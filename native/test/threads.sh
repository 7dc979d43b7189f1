#!/bin/sh
# Under ThreadSanitizer: the native tests, and the addon in node with several threads at once (threads.mjs, which needs dist/).
# Only what this package compiles is looked at: node and llama.cpp are not instrumented.
set -eu
cd "$(dirname "$0")/../.."
folder=build/native-tests-threads
if [ "$(uname -s)" != Linux ] || ! echo 'int main(){}' | ${CXX:-c++} -fsanitize=thread -x c++ - -o /dev/null 2>/dev/null; then
    echo "Skipped: ThreadSanitizer (needs Linux and libtsan)"
    exit 0
fi
# Its shadow memory leaves no room for all of the places that randomisation picks.
fixed="setarch $(uname -m) -R"
if ! $fixed true 2>/dev/null; then
    echo "Skipped: ThreadSanitizer (needs a system that lets setarch -R turn off address randomisation; containers may not)"
    exit 0
fi

# Position-independent, since the addon below is linked from the same objects.
make --no-print-directory -f native/test/Makefile -j2 OUT="$folder" SANITIZE=thread FLAGS=-fPIC RUN="$fixed" \
    TESTS="behaviour judge learner pack"

headers=$(node -p "require('node-api-headers').include_dir")
addon_api=$(node bindings/include.cjs)
defines=$(sed -n 's/.*"defines": \["NAPI_VERSION=8"\(.*\)\],/NAPI_VERSION=8\1/p' binding.gyp | tr -d '", ' | sed 's/NODE_/ NODE_/g')
flags=""
for define in $defines; do flags="$flags -D$define"; done
# shellcheck disable=SC2086
${CXX:-c++} -std=c++20 -O1 -g -fsanitize=thread -fno-omit-frame-pointer -fPIC -shared -fvisibility=hidden $flags \
    -Inative -isystem "$headers" -isystem "$addon_api" bindings/*.cpp native/llama/*.cpp \
    "$folder/mara.a" -ldl -lpthread -o "$folder/mara.node"
LD_PRELOAD=$(${CXX:-c++} -print-file-name=libtsan.so) NODE_LLAMA_MARA_PREBUILD="$PWD/$folder/mara.node" \
    TSAN_OPTIONS="ignore_noninstrumented_modules=1" \
    $fixed node native/test/threads.mjs
