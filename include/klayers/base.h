/*
 * Status and errors, the allocator, threads, random seeds, and the form of keyword arguments.
 */
#ifndef KLAYERS_BASE_H
#define KLAYERS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(KL_STATIC) || !defined(__GNUC__)
#define KL_API
#else
#define KL_API __attribute__((visibility("default")))
#endif
#if defined(__GNUC__)
#define KL_PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define KL_PRINTF_LIKE(text, first)
#endif

/* Every status with its text; kl_status_name() gives the text. */
#define KL_STATUS_LIST(X)                                                                          \
    X(KL_OK, "ok")                                                                                 \
    X(KL_ERROR_INVALID, "invalid argument")                                                        \
    X(KL_ERROR_SHAPE, "shape mismatch")                                                            \
    X(KL_ERROR_DTYPE, "dtype mismatch")                                                            \
    X(KL_ERROR_RANGE, "value out of range")                                                        \
    X(KL_ERROR_MEMORY, "out of memory")                                                            \
    X(KL_ERROR_IO, "input or output failed")                                                       \
    X(KL_ERROR_FORMAT, "malformed data")                                                           \
    X(KL_ERROR_NOT_FOUND, "not found")                                                             \
    X(KL_ERROR_STATE, "wrong state")                                                               \
    X(KL_ERROR_UNSUPPORTED, "unsupported")                                                         \
    X(KL_ERROR_STOPPED, "stopped by a callback")

typedef enum kl_status {
#define KL_STATUS_ENUM_(id, text) id,
    KL_STATUS_LIST(KL_STATUS_ENUM_)
#undef KL_STATUS_ENUM_
} kl_status;

/* The text of a status, such as "shape mismatch"; never NULL. */
KL_API const char *kl_status_name(kl_status status);

/*
 * The message of the last error on this thread, in Keras's manner: what, where, what was expected
 * and what came. An empty string if there was none. Valid until the thread's next error.
 */
KL_API const char *kl_last_error(void);

/* The status that goes with kl_last_error(). */
KL_API kl_status kl_last_status(void);

/* How many errors this thread has met so far; never reset, wraps. */
KL_API unsigned kl_error_count(void);

/* Forgets the message (the count stays). */
KL_API void kl_clear_error(void);

/*
 * Sets this thread's error and returns `status`, for custom layers, ops and callbacks:
 * `return kl_error(KL_ERROR_SHAPE, "expected rank 3, got rank %d", rank);`
 */
KL_API kl_status kl_error(kl_status status, const char *format, ...) KL_PRINTF_LIKE(2, 3);

/*
 * Functions that replace malloc, realloc and free for every allocation of the library's own.
 * `user` is handed back to each. A function that returns NULL makes the call that needed memory
 * fail with KL_ERROR_MEMORY. HDF5, libzip and OpenBLAS keep their own allocators.
 */
typedef struct kl_allocator {
    void *(*allocate)(size_t size, void *user);
    void *(*reallocate)(void *memory, size_t size, void *user);
    void (*release)(void *memory, void *user);
    void *user;
} kl_allocator;

/*
 * Sets the allocator; NULL restores malloc. To be called while the library holds no memory:
 * before its first use, or after kl_shutdown(). KL_ERROR_STATE otherwise.
 */
KL_API kl_status kl_set_allocator(const kl_allocator *allocator);

/*
 * Ends the thread pool and frees what the library keeps between calls on this thread and
 * process-wide (caches, registered classes, name counters). Objects still held stay valid.
 */
KL_API void kl_shutdown(void);

/*
 * How many threads work on one call, the caller's own included: at least 1, at most 256. 0 takes
 * the number of processors that the process may run on, as does a program that never calls this.
 * Results are the same bit for bit on any number.
 */
KL_API kl_status kl_set_num_threads(int count);
KL_API int kl_num_threads(void);

/* Seeds the default generator, as keras.utils.set_random_seed does. */
KL_API kl_status kl_set_random_seed(uint64_t seed);

/*
 * Forgets the automatic layer names handed out so far, as keras.backend.clear_session does.
 * Models and layers that exist stay valid.
 */
KL_API void kl_clear_session(void);

/* The library's version, "0.1.0", and the instruction set chosen for its kernels, "avx2". */
KL_API const char *kl_version(void);
KL_API const char *kl_kernel_isa(void);

/*
 * A Keras name (a C string such as "relu") or an object of the library: told apart by the object's
 * first byte, which is 0xFF and never begins a UTF-8 string. NULL means None.
 */
typedef const void *kl_named;

/* None for an integer and for a float argument. */
#define KL_NONE  INT64_MIN
#define KL_NONEF ((float)NAN)

/* The most axes that a tensor can have. */
#define KL_MAX_RANK 8

/* Lists that may hold zeros: `.values = KL_FLOATS(0, 1)`. Arguments are copied by what takes them.
 */
typedef struct kl_floats {
    const float *at;
    size_t count;
} kl_floats;
typedef struct kl_ints {
    const int64_t *at;
    size_t count;
} kl_ints;
typedef struct kl_strings {
    const char *const *at;
    size_t count;
} kl_strings;
#ifndef __cplusplus
#define KL_FLOATS(...)                                                                             \
    ((kl_floats){(const float[]){__VA_ARGS__},                                                     \
                 sizeof((const float[]){__VA_ARGS__}) / sizeof(float)})
#define KL_INTS(...)                                                                               \
    ((kl_ints){(const int64_t[]){__VA_ARGS__},                                                     \
               sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)})
#define KL_STRINGS(...)                                                                            \
    ((kl_strings){(const char *const[]){__VA_ARGS__},                                              \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)})

/*
 * The form behind every keyword-argument macro: Keras's defaults first, then the caller's
 * designated initializers; the error mark is read before the arguments are evaluated, so that an
 * argument that failed (a NULL object after an error) can't pass as None. The pragmas also hide a
 * caller's own shadowing inside the arguments.
 */
#define KL_UNPAREN_(...) __VA_ARGS__
#define KL_CALL_(fn, T, defaults, ...)                                                             \
    __extension__({                                                                                \
        _Pragma("GCC diagnostic push")                                                             \
        _Pragma("GCC diagnostic ignored \"-Woverride-init\"")                                      \
        _Pragma("GCC diagnostic ignored \"-Wshadow\"")                                             \
        const unsigned kl_mark_ = kl_error_count();                                                \
        const T kl_args_ = {                                                                       \
            .size = sizeof(T), .mark = kl_mark_, KL_UNPAREN_ defaults, __VA_ARGS__};               \
        _Pragma("GCC diagnostic pop")                                                              \
        fn(&kl_args_);                                                                             \
    })
#endif

#ifdef __cplusplus
}
#endif
#endif
