// The layouts of struct llama_context_params (llama.h) in the releases of llama.cpp that node-llama-cpp has shipped,
// and the value that each field has in llama_context_default_params().
#pragma once

#include <cstddef>
#include <cstdint>

namespace mara::llama {

// The source of a field's value in node-llama-cpp's context object.
enum class Setter : uint8_t {
    nobody,  // must equal llama.cpp's default
    addon,   // node-llama-cpp puts its own value there
};

struct Field {
    const char* name;
    uint16_t offset;
    uint8_t size;  // bytes: 1, 4 or 8
    Setter setter;
    uint64_t standard;  // the bits in llama_context_default_params()
};

struct ParamsLayout {
    const char* releases;  // of node-llama-cpp, for people
    const Field* fields;
    size_t field_count;
    size_t size;  // of the struct; AddonContext's `ctx` follows it
};

extern const ParamsLayout known_layouts[];
extern const size_t known_layout_count;

// The bytes that llama_context_default_params() returns, read without knowing their number.
struct Defaults {
    static constexpr size_t room = 512;
    unsigned char bytes[room];
    size_t written;  // how many bytes of the room the function has written; `room` where that could not be found out
};

const Field* find_field(const ParamsLayout& layout, const char* name);

// A field's bits in parameters at `params`.
uint64_t read_field(const Field& field, const void* params);

// The layout whose every field has its standard value in `defaults`; null unless there is exactly one.
const ParamsLayout* recognise(const Defaults& defaults);

}  // namespace mara::llama
