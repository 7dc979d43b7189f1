// libstdc++ 12 reads glibc 2.32's __libc_single_threaded in every shared_ptr. A copy of our own that always says "other threads may exist"
// keeps a prebuilt addon loadable on glibc 2.28.
#if defined(__linux__)

extern "C" {
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}

#endif
