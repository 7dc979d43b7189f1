{
  "variables": {"kernel_sources": ["native/kernel/reference.cpp", "native/kernel/dispatch.cpp"]},
  "targets": [{
    "target_name": "mara",
    "sources": ["bindings/addon.cpp"],
    "include_dirs": ["native", "<!@(node -p \"require('node-addon-api').include\")"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NAPI_CPP_EXCEPTIONS"],
    "cflags_cc": ["-std=c++20", "-fexceptions", "-O3"]
  }]
}
