#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "tensor/tensor.h"

struct kl_arena_chunk {
    struct kl_arena_chunk *before;
    size_t size, used;
    char bytes[];
};

static void free_chunks(struct kl_arena_chunk *chunk)
{
    for (struct kl_arena_chunk *before; chunk; chunk = before) {
        before = chunk->before;
        kl_free(chunk);
    }
}

/* What a string tensor's buffer releases: the items, and the arena as `user`. */
static void release_strings(void *items, void *arena)
{
    kl_free(items);
    free_chunks(arena);
}

static char *arena_room(kl_string_builder *b, size_t length)
{
    struct kl_arena_chunk *chunk = b->arena;
    if (!chunk || chunk->size - chunk->used < length) {
        size_t size = length > 4096 ? length : 4096;
        chunk = kl_malloc(sizeof *chunk + size);
        if (!chunk)
            return NULL;
        chunk->before = b->arena;
        chunk->size = size;
        chunk->used = 0;
        b->arena = chunk;
    }
    char *room = chunk->bytes + chunk->used;
    chunk->used += length;
    return room;
}

void kl_string_builder_add(kl_string_builder *b, const char *text, size_t length)
{
    if (b->failed)
        return;
    if (b->count == b->capacity) {
        int64_t capacity = b->capacity ? 2 * b->capacity : 64;
        kl_string *grown = kl_realloc_array(b->items, (size_t)capacity, sizeof *grown);
        if (!grown) {
            b->failed = true;
            return;
        }
        b->items = grown;
        b->capacity = capacity;
    }
    char *room = length ? arena_room(b, length) : "";
    if (!room) {
        b->failed = true;
        return;
    }
    if (length)
        memcpy(room, text, length);
    b->items[b->count++] = (kl_string){room, length};
}

void kl_string_builder_free(kl_string_builder *b)
{
    release_strings(b->items, b->arena);
    *b = (kl_string_builder){0};
}

kl_tensor *kl_string_builder_finish(kl_string_builder *b, int rank, const int64_t *shape)
{
    int64_t size;
    bool good = !b->failed && kl_shape_size(rank, shape, &size);
    if (good && size != b->count) {
        kl_error(KL_ERROR_SHAPE, "%lld strings don't fill a shape of %lld elements",
                 (long long)b->count, (long long)size);
        good = false;
    }
    if (good && !b->items) {
        b->items = kl_malloc(sizeof *b->items);
        good = b->items != NULL;
    }
    if (!good) {
        kl_string_builder_free(b);
        return NULL;
    }
    kl_string *items = b->items;
    struct kl_arena_chunk *arena = b->arena;
    *b = (kl_string_builder){0};
    return kl_wrap(KL_STRING, rank, shape, NULL, items, release_strings, arena);
}
