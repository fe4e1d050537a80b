#include "tensor/scope.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/session.h"

/* Memory handed out by kl_scope_alloc; blocks are kept for later scopes. */
typedef struct arena_block {
    struct arena_block *next;
    size_t size, used;
    max_align_t memory[];
} arena_block;

struct kl_scope {
    size_t first; /* index of its first tensor in the thread's list */
    arena_block *block;
    size_t used; /* of `block` when the scope began */
};

#define SCOPE_CHUNK 32
typedef struct scope_chunk {
    struct scope_chunk *before;
    kl_scope at[SCOPE_CHUNK];
} scope_chunk;

/* One list of held tensors a thread; scopes are marks in it. */
typedef struct scope_stack {
    kl_tensor **held;
    size_t count, capacity;
    scope_chunk *chunk; /* the newest; scopes never move, as callers hold pointers to them */
    size_t depth;       /* of all open scopes */
    arena_block *arena, *block; /* the first block, and the one in use */
    bool watched;
    scope_chunk first;
} scope_stack;

static _Thread_local scope_stack stack;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

void kl_scope_drop_cache(void)
{
    if (stack.depth)
        return;
    for (arena_block *block = stack.arena, *next; block; block = next) {
        next = block->next;
        kl_free(block);
    }
    kl_free(stack.held);
    stack = (scope_stack){0};
}

static void at_thread_exit(void *unused)
{
    while (stack.depth)
        kl_scope_end_keeping(&stack.chunk->at[(stack.depth - 1) % SCOPE_CHUNK], 0, NULL);
    kl_scope_drop_cache();
}

static void make_exit_key(void)
{
    pthread_key_create(&exit_key, at_thread_exit);
}

bool kl_scope_is_open(void)
{
    return stack.depth > 0;
}

static void watch_thread(void)
{
    stack.watched = true;
    kl_at_shutdown(kl_scope_drop_cache);
    pthread_once(&exit_once, make_exit_key);
    pthread_setspecific(exit_key, &stack);
}

/* The first scopes take no memory: whoever can't have one further in has an outer one that takes
   what the missing one would have. */
kl_scope *kl_scope_begin(void)
{
    if (!stack.watched)
        watch_thread();
    if (stack.depth == 0) {
        stack.chunk = &stack.first;
    } else if (stack.depth % SCOPE_CHUNK == 0) {
        scope_chunk *chunk = kl_malloc(sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->before = stack.chunk;
        stack.chunk = chunk;
    }
    kl_scope *scope = &stack.chunk->at[stack.depth++ % SCOPE_CHUNK];
    scope->first = stack.count;
    scope->block = stack.block;
    scope->used = stack.block ? stack.block->used : 0;
    return scope;
}

bool kl_scope_take(kl_tensor *tensor)
{
    if (!stack.depth)
        return false;
    if (stack.count == stack.capacity) {
        size_t capacity = stack.capacity ? 2 * stack.capacity : 256;
        kl_tensor **grown = kl_realloc_array(stack.held, capacity, sizeof *grown);
        if (!grown)
            return false;
        stack.held = grown;
        stack.capacity = capacity;
    }
    stack.held[stack.count++] = tensor;
    return true;
}

/* Takes `tensor` out of the list from `first` on; false if it isn't there. */
static bool remove_held(kl_tensor *tensor, size_t first)
{
    for (size_t i = stack.count; i-- > first;) {
        if (stack.held[i] == tensor) {
            memmove(stack.held + i, stack.held + i + 1, (stack.count - i - 1) * sizeof *stack.held);
            stack.count--;
            return true;
        }
    }
    return false;
}

kl_tensor *kl_scope_detach(kl_tensor *tensor)
{
    if (!tensor || !stack.depth || !remove_held(tensor, 0))
        return tensor;
    kl_retain(tensor);
    kl_unhold(tensor);
    return tensor;
}

kl_tensor *kl_scope_share(kl_tensor *tensor)
{
    if (!stack.depth)
        return kl_retain(tensor);
    if (!kl_scope_take(tensor))
        return NULL;
    return kl_hold(tensor);
}

/* The first chunk stays. */
static void pop_scope(void)
{
    stack.depth--;
    if (stack.depth % SCOPE_CHUNK == 0 && stack.depth) {
        scope_chunk *chunk = stack.chunk;
        stack.chunk = chunk->before;
        kl_free(chunk);
    }
}

void kl_scope_end_keeping(kl_scope *scope, size_t count, kl_tensor *const *keep)
{
    if (!scope || !stack.depth)
        return;
    size_t first = scope->first;
    bool outer = stack.depth > 1;
    /* Kept tensors of this scope move to the front of its part of the list, where the outer scope's
       part goes on; without one the caller gets the reference. */
    size_t kept = 0;
    for (size_t k = 0; k < count; k++) {
        if (!keep[k])
            continue;
        for (size_t i = first + kept; i < stack.count; i++) {
            if (stack.held[i] != keep[k])
                continue;
            stack.held[i] = stack.held[first + kept];
            stack.held[first + kept] = keep[k];
            kept++;
            break;
        }
    }
    for (size_t i = stack.count; i-- > first + kept;)
        kl_unhold(stack.held[i]);
    stack.count = first + kept;
    if (!outer) {
        for (size_t i = first; i < stack.count; i++) {
            kl_retain(stack.held[i]);
            kl_unhold(stack.held[i]);
        }
        stack.count = first;
    }
    for (arena_block *block = scope->block ? scope->block->next : stack.arena; block;
         block = block->next)
        block->used = 0;
    stack.block = scope->block ? scope->block : stack.arena;
    if (scope->block)
        scope->block->used = scope->used;
    pop_scope();
}

void kl_scope_end_array_(void *const *scope_and_keep, size_t count)
{
    if (count && scope_and_keep)
        kl_scope_end_keeping(scope_and_keep[0], count - 1,
                             (kl_tensor *const *)(scope_and_keep + 1));
}

void *kl_scope_alloc(size_t size)
{
    if (!stack.depth) {
        kl_error(KL_ERROR_STATE, "memory of a scope was asked for without an open scope");
        return NULL;
    }
    const size_t align = sizeof(max_align_t);
    if (size > SIZE_MAX - 65536) {
        kl_error_memory();
        return NULL;
    }
    size = (size + align - 1) / align * align;
    arena_block **link = &stack.arena;
    if (stack.block) {
        if (stack.block->size - stack.block->used >= size) {
            void *memory = (char *)stack.block->memory + stack.block->used;
            stack.block->used += size;
            return memory;
        }
        link = &stack.block->next;
    }
    while (*link && (*link)->size < size)
        link = &(*link)->next;
    if (!*link) {
        size_t room = size > 16384 ? size : 16384;
        arena_block *block = kl_malloc(sizeof *block + room);
        if (!block)
            return NULL;
        *block = (arena_block){.size = room};
        *link = block;
    }
    /* Blocks passed over for being small stay unused until the scope ends. */
    stack.block = *link;
    stack.block->used = size;
    return stack.block->memory;
}
