#include "llama/embeddings.h"

#include <cstring>

#include "llama/library.h"

namespace mara::llama {
namespace {

constexpr int32_t float32_type = 0;  // GGML_TYPE_F32

template <class Function>
bool find(const void* address, const char* name, Function& function, std::string& problem) {
    void* const library = find_library(address, name, problem);
    if (library == nullptr) return false;
    function = reinterpret_cast<Function>(find_symbol(library, name));
    if (function == nullptr) problem = std::string("the llama.cpp library has no function ") + name;
    return function != nullptr;
}

}  // namespace

size_t Dequantiser::row_bytes(int64_t width) const {
    return width % block_values == 0 ? static_cast<size_t>(width / block_values) * block_bytes : 0;
}

void Dequantiser::row(const void* bytes, int64_t width, float* values) const {
    if (to_float == nullptr)
        std::memcpy(values, bytes, static_cast<size_t>(width) * sizeof(float));
    else
        to_float(bytes, values, width);
}

bool find_dequantiser(const void* address, int32_t type, Dequantiser& dequantiser, std::string& problem) {
    const TypeTraits* (*get_type_traits)(int32_t) = nullptr;
    int64_t (*blck_size)(int32_t) = nullptr;
    size_t (*type_size)(int32_t) = nullptr;
    const char* (*type_name)(int32_t) = nullptr;
    if (!find(address, "ggml_get_type_traits", get_type_traits, problem) ||
        !find(address, "ggml_blck_size", blck_size, problem) || !find(address, "ggml_type_size", type_size, problem) ||
        !find(address, "ggml_type_name", type_name, problem))
        return false;
    const TypeTraits* const traits = get_type_traits(type);
    // The fields must say what the library's own functions say, since a release may change the struct.
    if (traits == nullptr || traits->blck_size < 1 || traits->blck_size != blck_size(type) ||
        traits->type_size != type_size(type) || traits->type_name != type_name(type) ||
        (traits->to_float == nullptr) != (type == float32_type)) {
        problem = "ggml's traits of tensor type " + std::to_string(type) + " are not as they were up to now";
        return false;
    }
    dequantiser = {traits->blck_size, traits->type_size, traits->to_float};
    return true;
}

}  // namespace mara::llama
