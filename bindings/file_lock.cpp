#include "file_lock.h"

#include <memory>
#include <string>
#include <system_error>

#include "arguments.h"
#if defined(_WIN32)
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace mara::bindings {
namespace {

enum class Outcome { taken, busy, failed };

#if defined(_WIN32)

// A file that is open without sharing cannot be opened again.
class FileLock {
public:
    ~FileLock() { release(); }

    Outcome take(const Napi::String& path, int& error) {
        const std::u16string name = path.Utf16Value();
        handle_ = CreateFileW(reinterpret_cast<const wchar_t*>(name.c_str()), GENERIC_WRITE, 0, nullptr, OPEN_ALWAYS,
                              FILE_ATTRIBUTE_NORMAL, nullptr);
        if (handle_ != INVALID_HANDLE_VALUE) return Outcome::taken;
        error = static_cast<int>(GetLastError());
        return error == ERROR_SHARING_VIOLATION ? Outcome::busy : Outcome::failed;
    }

    void release() {
        if (handle_ != INVALID_HANDLE_VALUE) CloseHandle(handle_);
        handle_ = INVALID_HANDLE_VALUE;
    }

private:
    HANDLE handle_ = INVALID_HANDLE_VALUE;
};

#else

class FileLock {
public:
    ~FileLock() { release(); }

    Outcome take(const Napi::String& path, int& error) {
        descriptor_ = open(path.Utf8Value().c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (descriptor_ < 0) {
            error = errno;
            return Outcome::failed;
        }
        int result = 0;
        do result = flock(descriptor_, LOCK_EX | LOCK_NB);
        while (result != 0 && errno == EINTR);
        if (result == 0) return Outcome::taken;
        error = errno;
        // Where a file system has no locks, work goes on without one.
        if (error == ENOSYS || error == ENOLCK || error == EOPNOTSUPP) return Outcome::taken;
        release();
        return error == EWOULDBLOCK ? Outcome::busy : Outcome::failed;
    }

    void release() {
        if (descriptor_ >= 0) close(descriptor_);
        descriptor_ = -1;
    }

private:
    int descriptor_ = -1;
};

#endif

// lockFile(path): a function that gives the lock back, or null if the file is locked already.
Napi::Value lock_file(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsString()) invalid_argument(env, "path", "a string", info[0]);
    auto lock = std::make_shared<FileLock>();
    int error = 0;
    const Outcome outcome = lock->take(info[0].As<Napi::String>(), error);
    if (outcome == Outcome::busy) return env.Null();
    if (outcome == Outcome::failed) fail(env, "WRITE_FAILED", std::system_category().message(error));
    return Napi::Function::New(
        env, [lock](const Napi::CallbackInfo&) { lock->release(); }, "unlock");
}

}  // namespace

void init_file_lock(Napi::Env env, Napi::Object exports) {
    exports.Set("lockFile", Napi::Function::New<lock_file>(env, "lockFile"));
}

}  // namespace mara::bindings
