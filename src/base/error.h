/* How the library's own code reports errors. */
#ifndef KL_BASE_ERROR_H
#define KL_BASE_ERROR_H

#include "klayers/base.h"

/*
 * A NULL argument where a value was needed. If an earlier error explains it (an expression chain
 * whose inner call failed), that first message stays; either way the count rises. Returns
 * KL_ERROR_INVALID.
 */
kl_status kl_error_null(const char *function, const char *argument);

/* Out of memory: works without allocating. */
kl_status kl_error_memory(void);

/* Puts "context: " before the last error's message, unless it begins so already. */
void kl_error_prefix(const char *context);

/*
 * Whether an argument struct may be used: not NULL, made by its defaults (`size` neither 0 nor
 * larger than `known`), and no error since `mark`. Sets the error, but keeps an argument's own.
 */
bool kl_args_usable(const char *function, const void *args, size_t size, size_t known,
                    unsigned mark);

/* Saves and restores the thread's error around clean-up code that may fail in its own right. */
typedef struct kl_saved_error {
    kl_status status;
    char message[1024];
} kl_saved_error;
void kl_error_save(kl_saved_error *saved);
void kl_error_restore(const kl_saved_error *saved);

/* What the static analyzer can't see from a caller's file: a reported error is never KL_OK. */
#if defined(__clang_analyzer__) && !defined(KL_DEFINES_ERRORS)
static inline kl_status kl_known_failure(kl_status status)
{
    if (status == KL_OK)
        __builtin_unreachable();
    return status;
}
#define kl_error(...)                       kl_known_failure(kl_error(__VA_ARGS__))
#define kl_error_null(function, arg)        kl_known_failure(kl_error_null(function, arg))
#define kl_error_memory()                   kl_known_failure(kl_error_memory())
#define kl_last_status()                    kl_known_failure(kl_last_status())
#define kl_args_usable(function, args, ...) ((args) && kl_args_usable(function, args, __VA_ARGS__))
#endif

#endif
