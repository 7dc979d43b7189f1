// Labels for the learner of students, and its network in float64.
#pragma once

#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "check.h"
#include "train/student_state.h"

namespace {

using namespace mara::train;

using Doubles = std::vector<double>;
using Floats = std::vector<float>;
using Integers = std::vector<int32_t>;

constexpr StudentShape shape{23, 5, 9};
constexpr int32_t state_rows = 7, embedding_rows = 11, count = 61;

struct StudentDeleter {
    void operator()(StudentTrainer* student) const { student_free(student); }
};
using Pointer = std::unique_ptr<StudentTrainer, StudentDeleter>;

struct Labels {
    Floats states, embeddings, given, wanted, model_log;
    Integers state, embedding;

    explicit Labels(uint32_t seed, int32_t n = count) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal(0, 1);
        const auto fill = [&](Floats& values, int32_t size) {
            for (int32_t i = 0; i < size; ++i) values.push_back(normal(random));
        };
        fill(states, state_rows * shape.width);
        fill(embeddings, embedding_rows * shape.width);
        fill(given, n * student_given);
        fill(wanted, n);
        for (int32_t i = 0; i < n; ++i) {
            state.push_back(static_cast<int32_t>(random() % state_rows));
            embedding.push_back(static_cast<int32_t>(random() % embedding_rows));
        }
    }
    StudentData data() const {
        return {
            states.data(),    embeddings.data(), state_rows,    embedding_rows,   state.data(),
            embedding.data(), given.data(),      wanted.data(), model_log.data(), static_cast<int32_t>(wanted.size())};
    }
};

StudentOptions options_for(const char* operations, int32_t threads = 1) {
    return {shape, 5, 0.1, -5, 3, 16, threads, operations, 0};
}

Pointer make(const StudentOptions& options, const Labels& labels) {
    StudentTrainer* created = nullptr;
    CHECK(student_create(options, labels.data(), &created) == TrainStatus::ok, "created");
    return Pointer(created);
}

Integers everything(int32_t n = count) {
    Integers all(static_cast<size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

std::vector<const char*> all_operations() {
    std::vector<const char*> names(8);
    names.resize(static_cast<size_t>(operation_names(names.data(), 8)));
    return names;
}

Doubles linear(const Doubles& p, size_t weight, size_t bias, const Doubles& x, int32_t rows) {
    Doubles out;
    for (size_t o = 0; o < static_cast<size_t>(rows); ++o) {
        double sum = p[bias + o];
        for (size_t i = 0; i < x.size(); ++i) sum += p[weight + o * x.size() + i] * x[i];
        out.push_back(sum);
    }
    return out;
}

// Mean and log σ, the latter without bounds.
std::pair<double, double> evaluate(const Doubles& p, const Labels& labels, size_t label) {
    const StudentOffsets at(shape);
    const auto row = [&](const Floats& table, int32_t index) {
        const float* first = table.data() + index * shape.width;
        return Doubles(first, first + shape.width);
    };
    Doubles h = row(labels.states, labels.state[label]);
    const double mean = std::accumulate(h.begin(), h.end(), 0.0) / shape.width;
    double variance = 0;
    for (const double x : h) variance += (x - mean) * (x - mean) / shape.width;
    for (double& x : h) x = (x - mean) / std::sqrt(variance + 1e-5);
    const Doubles a = linear(p, at.hidden_weight, at.hidden_bias, h, shape.projected);
    const Doubles b = linear(p, at.embedding_weight, at.embedding_bias, row(labels.embeddings, labels.embedding[label]),
                             shape.projected);
    Doubles f = a;
    f.insert(f.end(), b.begin(), b.end());
    for (size_t i = 0; i < a.size(); ++i) f.push_back(a[i] * b[i]);
    for (size_t i = 0; i < student_given; ++i) f.push_back(labels.given[label * student_given + i]);
    Doubles z = linear(p, at.fc1_weight, at.fc1_bias, f, shape.hidden);
    for (double& x : z) x = std::max(x, 0.0);
    const Doubles out = linear(p, at.fc2_weight, at.fc2_bias, z, outputs);
    return {out[0], out[1]};
}

Doubles parameters_of(const StudentTrainer& student) {
    const float* const values = student.parameters.data();
    return {values, values + student.offsets.count};
}

}  // namespace
