#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include "base/alloc.h"
#include "base/error.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(at, size)   __asan_poison_memory_region(at, size)
#define UNPOISON(at, size) __asan_unpoison_memory_region(at, size)
/* Bytes after each block that no one may touch, and access to the links in poisoned blocks. */
#define RED_ZONE  ((size_t)16)
#define UNCHECKED __attribute__((no_sanitize("address"), noinline))
#else
#define POISON(at, size)   ((void)(at), (void)(size))
#define UNPOISON(at, size) ((void)(at), (void)(size))
#define RED_ZONE           ((size_t)0)
#define UNCHECKED
#endif

#define UNIT        ((size_t)64)
#define FIRST_SLAB  ((size_t)64 << 10)
#define HUGE_PAGE   ((size_t)2 << 20) /* also the size of the slabs after the first */
#define CLASSES     52
#define LARGEST     ((size_t)1 << 20) /* the last class, header included */
#define LARGE       UINT32_MAX        /* the class of a block with a region of its own */
#define MAX_CACHED  256
#define MAX_TAILS   16
#define DEFAULT_CAP ((size_t)256 << 20)
#define SLAB_CAP    ((size_t)64 << 20)

/* In the 16 bytes before a block, so that the block itself begins on a 64-byte boundary. */
typedef struct header {
    kl_pool *pool;
    uint32_t class_index;
    uint32_t unused;
} header;

/* What a slab begins with: the header of its first block closes it. */
typedef struct slab {
    struct slab *next;
    void *memory; /* what the allocator gave */
    size_t held;
    char unused[24];
    header first;
} slab;

/* A block beyond LARGEST lies behind one of these, in a piece of memory of its own. */
typedef struct region {
    void *memory;
    size_t capacity, held;
    char unused[24];
    header head;
} region;

_Static_assert(sizeof(header) == 16, "a header fits between two blocks");
_Static_assert(sizeof(slab) == UNIT && sizeof(region) == UNIT, "the block after it is aligned");

typedef struct cached_region {
    size_t capacity;
    region *at;
} cached_region;

/* A part of a slab that no block was cut from yet. */
typedef struct span {
    char *at, *end;
} span;

struct kl_pool {
    void *free[CLASSES]; /* blocks given back, linked through their first word */
    span cut;            /* what blocks are cut from */
    size_t live;         /* blocks handed out and not yet seen back by this pool's thread */
    size_t in_use;       /* their bytes */
    size_t slab_held, large_held, large_in_use, large_peak, cached_bytes;
    slab *slabs;
    bool is_default;
    int tail_count, cached_count;
    span tails[MAX_TAILS];            /* of slabs that had no room for a large block */
    cached_region cached[MAX_CACHED]; /* oldest first */
    char apart[UNIT];                 /* other threads write what follows */
    _Atomic(void *) returned; /* blocks freed by other threads; CLOSED after kl_pool_close */
    atomic_size_t orphans;    /* then: blocks still out, and one for the closing call */
};

static char closed_mark;
#define CLOSED ((void *)&closed_mark)

/* The pool that this thread takes from; NULL until its default pool is needed. */
static _Thread_local kl_pool *active;
static _Thread_local kl_pool *default_pool;
static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
static bool have_thread_end;

UNCHECKED static void *next_of(void *block)
{
    return *(void **)block;
}

UNCHECKED static void link_to(void *block, void *next)
{
    *(void **)block = next;
}

static header *header_of(void *block)
{
    return (header *)block - 1;
}

static region *region_of(void *block)
{
    return (region *)block - 1;
}

/* Four classes a power of two: 1 2 3 4 | 5 6 7 8 | 10 12 14 16 | 20 ... units. */
static inline uint32_t class_of_units(size_t units)
{
    size_t last = units - 1;
    if (last < 4)
        return (uint32_t)last;
    uint32_t bit = 63u - (uint32_t)__builtin_clzll(last);
    return 4 * (bit - 1) + ((uint32_t)(last >> (bit - 2)) & 3);
}

static inline size_t units_of_class(uint32_t class_index)
{
    if (class_index < 4)
        return class_index + 1;
    return (size_t)(5 + class_index % 4) << ((class_index / 4 - 1) & 63);
}

/* From one block of a class to the next; the last 16 bytes are the next one's header. */
static inline size_t stride_of(uint32_t class_index)
{
    return units_of_class(class_index) * UNIT;
}

/* The first huge-page boundary in a piece of memory, advised to be backed by huge pages. */
static char *huge_start(void *memory, size_t size)
{
    char *start = (char *)memory + (-(uintptr_t)memory & (HUGE_PAGE - 1));
    madvise(start, size, MADV_HUGEPAGE);
    return start;
}

/* ---- Blocks with a region of their own ------------------------------------------------------ */

static void free_region(region *r)
{
    UNPOISON(r, sizeof *r + r->capacity);
    kl_free(r->memory);
}

static region *new_region(kl_pool *pool, size_t size)
{
    size_t units = (size + sizeof(region) + UNIT - 1) / UNIT;
    size_t whole = stride_of(class_of_units(units));
    whole = (whole + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    size_t held = whole + HUGE_PAGE;
    void *memory = kl_malloc(held);
    if (!memory)
        return NULL;
    region *r = (region *)(void *)huge_start(memory, whole);
    *r = (region){.memory = memory, .capacity = whole - sizeof(region), .held = held};
    r->head = (header){.pool = pool, .class_index = LARGE};
    pool->large_held += held;
    return r;
}

static region *take_cached(kl_pool *pool, int i)
{
    region *r = pool->cached[i].at;
    pool->cached_bytes -= r->capacity;
    pool->cached_count--;
    memmove(&pool->cached[i], &pool->cached[i + 1],
            (size_t)(pool->cached_count - i) * sizeof *pool->cached);
    return r;
}

static void drop_oldest_cached(kl_pool *pool)
{
    region *r = take_cached(pool, 0);
    pool->large_held -= r->held;
    free_region(r);
}

/* The smallest cached region that holds `size` and is at most about a quarter larger. */
static region *find_cached(kl_pool *pool, size_t size)
{
    int best = -1;
    size_t most = size + size / 4 + HUGE_PAGE;
    for (int i = 0; i < pool->cached_count; i++) {
        size_t capacity = pool->cached[i].capacity;
        if (capacity >= size && capacity <= most &&
            (best < 0 || capacity < pool->cached[best].capacity))
            best = i;
    }
    return best < 0 ? NULL : take_cached(pool, best);
}

static void cache_region(kl_pool *pool, region *r)
{
    size_t limit = 2 * pool->large_peak;
    if (pool->is_default || limit < DEFAULT_CAP)
        limit = DEFAULT_CAP;
    if (pool->cached_count == MAX_CACHED)
        drop_oldest_cached(pool);
    pool->cached[pool->cached_count++] = (cached_region){r->capacity, r};
    pool->cached_bytes += r->capacity;
    while (pool->cached_bytes > limit)
        drop_oldest_cached(pool);
}

/* ---- Blocks cut from slabs ------------------------------------------------------------------ */

static void keep_block(kl_pool *pool, void *block, uint32_t class_index)
{
    link_to(block, pool->free[class_index]);
    pool->free[class_index] = block;
}

static size_t left_in(span s)
{
    return (size_t)(s.end - s.at);
}

static void *cut_block(kl_pool *pool, span *from, uint32_t class_index)
{
    void *block = from->at;
    from->at += stride_of(class_index);
    *header_of(block) = (header){.pool = pool, .class_index = class_index};
    POISON(block, stride_of(class_index) - sizeof(header));
    return block;
}

/* Sets what is left of the present slab aside, to be cut once it suffices again. */
static void set_tail_aside(kl_pool *pool)
{
    if (left_in(pool->cut) == 0)
        return;
    if (pool->tail_count < MAX_TAILS) {
        pool->tails[pool->tail_count++] = pool->cut;
        return;
    }
    while (left_in(pool->cut) > 0) {
        size_t units = left_in(pool->cut) / UNIT;
        uint32_t class_index = class_of_units(units);
        if (units_of_class(class_index) > units)
            class_index--;
        keep_block(pool, cut_block(pool, &pool->cut, class_index), class_index);
    }
}

static bool use_tail(kl_pool *pool, size_t needed)
{
    for (int i = 0; i < pool->tail_count; i++) {
        if (left_in(pool->tails[i]) < needed)
            continue;
        span tail = pool->tails[i];
        pool->tails[i] = pool->tails[--pool->tail_count];
        set_tail_aside(pool);
        pool->cut = tail;
        return true;
    }
    return false;
}

static bool add_slab(kl_pool *pool, size_t needed)
{
    bool first = !pool->slabs && needed + 2 * UNIT <= FIRST_SLAB;
    size_t held = first ? FIRST_SLAB : 2 * HUGE_PAGE;
    void *memory = kl_malloc(held);
    if (!memory)
        return false;
    set_tail_aside(pool);
    char *start, *end;
    if (first) {
        start = (char *)memory + (-(uintptr_t)memory & (UNIT - 1));
        end = start + FIRST_SLAB - UNIT;
    } else {
        start = huge_start(memory, HUGE_PAGE);
        end = start + HUGE_PAGE;
    }
    slab *s = (slab *)(void *)start;
    *s = (slab){.next = pool->slabs, .memory = memory, .held = held};
    pool->slabs = s;
    pool->slab_held += held;
    pool->cut = (span){start + sizeof(slab), end};
    return true;
}

static void free_slabs(kl_pool *pool)
{
    while (pool->slabs) {
        slab *s = pool->slabs;
        pool->slabs = s->next;
        UNPOISON(s->memory, s->held);
        kl_free(s->memory);
    }
    memset(pool->free, 0, sizeof pool->free);
    pool->cut = (span){NULL, NULL};
    pool->tail_count = 0;
    pool->slab_held = 0;
}

/* ---- Giving blocks back --------------------------------------------------------------------- */

static void poison_block(void *block, uint32_t class_index)
{
    if (class_index == LARGE)
        POISON(block, region_of(block)->capacity);
    else
        POISON(block, stride_of(class_index) - sizeof(header));
}

/* Takes a poisoned block back, on the pool's own thread. */
static inline void take_back(kl_pool *pool, void *block, uint32_t class_index)
{
    pool->live--;
    if (class_index == LARGE) {
        region *r = region_of(block);
        pool->in_use -= r->capacity;
        pool->large_in_use -= r->capacity;
        cache_region(pool, r);
    } else {
        pool->in_use -= stride_of(class_index);
        keep_block(pool, block, class_index);
    }
    if (pool->live == 0 && pool->is_default && pool->slab_held > SLAB_CAP)
        free_slabs(pool);
}

static void collect_returned(kl_pool *pool)
{
    if (!atomic_load_explicit(&pool->returned, memory_order_relaxed))
        return;
    void *block = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (block) {
        void *next = next_of(block);
        take_back(pool, block, header_of(block)->class_index);
        block = next;
    }
}

static void destroy(kl_pool *pool)
{
    while (pool->cached_count > 0)
        drop_oldest_cached(pool);
    free_slabs(pool);
    kl_free(pool);
}

/* Counts `count` blocks of a closed pool as returned; the last one ends the pool. */
static void settle_orphans(kl_pool *pool, size_t count)
{
    if (atomic_fetch_sub_explicit(&pool->orphans, count, memory_order_acq_rel) == count)
        destroy(pool);
}

static void return_from_elsewhere(kl_pool *pool, void *block, uint32_t class_index)
{
    void *head = atomic_load_explicit(&pool->returned, memory_order_acquire);
    do {
        if (head == CLOSED) {
            if (class_index == LARGE)
                free_region(region_of(block));
            settle_orphans(pool, 1);
            return;
        }
        link_to(block, head);
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, block,
                                                    memory_order_acq_rel, memory_order_acquire));
}

void kl_block_free(void *block)
{
    if (!block)
        return;
    kl_pool *pool = header_of(block)->pool;
    uint32_t class_index = header_of(block)->class_index;
    poison_block(block, class_index);
    if (pool == active)
        take_back(pool, block, class_index);
    else
        return_from_elsewhere(pool, block, class_index);
}

/* ---- Handing blocks out --------------------------------------------------------------------- */

static void *more_blocks(kl_pool *pool, uint32_t class_index)
{
    collect_returned(pool);
    void *block = pool->free[class_index];
    if (block) {
        pool->free[class_index] = next_of(block);
        return block;
    }
    size_t needed = stride_of(class_index);
    if (left_in(pool->cut) < needed && !use_tail(pool, needed) && !add_slab(pool, needed))
        return NULL;
    return cut_block(pool, &pool->cut, class_index);
}

static void *large_block(kl_pool *pool, size_t size)
{
    if (size > PTRDIFF_MAX / 4) {
        kl_error_memory();
        return NULL;
    }
    collect_returned(pool);
    region *r = find_cached(pool, size);
    if (!r)
        r = new_region(pool, size);
    if (!r)
        return NULL;
    pool->live++;
    pool->in_use += r->capacity;
    pool->large_in_use += r->capacity;
    if (pool->large_in_use > pool->large_peak)
        pool->large_peak = pool->large_in_use;
    void *block = r + 1;
    POISON(block, r->capacity);
    UNPOISON(block, size);
    return block;
}

static void close_at_thread_end(void *pool)
{
    if (pool == default_pool)
        kl_pool_drop_default();
}

static void watch_thread_ends(void)
{
    have_thread_end = pthread_key_create(&thread_end, close_at_thread_end) == 0;
}

/* Threads that outlive an unloaded library must not call into it. */
__attribute__((destructor)) static void unwatch_thread_ends(void)
{
    if (have_thread_end)
        pthread_key_delete(thread_end);
    have_thread_end = false;
}

static kl_pool *make_default(void)
{
    pthread_once(&thread_end_once, watch_thread_ends);
    kl_pool *pool = kl_pool_new();
    if (!pool)
        return NULL;
    pool->is_default = true;
    default_pool = active = pool;
    if (have_thread_end)
        pthread_setspecific(thread_end, pool);
    return pool;
}

void *kl_block_alloc(size_t size)
{
    kl_pool *pool = active;
    if (!pool && !(pool = make_default()))
        return NULL;
    if (size > LARGEST - sizeof(header) - RED_ZONE)
        return large_block(pool, size);
    uint32_t class_index = class_of_units((size + sizeof(header) + RED_ZONE + UNIT - 1) / UNIT);
    void *block = pool->free[class_index];
    if (block)
        pool->free[class_index] = next_of(block);
    else if (!(block = more_blocks(pool, class_index)))
        return NULL;
    pool->live++;
    pool->in_use += stride_of(class_index);
    UNPOISON(block, size);
    return block;
}

/* ---- Pools ---------------------------------------------------------------------------------- */

kl_pool *kl_pool_new(void)
{
    kl_pool *pool = kl_calloc(1, sizeof *pool);
    if (pool) {
        atomic_init(&pool->returned, NULL);
        atomic_init(&pool->orphans, 0);
    }
    return pool;
}

void kl_pool_close(kl_pool *pool)
{
    if (!pool)
        return;
    if (active == pool)
        active = default_pool == pool ? NULL : default_pool;
    collect_returned(pool);
    while (pool->cached_count > 0)
        drop_oldest_cached(pool);
    atomic_store_explicit(&pool->orphans, pool->live + 1, memory_order_relaxed);
    size_t settled = 1;
    void *block = atomic_exchange_explicit(&pool->returned, CLOSED, memory_order_acq_rel);
    while (block) {
        void *next = next_of(block);
        if (header_of(block)->class_index == LARGE)
            free_region(region_of(block));
        settled++;
        block = next;
    }
    settle_orphans(pool, settled);
}

kl_pool *kl_pool_enter(kl_pool *pool)
{
    kl_pool *before = active == default_pool ? NULL : active;
    active = pool ? pool : default_pool;
    return before;
}

void kl_pool_drop_default(void)
{
    kl_pool *pool = default_pool;
    if (!pool)
        return;
    if (have_thread_end)
        pthread_setspecific(thread_end, NULL);
    kl_pool_close(pool);
    default_pool = NULL;
    if (active == pool)
        active = NULL;
}

kl_pool_stats kl_pool_get_stats(kl_pool *pool)
{
    if (!pool)
        pool = default_pool;
    if (!pool)
        return (kl_pool_stats){0, 0};
    collect_returned(pool);
    return (kl_pool_stats){pool->slab_held + pool->large_held, pool->in_use};
}
