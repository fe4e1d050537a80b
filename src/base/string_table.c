#include "base/string_table.h"

#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"

enum { CHUNK_SIZE = 16384 };

struct kl_text_chunk {
    struct kl_text_chunk *before;
    size_t used, size;
    char bytes[];
};

/* The slot that holds the string, or the empty one where it would go. */
static size_t find_slot(const kl_string_table *table, const char *text, size_t length)
{
    size_t slot = (size_t)kl_fingerprint64(text, length) & (table->slot_count - 1);
    for (;; slot = (slot + 1) & (table->slot_count - 1)) {
        if (!table->slots[slot])
            return slot;
        const kl_string *key = &table->keys[table->slots[slot] - 1];
        if (key->length == length && (!length || !memcmp(key->at, text, length)))
            return slot;
    }
}

int64_t kl_string_table_find(const kl_string_table *table, const char *text, size_t length)
{
    if (!table->slot_count)
        return -1;
    return (int64_t)table->slots[find_slot(table, text, length)] - 1;
}

static bool grow_slots(kl_string_table *table)
{
    size_t count = table->slot_count ? 2 * table->slot_count : 64;
    uint32_t *slots = kl_calloc(count, sizeof *slots);
    if (!slots)
        return false;
    kl_free(table->slots);
    table->slots = slots;
    table->slot_count = count;
    for (int64_t i = 0; i < table->count; i++)
        slots[find_slot(table, table->keys[i].at, table->keys[i].length)] = (uint32_t)(i + 1);
    return true;
}

static bool grow_keys(kl_string_table *table)
{
    int64_t capacity = table->capacity ? 2 * table->capacity : 32;
    kl_string *keys = kl_realloc_array(table->keys, (size_t)capacity, sizeof *keys);
    if (!keys)
        return false;
    table->keys = keys;
    table->capacity = capacity;
    return true;
}

static char *keep(kl_string_table *table, const char *text, size_t length)
{
    struct kl_text_chunk *chunk = table->chunks;
    if (!chunk || chunk->size - chunk->used < length) {
        size_t size = length > CHUNK_SIZE ? length : CHUNK_SIZE, total;
        if (!kl_size_add(size, sizeof *chunk, &total)) {
            kl_error_memory();
            return NULL;
        }
        chunk = kl_malloc(total);
        if (!chunk)
            return NULL;
        *chunk = (struct kl_text_chunk){.before = table->chunks, .size = size};
        table->chunks = chunk;
    }
    char *at = chunk->bytes + chunk->used;
    if (length)
        memcpy(at, text, length);
    chunk->used += length;
    return at;
}

int64_t kl_string_table_add(kl_string_table *table, const char *text, size_t length, bool *added)
{
    if (added)
        *added = false;
    if ((size_t)table->count * 2 >= table->slot_count && !grow_slots(table))
        return -1;
    size_t slot = find_slot(table, text, length);
    if (table->slots[slot])
        return (int64_t)table->slots[slot] - 1;
    if (table->count == INT32_MAX) {
        kl_error(KL_ERROR_RANGE, "more than %d different strings", INT32_MAX);
        return -1;
    }
    if (table->count == table->capacity && !grow_keys(table))
        return -1;
    char *at = keep(table, text, length);
    if (!at)
        return -1;
    table->keys[table->count] = (kl_string){at, length};
    table->slots[slot] = (uint32_t)++table->count;
    if (added)
        *added = true;
    return table->count - 1;
}

void kl_string_table_clear(kl_string_table *table)
{
    for (struct kl_text_chunk *chunk = table->chunks, *before; chunk; chunk = before) {
        before = chunk->before;
        kl_free(chunk);
    }
    kl_free(table->keys);
    kl_free(table->slots);
    *table = (kl_string_table){0};
}
