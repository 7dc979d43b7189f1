// One thread that runs jobs in order and settles their promises on the Node thread that queued them.
//
// llama.cpp's decodes of a context run here, always on the same thread: hopping between libuv's pool threads costs a
// third of the speed (docs/design.md).
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <semaphore>
#include <thread>

namespace mara::bindings {

class WorkerThread {
public:
    explicit WorkerThread(Napi::Env env);
    ~WorkerThread();

    struct Job {
        std::function<void()> execute;                   // on the worker; what it throws rejects the promise
        std::function<Napi::Value(Napi::Env)> complete;  // on the Node thread; its value resolves the promise
    };

    // Resolves with `complete`'s value.
    Napi::Promise run(Job job);

    // Waits for the running job, drops the waiting ones (their promises stay open), joins. May be called twice.
    void close();

private:
    struct Settling;
    struct Pending;
    void loop();
    static void on_environment_exit(void* self);
    static void settle(Napi::Env env, Napi::Function, Pending* done);

    Napi::Env env_;
    std::shared_ptr<Settling> settling_;  // outlives this object while finished jobs wait for the event loop
    std::mutex mutex_;
    std::counting_semaphore<> wake_{
        0};  // one for each job, one for closing; no condition variable, to run with older libstdc++
    std::queue<Pending*> queue_;
    bool closing_ = false;
    std::thread thread_;
};

}  // namespace mara::bindings
