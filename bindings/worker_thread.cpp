#include "worker_thread.h"

namespace mara::bindings {

struct WorkerThread::Settling {
    // The typed kind also hands over what is left when the environment ends (with no environment); the other loses it.
    Napi::TypedThreadSafeFunction<std::nullptr_t, Pending, settle> function;
    size_t open = 0;  // Node thread only: promises that keep the event loop alive
};

struct WorkerThread::Pending {
    Task task;
    Napi::Promise::Deferred deferred;
    std::shared_ptr<Settling> settling;
    std::string failure;
};

WorkerThread::WorkerThread(Napi::Env env, std::string failure)
    : env_(env), failure_(std::move(failure)), settling_(std::make_shared<Settling>()) {
    settling_->function = decltype(settling_->function)::New(env, "node-llama-mara worker", 0, 1);
    settling_->function.Unref(env);
    napi_add_env_cleanup_hook(env, on_environment_exit, this);
    thread_ = std::thread([this] { loop(); });
}

WorkerThread::~WorkerThread() { close(); }

void WorkerThread::on_environment_exit(void* self) { static_cast<WorkerThread*>(self)->close(); }

Napi::Promise WorkerThread::run(Task task) {
    auto* const pending = new Pending{std::move(task), Napi::Promise::Deferred::New(env_), settling_, {}};
    if (settling_->open++ == 0) settling_->function.Ref(env_);
    const Napi::Promise promise = pending->deferred.Promise();
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        queue_.push(pending);
    }
    wake_.release();
    return promise;
}

void WorkerThread::loop() {
    while (true) {
        wake_.acquire();
        Pending* pending = nullptr;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (closing_) return;
            pending = queue_.front();
            queue_.pop();
        }
        try {
            pending->task.execute();
        } catch (const std::exception& error) {
            pending->failure = failure_ + error.what();
        } catch (...) {
            pending->failure = failure_ + "unknown error";
        }
        // A failed call means that the environment is going away, so nobody awaits the result.
        if (settling_->function.BlockingCall(pending) != napi_ok) delete pending;
    }
}

void WorkerThread::settle(Napi::Env env, Napi::Function, std::nullptr_t*, Pending* done) {
    const std::unique_ptr<Pending> owned(done);
    if (static_cast<napi_env>(env) == nullptr) return;
    const Napi::HandleScope scope(env);
    if (--done->settling->open == 0) done->settling->function.Unref(env);
    try {
        if (!done->failure.empty()) return done->deferred.Reject(Napi::Error::New(env, done->failure).Value());
        try {
            done->deferred.Resolve(done->task.complete(env));
        } catch (const Napi::Error& error) {
            done->deferred.Reject(error.Value());
        }
    } catch (const Napi::Error&) {
        // A worker thread that is being terminated runs no more JavaScript, so nobody awaits the result.
    }
}

void WorkerThread::close() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (closing_) return;
        closing_ = true;
        for (; !queue_.empty(); queue_.pop()) delete queue_.front();
    }
    wake_.release();
    thread_.join();
    settling_->function.Release();
    napi_remove_env_cleanup_hook(env_, on_environment_exit, this);
}

}  // namespace mara::bindings
