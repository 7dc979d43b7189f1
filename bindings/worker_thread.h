// One thread that runs tasks in order and settles their promises on the Node thread that queued them.
//
// A context's decodes run on one, because hopping between libuv's pool threads costs a third of the speed
// (docs/design.md), and a learner's on another.
#pragma once

#include <napi.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <semaphore>
#include <string>
#include <thread>

namespace mara::bindings {

class WorkerThread {
public:
    // `failure`: the beginning of the message if a task throws and its promise rejects.
    explicit WorkerThread(Napi::Env env, std::string failure = "DECODE_FAILED: ");
    ~WorkerThread();

    struct Task {
        std::function<void()> execute;                   // on the worker
        std::function<Napi::Value(Napi::Env)> complete;  // on the Node thread, unless `execute` threw
    };

    // Resolves with the value of `complete`; rejects with what one of the two throws.
    Napi::Promise run(Task task);

    // Waits for the running task, drops the waiting ones (their promises stay open), joins. May be called twice.
    void close();

private:
    struct Settling;
    struct Pending;
    void loop();
    static void on_environment_exit(void* self);
    static void settle(Napi::Env env, Napi::Function, std::nullptr_t*, Pending* done);

    Napi::Env env_;
    const std::string failure_;
    std::shared_ptr<Settling> settling_;  // outlives this object while finished tasks wait for the event loop
    std::mutex mutex_;
    std::counting_semaphore<> wake_{
        0};  // one for each task, one for closing; no condition variable, to run with older libstdc++
    std::queue<Pending*> queue_;
    bool closing_ = false;
    std::thread thread_;
};

}  // namespace mara::bindings
