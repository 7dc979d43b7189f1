{
  # Files that need an instruction set turn it on themselves (#pragma target), so all files share these flags.
  "targets": [{
    "target_name": "mara",
    "sources": ["<!@(node bindings/sources.cjs)"],
    "include_dirs": ["native", "<!(node bindings/include.cjs)"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-std=c++17"],
    "cflags_cc": ["-std=c++20", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=off"],
    "conditions": [
      ["OS=='linux'", {"libraries": ["-ldl", "-lpthread"], "ldflags": ["-Wl,--version-script=<(module_root_dir)/bindings/exports.map"]}],
      ["OS=='mac'", {
        "xcode_settings": {
          "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
          "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
          "GCC_ENABLE_CPP_RTTI": "YES",
          "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
          "MACOSX_DEPLOYMENT_TARGET": "12.0",
          "OTHER_CPLUSPLUSFLAGS": ["-O3", "-fno-math-errno", "-ffp-contract=off"]
        }
      }],
      ["OS=='win'", {
        "defines": ["NOMINMAX", "_USE_MATH_DEFINES"],
        "msvs_settings": {"VCCLCompilerTool": {"ExceptionHandling": 1, "RuntimeTypeInfo": "true", "AdditionalOptions": ["/std:c++20"]}}
      }]
    ]
  }]
}
