#include "train/student.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "train/guarded.h"
#include "train/matrices.h"
#include "train/student_state.h"

namespace mara::train {
namespace {

constexpr double beta1 = 0.9, beta2 = 0.999;
constexpr int32_t predicted_at_once = 1024;

void gather(Workspace& work, const std::vector<float>& table, const std::vector<int32_t>& row_of, const int32_t* labels,
            int32_t count, int32_t width, Gathered& to) {
    for (const int32_t row : to.rows) to.slot[static_cast<size_t>(row)] = -1;
    to.rows.clear();
    to.place.clear();
    for (int32_t i = 0; i < count; ++i) {
        const int32_t row = row_of[static_cast<size_t>(labels[i])];
        int32_t& slot = to.slot[static_cast<size_t>(row)];
        if (slot < 0) {
            slot = static_cast<int32_t>(to.rows.size());
            to.rows.push_back(row);
        }
        to.place.push_back(slot);
    }
    const auto rows = static_cast<int32_t>(to.rows.size());
    float* const values = to.values.need(area(rows, width));
    in_chunks(work, rows, [&](int32_t first, int32_t used) {
        for (int32_t r = first; r < first + used; ++r)
            std::copy_n(table.data() + area(to.rows[static_cast<size_t>(r)], width), width, values + area(r, width));
    });
}

void project(StudentTrainer& student, Gathered& of, size_t weight, size_t bias) {
    const int32_t width = student.options.shape.width, projected = student.options.shape.projected;
    const auto rows = static_cast<int32_t>(of.rows.size());
    const float* const parameters = student.parameters.data();
    float* const out = of.projected.need(area(rows, projected));
    multiply(student.work, lines(of.values.data(), rows, width), lines(parameters + weight, projected, width), out);
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t c = 0; c < projected; ++c)
            out[area(r, projected) + static_cast<size_t>(c)] += parameters[bias + static_cast<size_t>(c)];
}

void project_back(StudentTrainer& student, Gathered& of, size_t weight, size_t bias) {
    const int32_t width = student.options.shape.width, projected = student.options.shape.projected;
    const auto rows = static_cast<int32_t>(of.rows.size());
    float* const gradient = student.gradient.data();
    multiply(student.work, columns(of.gradient.data(), projected, rows, gradient + bias),
             columns(of.values.data(), width, rows), gradient + weight);
}

bool step(StudentTrainer& student, double learning_rate) {
    const size_t count = student.offsets.count;
    float* const parameters = student.parameters.data();
    const float* const gradient = student.gradient.data();
    const VectorOperations& operations = *student.work.operations;
    const auto all = static_cast<int32_t>(count);
    if (!std::isfinite(operations.sum_of_squares(gradient, all))) return false;
    ++student.steps;
    const auto kept = static_cast<float>(1 - learning_rate * student.options.weight_decay);
    const StudentOffsets& at = student.offsets;
    for (const auto& [first, end] : {std::pair{at.hidden_weight, at.hidden_bias},
                                     {at.embedding_weight, at.embedding_bias},
                                     {at.fc1_weight, at.fc1_bias},
                                     {at.fc2_weight, at.fc2_bias}})
        for (size_t i = first; i < end; ++i) parameters[i] *= kept;
    const AdamStep adam{1, static_cast<float>(learning_rate / (1 - std::pow(beta1, student.steps))),
                        static_cast<float>(std::sqrt(1 - std::pow(beta2, student.steps)))};
    float* const m = student.moment1.data();
    float* const v = student.moment2.data();
    constexpr int32_t piece = 4096;
    parallel(student.work, (all + piece - 1) / piece, [&](int32_t item) {
        const int32_t first = item * piece;
        operations.adam(adam, gradient + first, std::min(piece, all - first), m + first, v + first, parameters + first);
    });
    return true;
}

}  // namespace

StudentOffsets::StudentOffsets(const StudentShape& shape) {
    size_t at = 0;
    const auto take = [&](int32_t rows, int32_t columns) {
        const size_t start = at;
        at += area(rows, columns);
        return start;
    };
    hidden_weight = take(shape.projected, shape.width);
    hidden_bias = take(1, shape.projected);
    embedding_weight = take(shape.projected, shape.width);
    embedding_bias = take(1, shape.projected);
    fc1_weight = take(shape.hidden, shape.features());
    fc1_bias = take(1, shape.hidden);
    fc2_weight = take(outputs, shape.hidden);
    fc2_bias = take(1, outputs);
    count = at;
}

StudentTrainer::StudentTrainer(const StudentOptions& given_options, const StudentData& data)
    : options(given_options),
      offsets(options.shape),
      states(area(data.state_rows, options.shape.width)),
      embeddings(data.embeddings, data.embeddings + area(data.embedding_rows, options.shape.width)),
      given(data.given, data.given + area(data.count, student_given)),
      wanted(data.wanted, data.wanted + data.count),
      model_log(data.model_log, data.model_log + (options.decision > 0 ? data.count : 0)),
      state(data.state, data.state + data.count),
      embedding(data.embedding, data.embedding + data.count) {
    kernel::Pool* created = nullptr;
    if (kernel::pool_create(options.threads, &created) != kernel::Status::ok) throw std::bad_alloc();
    pool.reset(created);
    work.operations = find_operations(options.operations);
    work.pool = created;
    work.threads = options.threads;
    const int32_t width = options.shape.width;
    in_chunks(work, data.state_rows, [&](int32_t first, int32_t used) {
        for (int32_t r = first; r < first + used; ++r)
            work.operations->normalise(data.states + area(r, width), width, states.data() + area(r, width));
    });
    of_states.slot.assign(static_cast<size_t>(data.state_rows), -1);
    of_embeddings.slot.assign(static_cast<size_t>(data.embedding_rows), -1);
    for (Buffer* const array : {&parameters, &gradient, &moment1, &moment2})
        std::fill_n(array->need(offsets.count), offsets.count, 0.0f);
    Random random(options.seed);
    // PyTorch's default, as in network.cpp.
    const auto layer = [&](size_t first, size_t end, int32_t inputs) {
        const float bound = 1.0f / std::sqrt(static_cast<float>(inputs));
        for (size_t i = first; i < end; ++i) parameters.data()[i] = random.uniform(bound);
    };
    layer(offsets.hidden_weight, offsets.embedding_weight, width);
    layer(offsets.embedding_weight, offsets.fc1_weight, width);
    layer(offsets.fc1_weight, offsets.fc2_weight, options.shape.features());
    // A value network begins by changing nothing.
    if (options.decision == 0) layer(offsets.fc2_weight, offsets.count, options.shape.hidden);
}

void student_forward(StudentTrainer& student, const int32_t* labels, int32_t count) {
    const StudentShape& shape = student.options.shape;
    const int32_t projected = shape.projected, hidden = shape.hidden, features = shape.features();
    const StudentOffsets& at = student.offsets;
    Workspace& work = student.work;
    const float* const parameters = student.parameters.data();
    gather(work, student.states, student.state, labels, count, shape.width, student.of_states);
    gather(work, student.embeddings, student.embedding, labels, count, shape.width, student.of_embeddings);
    project(student, student.of_states, at.hidden_weight, at.hidden_bias);
    project(student, student.of_embeddings, at.embedding_weight, at.embedding_bias);
    float* const f = student.features.need(area(count, features));
    float* const z = student.hidden.need(area(count, hidden));
    student.out.resize(area(count, outputs));
    in_chunks(work, count, [&](int32_t first, int32_t used) {
        for (int32_t i = first; i < first + used; ++i) {
            const auto label = static_cast<size_t>(i);
            const float* const p = student.of_states.projected.data() + area(student.of_states.place[label], projected);
            const float* const q =
                student.of_embeddings.projected.data() + area(student.of_embeddings.place[label], projected);
            float* const to = f + area(i, features);
            std::copy_n(p, projected, to);
            std::copy_n(q, projected, to + projected);
            for (int32_t c = 0; c < projected; ++c) to[2 * projected + c] = p[c] * q[c];
            std::copy_n(student.given.data() + area(labels[i], student_given), student_given, to + 3 * projected);
        }
    });
    multiply(work, lines(f, count, features), lines(parameters + at.fc1_weight, hidden, features), z, Finish::bias_relu,
             parameters + at.fc1_bias);
    for (int32_t i = 0; i < count; ++i)
        for (int32_t o = 0; o < outputs; ++o)
            student.out[area(i, outputs) + static_cast<size_t>(o)] =
                parameters[at.fc2_bias + static_cast<size_t>(o)] +
                work.operations->dot(z + area(i, hidden), parameters + at.fc2_weight + area(o, hidden), hidden);
}

void student_gradient(StudentTrainer& student, const int32_t* labels, int32_t count, StudentMetrics& sum) {
    const StudentShape& shape = student.options.shape;
    const int32_t projected = shape.projected, hidden = shape.hidden, features = shape.features();
    const StudentOffsets& at = student.offsets;
    Workspace& work = student.work;
    const float* const parameters = student.parameters.data();
    float* const gradient = student.gradient.data();
    student.out_gradient.resize(area(count, outputs));
    (student.options.decision > 0 ? decision_loss : verdict_loss)(student, labels, count, sum);
    const float* const out_gradient = student.out_gradient.data();
    const float* const z = student.hidden.data();
    const float* const f = student.features.data();
    float* const dz = student.hidden_gradient.need(area(count, hidden));
    float* const df = student.features_gradient.need(area(count, features));
    multiply(work, columns(out_gradient, outputs, count, gradient + at.fc2_bias), columns(z, hidden, count),
             gradient + at.fc2_weight);
    const float* const w2 = parameters + at.fc2_weight;
    in_chunks(work, count, [&](int32_t first, int32_t used) {
        for (int32_t i = first; i < first + used; ++i)
            work.operations->head_backward(out_gradient[outputs * i], out_gradient[outputs * i + 1], w2, w2 + hidden,
                                           z + area(i, hidden), hidden, dz + area(i, hidden));
    });
    multiply(work, columns(dz, hidden, count, gradient + at.fc1_bias), columns(f, features, count),
             gradient + at.fc1_weight);
    multiply(work, lines(dz, count, hidden), columns(parameters + at.fc1_weight, features, hidden), df);
    for (Gathered* const of : {&student.of_states, &student.of_embeddings}) {
        const size_t size = area(static_cast<int32_t>(of->rows.size()), projected);
        std::fill_n(of->gradient.need(size), size, 0.0f);
    }
    for (int32_t i = 0; i < count; ++i) {
        const auto label = static_cast<size_t>(i);
        const float* const own = f + area(i, features);
        const float* const d = df + area(i, features);
        float* const dp = student.of_states.gradient.data() + area(student.of_states.place[label], projected);
        float* const dq = student.of_embeddings.gradient.data() + area(student.of_embeddings.place[label], projected);
        for (int32_t c = 0; c < projected; ++c) {
            dp[c] += d[c] + d[2 * projected + c] * own[projected + c];
            dq[c] += d[projected + c] + d[2 * projected + c] * own[c];
        }
    }
    project_back(student, student.of_states, at.hidden_weight, at.hidden_bias);
    project_back(student, student.of_embeddings, at.embedding_weight, at.embedding_bias);
}

TrainStatus student_create(const StudentOptions& options, const StudentData& data, StudentTrainer** out) {
    *out = nullptr;
    const StudentShape& shape = options.shape;
    if (!fits(shape.width) || !fits(shape.projected) || !fits(shape.hidden) || options.batch_size < 1 || data.count < 1)
        return TrainStatus::bad_shape;
    if (options.decision > 0 && options.batch_size % options.decision != 0) return TrainStatus::bad_shape;
    if (find_operations(options.operations) == nullptr) return TrainStatus::unknown_operations;
    return guarded([&] {
        *out = new StudentTrainer(options, data);
        return TrainStatus::ok;
    });
}

void student_free(StudentTrainer* student) { delete student; }

TrainStatus student_epoch(StudentTrainer* student, const int32_t* labels, int32_t count, double learning_rate,
                          const std::atomic<bool>& stop, StudentMetrics* metrics) {
    return guarded([&] {
        StudentMetrics sum{};
        for (int32_t first = 0; first < count; first += student->options.batch_size) {
            if (stop.load(std::memory_order_relaxed)) return TrainStatus::stopped;
            const int32_t size = std::min(student->options.batch_size, count - first);
            student_forward(*student, labels + first, size);
            student_gradient(*student, labels + first, size, sum);
            if (!step(*student, learning_rate)) return TrainStatus::not_finite;
        }
        *metrics = {sum.squared_error / count, sum.loss / count};
        return TrainStatus::ok;
    });
}

TrainStatus student_predict(StudentTrainer* student, const int32_t* labels, int32_t count, float* out) {
    return guarded([&] {
        const auto min = static_cast<float>(student->options.log_sigma_min);
        const auto max = static_cast<float>(student->options.log_sigma_max);
        for (int32_t first = 0; first < count; first += predicted_at_once) {
            const int32_t size = std::min(predicted_at_once, count - first);
            student_forward(*student, labels + first, size);
            for (int32_t i = 0; i < size; ++i) {
                const size_t at = area(i, outputs);
                out[area(first, outputs) + at] = student->out[at];
                out[area(first, outputs) + at + 1] = std::clamp(student->out[at + 1], min, max);
            }
        }
        return TrainStatus::ok;
    });
}

float* student_parameters(StudentTrainer* student) { return student->parameters.data(); }

}  // namespace mara::train
