#include "base/session.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"

#include "base/pool.h"
#include "base/str.h"
#include "base/thread_pool.h"

enum { MAX_CLEANERS = 32 };

typedef struct name_counter {
    char *name;
    uint64_t used;
} name_counter;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static name_counter *counters;
static size_t counter_count, counter_capacity;
static void (*cleaners[MAX_CLEANERS])(void);
static size_t cleaner_count;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void lock_for_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
    pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork);
}

static void take_lock(void)
{
    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&lock);
}

/* The counter of a snake_case name, made if it isn't there; NULL on no memory. */
static name_counter *find_counter(const char *name)
{
    for (size_t i = 0; i < counter_count; i++)
        if (strcmp(counters[i].name, name) == 0)
            return &counters[i];
    if (counter_count == counter_capacity) {
        size_t capacity = counter_capacity ? 2 * counter_capacity : 16;
        name_counter *grown = kl_realloc_array(counters, capacity, sizeof *counters);
        if (!grown)
            return NULL;
        counters = grown;
        counter_capacity = capacity;
    }
    char *copy = kl_strdup(name);
    if (!copy)
        return NULL;
    counters[counter_count] = (name_counter){copy, 0};
    return &counters[counter_count++];
}

static kl_status count_name(const char *base, char *out, size_t size)
{
    name_counter *counter = find_counter(base);
    if (!counter)
        return KL_ERROR_MEMORY;
    int length = counter->used == 0
                     ? snprintf(out, size, "%s", base)
                     : snprintf(out, size, "%s_%llu", base, (unsigned long long)counter->used);
    if (length < 0 || (size_t)length >= size)
        return kl_error(KL_ERROR_RANGE,
                        "the automatic name \"%s_%llu\" is too long: at most %zu "
                        "bytes",
                        base, (unsigned long long)counter->used, size - 1);
    counter->used++;
    return KL_OK;
}

kl_status kl_unique_name(const char *class_name, char *out, size_t size)
{
    if (!class_name)
        return kl_error_null("kl_unique_name", "class_name");
    char base[256];
    if (size == 0 || !kl_to_snake_case(class_name, base, sizeof base))
        return kl_error(KL_ERROR_RANGE, "the class name \"%.64s...\" is too long to name a layer",
                        class_name);
    take_lock();
    kl_status status = count_name(base, out, size);
    pthread_mutex_unlock(&lock);
    return status;
}

void kl_clear_session(void)
{
    take_lock();
    for (size_t i = 0; i < counter_count; i++)
        kl_free(counters[i].name);
    kl_free(counters);
    counters = NULL;
    counter_count = counter_capacity = 0;
    pthread_mutex_unlock(&lock);
}

void kl_at_shutdown(void (*clean)(void))
{
    take_lock();
    size_t i = 0;
    while (i < cleaner_count && cleaners[i] != clean)
        i++;
    if (i == cleaner_count && i < MAX_CLEANERS)
        cleaners[cleaner_count++] = clean;
    pthread_mutex_unlock(&lock);
}

void kl_shutdown(void)
{
    kl_thread_pool_stop();
    take_lock();
    size_t count = cleaner_count;
    void (*clean[MAX_CLEANERS])(void);
    memcpy(clean, cleaners, sizeof clean);
    cleaner_count = 0;
    pthread_mutex_unlock(&lock);
    while (count > 0)
        clean[--count]();
    kl_clear_session();
    kl_pool_drop_default();
}

const char *kl_version(void)
{
    return KL_VERSION;
}
