// Values of quantised tensors, through ggml's own type traits of the library that node-llama-cpp loaded.
#pragma once

#include <cstdint>
#include <string>

namespace mara::llama {

// struct ggml_type_traits (ggml.h), the same from b8352 to v0.5.0.
struct TypeTraits {
    const char* type_name;
    int64_t blck_size;
    int64_t blck_size_interleave;
    size_t type_size;
    bool is_quantized;
    void (*to_float)(const void*, float*, int64_t);
    void (*from_float_ref)(const float*, void*, int64_t);
};

struct Dequantiser {
    int64_t block_values = 0;
    size_t block_bytes = 0;
    void (*to_float)(const void*, float*, int64_t) = nullptr;  // null: the values are float32 already

    // Bytes of a row of `width` values; 0 if the blocks do not fill it.
    size_t row_bytes(int64_t width) const;
    void row(const void* bytes, int64_t width, float* values) const;
};

// For a type of a model that this library has loaded; ggml ends the process at others. `address` is as in
// `resolve_api`. Returns false and says in `problem` what is missing or not as it should be.
bool find_dequantiser(const void* address, int32_t type, Dequantiser& dequantiser, std::string& problem);

}  // namespace mara::llama
