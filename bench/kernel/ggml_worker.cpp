// The agent's network as a ggml graph on the ggml library that node-llama-cpp ships, loaded at run time.
// usage: ggml_worker LIBRARY_FOLDER CASES_FOLDER TYPE(f32|f16|q8_0) THREADS SECONDS WIDTH,... COUNT,...
//
// Declarations follow ggml's headers of llama.cpp's release v0.5.0; only what is used.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;
using Handle = void*;
struct Tensor;
struct InitParams {
    size_t mem_size;
    void* mem_buffer;
    bool no_alloc;
};
struct ThreadpoolParams {
    bool cpumask[512];
    int n_threads;
    int prio;
    uint32_t poll;
    bool strict_cpu;
    bool paused;
};

static Handle base, cpu;

static void fail(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

template <class Function>
static Function* find(Handle library, const char* name) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr) fail(std::string("ggml has no ") + name);
    return reinterpret_cast<Function*>(symbol);
}

// The variant for this machine, chosen by each library's own score, as ggml's loader does.
static Handle load_best(const std::string& folder, std::string& name) {
    Handle best = nullptr;
    int best_score = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string file = entry.path().filename().string();
        if (file.rfind("libggml-cpu", 0) != 0) continue;
        Handle library = dlopen(entry.path().c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) continue;
        auto* score = reinterpret_cast<int (*)()>(dlsym(library, "ggml_backend_score"));
        const int value = score == nullptr ? 1 : score();
        if (value <= best_score) continue;
        best_score = value;
        best = library;
        name = file;
    }
    return best;
}

struct Layer {
    Tensor* weight;
    Tensor* bias;
};

class Graph {
public:
    Graph(int type, int threads) : type_(type) {
        Handle reg = find<Handle()>(cpu, "ggml_backend_init")();
        device_ = find<Handle(Handle, size_t)>(base, "ggml_backend_reg_dev_get")(reg, 0);
        backend_ = find<Handle(Handle, const char*)>(base, "ggml_backend_dev_init")(device_, nullptr);
        auto* address = find<void*(Handle, const char*)>(base, "ggml_backend_reg_get_proc_address");
        reinterpret_cast<void (*)(Handle, int)>(address(reg, "ggml_backend_set_n_threads"))(backend_, threads);
        extra_types_ = reinterpret_cast<Handle* (*)(Handle)>(address(reg, "ggml_backend_dev_get_extra_bufts"));
        if (threads > 1) {  // one pool for all calls; otherwise ggml starts its threads at each
            ThreadpoolParams params{};
            find<void(ThreadpoolParams*, int)>(base, "ggml_threadpool_params_init")(&params, threads);
            Handle pool = find<Handle(ThreadpoolParams*)>(cpu, "ggml_threadpool_new")(&params);
            find<void(Handle, Handle)>(cpu, "ggml_backend_cpu_set_threadpool")(backend_, pool);
        }
    }

    void load(const std::vector<float>& weights, int64_t width) {
        const float* next = weights.data();
        width_ = width;
        scale_ = vector(next, width);
        shift_ = vector(next, width);
        const int64_t sizes[4] = {width, 1024, 256, 2};
        for (int i = 0; i < 3; i++) {
            // The last layer is too small to gain from another type.
            Tensor* weight = matrix(next, sizes[i], sizes[i + 1], i == 2 ? 0 : type_);
            layers_[i] = {weight, vector(next, sizes[i + 1])};
        }
    }

    void build(int64_t count) {
        Handle context = new_context();
        auto* binary = &find<Tensor*(Handle, Tensor*, Tensor*)>;
        auto* add = binary(base, "ggml_add");
        auto* multiply = binary(base, "ggml_mul");
        auto* product = binary(base, "ggml_mul_mat");
        auto* relu = find<Tensor*(Handle, Tensor*)>(base, "ggml_relu");
        input_ = find<Tensor*(Handle, int, int64_t, int64_t)>(base, "ggml_new_tensor_2d")(context, 0, width_, count);
        Tensor* x = find<Tensor*(Handle, Tensor*, float)>(base, "ggml_norm")(context, input_, 1e-5f);
        x = add(context, multiply(context, x, scale_), shift_);
        for (int i = 0; i < 3; i++) {
            x = add(context, product(context, layers_[i].weight, x), layers_[i].bias);
            if (i < 2) x = relu(context, x);
        }
        output_ = find<Tensor*(Handle, Tensor*)>(base, "ggml_soft_max")(context, x);
        graph_ = find<Handle(Handle)>(base, "ggml_new_graph")(context);
        find<void(Handle, Tensor*)>(base, "ggml_build_forward_expand")(graph_, output_);
        if (find<Handle(Handle, Handle)>(base, "ggml_backend_alloc_ctx_tensors")(context, backend_) == nullptr)
            fail("ggml could not allocate");
        set_ = find<void(Tensor*, const void*, size_t, size_t)>(base, "ggml_backend_tensor_set");
        get_ = find<void(const Tensor*, void*, size_t, size_t)>(base, "ggml_backend_tensor_get");
        compute_ = find<int(Handle, Handle)>(base, "ggml_backend_graph_compute");
    }

    void score(const float* states, int64_t count, std::vector<float>& out) {
        set_(input_, states, 0, static_cast<size_t>(width_ * count) * sizeof(float));
        if (compute_(backend_, graph_) != 0) fail("ggml could not compute");
        get_(output_, out.data(), 0, static_cast<size_t>(2 * count) * sizeof(float));
    }

    std::string placed;

private:
    static Handle new_context() { return find<Handle(InitParams)>(base, "ggml_init")({1 << 20, nullptr, true}); }

    Tensor* vector(const float*& next, int64_t size) { return matrix(next, size, 1, 0); }

    // In the first of llama.cpp's buffer types (repacked ones first) that takes a product with this matrix.
    Tensor* matrix(const float*& next, int64_t columns, int64_t rows, int type) {
        auto* tensor_2d = find<Tensor*(Handle, int, int64_t, int64_t)>(base, "ggml_new_tensor_2d");
        auto* allocate = find<Handle(Handle, Handle)>(base, "ggml_backend_alloc_ctx_tensors_from_buft");
        std::vector<Handle> types;
        if (rows > 1)
            for (Handle* extra = extra_types_(device_); extra != nullptr && *extra != nullptr; extra++)
                types.push_back(*extra);
        types.push_back(find<Handle(Handle)>(base, "ggml_backend_dev_buffer_type")(device_));
        for (Handle buffer_type : types) {
            Handle context = new_context();
            Tensor* tensor = tensor_2d(context, type, columns, rows);
            if (allocate(context, buffer_type) == nullptr) continue;
            Handle scratch = new_context();
            Tensor* x = tensor_2d(scratch, 0, columns, 1);
            Tensor* y = find<Tensor*(Handle, Tensor*, Tensor*)>(base, "ggml_mul_mat")(scratch, tensor, x);
            if (buffer_type != types.back() &&
                !find<bool(Handle, Tensor*)>(base, "ggml_backend_dev_supports_op")(device_, y))
                continue;
            fill(tensor, next, columns, rows, type);
            if (rows > 2) placed = find<const char*(Handle)>(base, "ggml_backend_buft_name")(buffer_type);
            next += columns * rows;
            return tensor;
        }
        fail("ggml could not allocate weights");
        return nullptr;
    }

    static void fill(Tensor* tensor, const float* values, int64_t columns, int64_t rows, int type) {
        const size_t bytes = find<size_t(const Tensor*)>(base, "ggml_nbytes")(tensor);
        std::vector<char> data(bytes);
        find<size_t(int, const float*, void*, int64_t, int64_t, int64_t, const float*)>(base, "ggml_quantize_chunk")(
            type, values, data.data(), 0, rows, columns, nullptr);
        find<void(Tensor*, const void*, size_t, size_t)>(base, "ggml_backend_tensor_set")(tensor, data.data(), 0,
                                                                                          bytes);
    }

    int type_;
    int64_t width_ = 0;
    Handle device_, backend_, graph_ = nullptr;
    Handle* (*extra_types_)(Handle);
    Layer layers_[3];
    Tensor *scale_, *shift_, *input_, *output_;
    void (*set_)(Tensor*, const void*, size_t, size_t);
    void (*get_)(const Tensor*, void*, size_t, size_t);
    int (*compute_)(Handle, Handle);
};

template <class Value>
static std::vector<Value> read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
    const auto* values = reinterpret_cast<const Value*>(bytes.data());
    return {values, values + bytes.size() / sizeof(Value)};
}

static std::vector<int64_t> numbers(const std::string& list) {
    std::vector<int64_t> out;
    for (size_t at = 0; at < list.size(); at = std::min(list.find(',', at), list.size() - 1) + 1)
        out.push_back(std::stoll(list.substr(at)));
    return out;
}

template <class Run>
static double measure(double seconds, Run run) {
    const auto once = [&](int calls) {
        const auto start = Clock::now();
        for (int i = 0; i < calls; i++) run();
        return std::chrono::duration<double>(Clock::now() - start).count() / calls;
    };
    auto until = Clock::now() + std::chrono::duration<double>(seconds / 3);
    double estimate = once(1);
    while (Clock::now() < until) estimate = once(std::max(1, static_cast<int>(1e-4 / estimate)));
    const int calls = std::max(1, static_cast<int>(5e-4 / estimate));
    std::vector<double> samples;
    until = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < until || samples.size() < 3) samples.push_back(once(calls));
    std::sort(samples.begin(), samples.end());
    return samples[samples.size() / 2];
}

int main(int, char** argv) {
    const std::string libraries = argv[1], cases = argv[2], type = argv[3];
    const double seconds = std::atof(argv[5]);
    std::string name;
    base = dlopen((libraries + "/libggml-base.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (base != nullptr) cpu = load_best(libraries, name);
    if (cpu == nullptr) fail("no ggml library for this machine");
    std::string placed;
    std::printf("{\"times\":[");
    bool first = true;
    for (const int64_t width : numbers(argv[6])) {
        Graph graph(type == "f32" ? 0 : type == "f16" ? 1 : 8, std::atoi(argv[4]));
        graph.load(read<float>(cases + "/" + std::to_string(width) + ".weights"), width);
        const auto states = read<float>(cases + "/" + std::to_string(width) + ".states");
        const auto expected = read<double>(cases + "/" + std::to_string(width) + ".expected");
        for (const int64_t count : numbers(argv[7])) {
            graph.build(count);
            std::vector<float> out(static_cast<size_t>(2 * count));
            graph.score(states.data(), count, out);
            double error = 0;
            for (size_t i = 0; i < static_cast<size_t>(count); i++) {
                const double difference = std::fabs(static_cast<double>(out[2 * i + 1]) - expected[i]);
                error = difference <= error ? error : std::isnan(difference) ? 1 : difference;
            }
            const double time = measure(seconds, [&] { graph.score(states.data(), count, out); });
            std::printf("%s{\"width\":%lld,\"count\":%lld,\"seconds\":%.6g,\"error\":%.6g}", first ? "" : ",",
                        static_cast<long long>(width), static_cast<long long>(count), time, error);
            first = false;
        }
        placed = graph.placed;
    }
    std::printf("],\"detail\":\"%s, weights in %s\"}\n", name.c_str(), placed.c_str());
    std::fflush(stdout);
    std::_Exit(0);  // ggml's libraries stay as they are
}
