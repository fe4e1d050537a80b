/* The library's own allocations: all go through the replaceable allocator. */
#ifndef KL_BASE_ALLOC_H
#define KL_BASE_ALLOC_H

#include "klayers/base.h"

/* NULL with KL_ERROR_MEMORY set when memory runs out. A size of 0 gives a valid pointer. */
void *kl_malloc(size_t size);
void *kl_calloc(size_t count, size_t size);
void *kl_realloc(void *memory, size_t size);
/* An array of `count` elements, with overflow check. */
void *kl_malloc_array(size_t count, size_t size);
void *kl_realloc_array(void *memory, size_t count, size_t size);
void kl_free(void *memory);
char *kl_strdup(const char *text);
char *kl_strndup(const char *text, size_t length);
void *kl_memdup(const void *memory, size_t size);

/* How many pieces of memory the library holds; kl_set_allocator needs 0. */
size_t kl_alloc_outstanding(void);

/* Products and sums with overflow check: false if the result does not fit. */
static inline bool kl_size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool kl_size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool kl_i64_mul(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

#endif
