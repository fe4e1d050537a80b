#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"

static void *system_allocate(size_t size, void *user)
{
    return malloc(size);
}

static void *system_reallocate(void *memory, size_t size, void *user)
{
    return realloc(memory, size);
}

static void system_release(void *memory, void *user)
{
    free(memory);
}

static const kl_allocator system_allocator = {system_allocate, system_reallocate, system_release,
                                              NULL};
static kl_allocator current = {system_allocate, system_reallocate, system_release, NULL};
/* Pieces of memory handed out and not yet given back. */
static atomic_size_t outstanding;

kl_status kl_set_allocator(const kl_allocator *allocator)
{
    if (allocator && (!allocator->allocate || !allocator->reallocate || !allocator->release))
        return kl_error(KL_ERROR_INVALID,
                        "kl_set_allocator: allocate, reallocate and release must all be given");
    size_t held = atomic_load(&outstanding);
    if (held != 0)
        return kl_error(KL_ERROR_STATE,
                        "kl_set_allocator: the library still holds %zu pieces of memory; set the "
                        "allocator before its first use or after kl_shutdown()",
                        held);
    current = allocator ? *allocator : system_allocator;
    return KL_OK;
}

size_t kl_alloc_outstanding(void)
{
    return atomic_load(&outstanding);
}

static void *counted(void *memory)
{
    if (memory)
        atomic_fetch_add_explicit(&outstanding, 1, memory_order_relaxed);
    else
        kl_error_memory();
    return memory;
}

void *kl_malloc(size_t size)
{
    return counted(current.allocate(size ? size : 1, current.user));
}

void *kl_malloc_array(size_t count, size_t size)
{
    size_t bytes;
    if (!kl_size_mul(count, size, &bytes)) {
        kl_error_memory();
        return NULL;
    }
    return kl_malloc(bytes);
}

void *kl_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (!kl_size_mul(count, size, &bytes)) {
        kl_error_memory();
        return NULL;
    }
    void *memory = kl_malloc(bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void *kl_realloc(void *memory, size_t size)
{
    if (!memory)
        return kl_malloc(size);
    void *moved = current.reallocate(memory, size ? size : 1, current.user);
    if (!moved)
        kl_error_memory();
    return moved;
}

void *kl_realloc_array(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (!kl_size_mul(count, size, &bytes)) {
        kl_error_memory();
        return NULL;
    }
    return kl_realloc(memory, bytes);
}

void kl_free(void *memory)
{
    if (!memory)
        return;
    current.release(memory, current.user);
    atomic_fetch_sub_explicit(&outstanding, 1, memory_order_relaxed);
}

void *kl_memdup(const void *memory, size_t size)
{
    void *copy = kl_malloc(size);
    if (copy && size)
        memcpy(copy, memory, size);
    return copy;
}

char *kl_strndup(const char *text, size_t length)
{
    size_t used = strnlen(text, length);
    char *copy = kl_malloc_array(used + 1, 1);
    if (copy) {
        memcpy(copy, text, used);
        copy[used] = '\0';
    }
    return copy;
}

char *kl_strdup(const char *text)
{
    return kl_memdup(text, strlen(text) + 1);
}
