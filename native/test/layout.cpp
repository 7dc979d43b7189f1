// The search for llama.cpp's parameters in objects made up here: every known layout is found, and any other is
// refused.
#include "llama/layout.h"

#include <cstring>
#include <string>
#include <vector>

#include "check.h"

namespace {

using namespace mara::llama;

constexpr ExpectedParams asked{256, 128, 2, true, false};
constexpr size_t words_before = 6;  // the Napi::ObjectWrap in front of `model`
const int model = 0;

using Bytes = std::vector<unsigned char>;

void set(Bytes& params, const Field& field, uint64_t bits) {
    std::memcpy(params.data() + field.offset, &bits, field.size);
}

void set(Bytes& params, const ParamsLayout& table, const char* name, uint64_t bits) {
    set(params, *find_field(table, name), bits);
}

Bytes standard_params(const ParamsLayout& table) {
    Bytes params(table.size);
    for (size_t i = 0; i < table.field_count; i++) set(params, table.fields[i], table.fields[i].standard);
    return params;
}

// The parameters as node-llama-cpp's constructor leaves them.
Bytes addon_params(const ParamsLayout& table) {
    Bytes params = standard_params(table);
    set(params, table, "n_ctx", asked.context_size);
    set(params, table, "n_batch", asked.batch_size);
    set(params, table, "n_ubatch", asked.batch_size);
    set(params, table, "n_seq_max", asked.sequences);
    set(params, table, "n_threads", 7);
    set(params, table, "swa_full", asked.swa_full);
    set(params, table, "no_perf", asked.no_perf);
    set(params, table, "flash_attn_type", 0);
    return params;
}

Defaults defaults_of(const Bytes& params) {
    Defaults defaults{};
    std::memcpy(defaults.bytes, params.data(), params.size());
    defaults.written = params.size();
    return defaults;
}

// An AddonContext: junk, `model`, parameters, `ctx`, junk.
struct Object {
    explicit Object(const Bytes& params, uint64_t context = 0xdeadbeef)
        : words(words_before + 1 + params.size() / 8 + 24, 0x11) {
        const void* const pointer = &model;
        std::memcpy(&words[words_before], &pointer, sizeof pointer);
        std::memcpy(&words[words_before + 1], params.data(), params.size());
        words[words_before + 1 + params.size() / 8] = context;
    }
    bool find(const Defaults& defaults) { return find_layout(words.data(), &model, defaults, asked, layout, problem); }

    std::vector<uint64_t> words;
    Layout layout;
    std::string problem;
};

void known(const ParamsLayout& table) {
    const Defaults defaults = defaults_of(standard_params(table));
    CHECK(recognise(defaults) == &table, "%s", table.releases);
    Object object(addon_params(table));
    CHECK(object.find(defaults), "%s: %s", table.releases, object.problem.c_str());
    const size_t context = words_before + 1 + table.size / 8;
    CHECK(object.layout.context == reinterpret_cast<llama_context**>(&object.words[context]) &&
              object.words[context] == 0,
          "%s: the context's place", table.releases);

    Bytes patched = addon_params(table);
    set(patched, table, "kv_unified", 1);
    set(patched, table, "n_seq_max", 17);
    set(patched, table, "n_ctx", 512);
    patch_params(object.layout, 17, 256);
    CHECK(object.words == Object(patched, 0).words, "%s: the patch", table.releases);
}

void altered(const ParamsLayout& table) {
    const Defaults defaults = defaults_of(standard_params(table));
    for (size_t i = 0; i < table.field_count; i++) {
        const Field& field = table.fields[i];
        Bytes changed = standard_params(table);
        set(changed, field, field.standard ^ 1);
        CHECK(recognise(defaults_of(changed)) == nullptr, "%s: another default of %s", table.releases, field.name);

        const std::string name = field.name;
        const bool is_free = name == "n_threads" || name == "n_threads_batch" || name == "flash_attn_type" ||
                             name == "type_k" || name == "type_v";
        Bytes params = addon_params(table);
        set(params, field, read_field(field, params.data()) ^ 1);
        Object object(params);
        const Object before = object;
        CHECK(object.find(defaults) == is_free, "%s: another %s", table.releases, field.name);
        CHECK(is_free || object.words == before.words, "%s: %s, and something was written", table.releases, field.name);
        CHECK(is_free || object.problem.find(name) != std::string::npos, "%s: %s", field.name, object.problem.c_str());
    }
}

// A release to come, with a field more.
void grown(const ParamsLayout& table) {
    for (size_t at = 0; at <= table.size; at += 8) {
        for (const unsigned char filling : {0, 1}) {
            const Bytes more(8, filling);
            Bytes standard = standard_params(table), params = addon_params(table);
            standard.insert(standard.begin() + static_cast<long>(at), more.begin(), more.end());
            params.insert(params.begin() + static_cast<long>(at), more.begin(), more.end());
            Object object(params, 0);
            const Object before = object;
            CHECK(!object.find(defaults_of(standard)), "%s: 8 bytes more at %zu", table.releases, at);
            CHECK(object.words == before.words, "%s: 8 bytes more at %zu, and something was written", table.releases,
                  at);
        }
    }
}

void size_unknown(const ParamsLayout& table) {
    Defaults defaults = defaults_of(standard_params(table));
    defaults.written = Defaults::room;
    CHECK(Object(addon_params(table), 0).find(defaults), "%s: a null is taken for the pointer", table.releases);
    CHECK(!Object(addon_params(table)).find(defaults), "%s: junk is not", table.releases);
}

void elsewhere(const ParamsLayout& table) {
    Object object(addon_params(table));
    object.words[words_before] = 0;
    CHECK(!object.find(defaults_of(standard_params(table))) &&
              object.problem == "the model was not found inside node-llama-cpp's context object",
          "%s: %s", table.releases, object.problem.c_str());
}

template <size_t size>
struct Returned {
    unsigned char bytes[size];
};

template <size_t index>
Returned<index == 2 ? 136 : 160> library_defaults() {
    Returned<index == 2 ? 136 : 160> params;
    std::memcpy(params.bytes, standard_params(known_layouts[index]).data(), sizeof params.bytes);
    return params;
}

template <size_t index>
void returned() {
    Api api{};
    api.context_default_params =
        reinterpret_cast<ParamsRoom (*)()>(reinterpret_cast<void (*)()>(&library_defaults<index>));
    const Defaults defaults = read_defaults(api);
    CHECK(recognise(defaults) == &known_layouts[index], "%s: as returned", known_layouts[index].releases);
    CHECK(defaults.written == known_layouts[index].size, "%s: %zu bytes", known_layouts[index].releases,
          defaults.written);
}

struct FakeContext {
    const void* model;
    uint32_t n_ctx, n_ctx_seq, n_seq_max;
};

const FakeContext& fake(const llama_context* context) { return *reinterpret_cast<const FakeContext*>(context); }

void created() {
    Api api{};
    api.get_model = [](const llama_context* context) { return static_cast<const llama_model*>(fake(context).model); };
    api.n_ctx = [](const llama_context* context) { return fake(context).n_ctx; };
    api.n_ctx_seq = [](const llama_context* context) { return fake(context).n_ctx_seq; };
    api.n_seq_max = [](const llama_context* context) { return fake(context).n_seq_max; };
    const int llama = 0, other = 0;
    std::vector<const void*> addon_model(64);
    addon_model[9] = &llama;
    const auto problem_with = [&](FakeContext* made) {
        auto* context = reinterpret_cast<llama_context*>(made);
        std::string problem;
        const bool verified = verify_context(api, {nullptr, nullptr, &context}, addon_model.data(), 17, problem);
        CHECK(verified == problem.empty(), "%s", problem.c_str());
        return problem;
    };
    FakeContext good{&llama, 512, 512, 17}, foreign = good, split = good, fewer = good;
    foreign.model = &other;
    split.n_ctx_seq = 30;
    fewer.n_seq_max = 2;
    CHECK(problem_with(&good).empty(), "a context as asked for");
    const std::string place = "node-llama-cpp's context was not created where it was expected";
    CHECK(problem_with(nullptr) == place, "no context");
    CHECK(problem_with(reinterpret_cast<FakeContext*>(reinterpret_cast<uintptr_t>(&good) + 1)) == place, "no pointer");
    CHECK(problem_with(&foreign) == "the created context does not belong to the session's model", "another model");
    CHECK(problem_with(&split).find("n_ctx_seq = 30 where 512") != std::string::npos, "no unified cache");
    CHECK(problem_with(&fewer).find("n_seq_max = 2 where 17") != std::string::npos, "too few sequences");
}

}  // namespace

int main() {
    for (size_t i = 0; i < known_layout_count; i++) {
        const ParamsLayout& table = known_layouts[i];
        known(table);
        altered(table);
        grown(table);
        size_unknown(table);
        elsewhere(table);
    }
    returned<0>();
    returned<1>();
    returned<2>();
    created();
    return mara::test::failures != 0;
}
