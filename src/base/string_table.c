#include "base/string_table.h"

#include <string.h>
#include "base/alloc.h"
#include "base/error.h"

enum { CHUNK_SIZE = 16384, SHORT = 8 };

struct kl_text_chunk {
    struct kl_text_chunk *before;
    size_t used, size;
    char bytes[];
};

/* ---- Keys ----------------------------------------------------------------------------------- */

typedef struct string_key {
    uint64_t word, hash;
    uint32_t tag;
} string_key;

static inline uint64_t load32(const char *text)
{
    const unsigned char *u = (const unsigned char *)text;
    return (uint64_t)u[0] | (uint64_t)u[1] << 8 | (uint64_t)u[2] << 16 | (uint64_t)u[3] << 24;
}

static inline uint64_t load64(const char *text)
{
    return load32(text) | load32(text + 4) << 32;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9E3779B97F4A7C15);
    a = (a ^ a >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return a ^ a >> 29;
}

/* Up to 8 bytes in one word, without a read outside of them. */
static inline uint64_t short_word(const char *text, size_t length)
{
    const unsigned char *u = (const unsigned char *)text;
    if (length >= 4)
        return load32(text) | load32(text + length - 4) << 8 * (length - 4);
    if (!length)
        return 0;
    return (uint64_t)u[0] | (uint64_t)u[length >> 1] << 8 * (length >> 1) |
           (uint64_t)u[length - 1] << 8 * (length - 1);
}

/* The word is the string itself as long as it fits, so that most strings are told apart without
   looking at their bytes elsewhere. */
static inline string_key key_of(const char *text, size_t length)
{
    string_key key = {.tag = (uint32_t)length};
    if (length <= SHORT) {
        key.word = short_word(text, length);
        key.hash = mix(key.word, length);
        return key;
    }
    uint64_t hash = length;
    for (size_t i = 0; i + 8 < length; i += 8)
        hash = mix(load64(text + i), hash);
    key.word = key.hash = mix(load64(text + length - 8), hash);
    key.tag = SHORT + 1;
    return key;
}

uint64_t kl_string_hash(const char *text, size_t length)
{
    return key_of(text, length).hash;
}

/* The slot that holds the string, or the empty one where it would go. */
static inline size_t find_slot(const kl_string_table *table, const string_key *key,
                               const char *text, size_t length)
{
    size_t last = table->slot_count - 1;
    for (size_t at = (size_t)key->hash & last;; at = (at + 1) & last) {
        const kl_string_slot *slot = &table->slots[at];
        if (!slot->number)
            return at;
        if (slot->word != key->word || slot->tag != key->tag)
            continue;
        const kl_string *held = &table->keys[slot->number - 1];
        if (length <= SHORT || (held->length == length && !memcmp(held->at, text, length)))
            return at;
    }
}

int64_t kl_string_table_find(const kl_string_table *table, const char *text, size_t length)
{
    if (!table->slot_count)
        return -1;
    const string_key key = key_of(text, length);
    return (int64_t)table->slots[find_slot(table, &key, text, length)].number - 1;
}

/* ---- Growing -------------------------------------------------------------------------------- */

static bool grow_slots(kl_string_table *table)
{
    size_t count = table->slot_count ? 2 * table->slot_count : 64;
    kl_string_slot *slots = kl_calloc(count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < table->slot_count; i++) {
        const kl_string_slot *slot = &table->slots[i];
        if (!slot->number)
            continue;
        size_t at = (size_t)(slot->tag <= SHORT ? mix(slot->word, slot->tag) : slot->word);
        while (slots[at & (count - 1)].number)
            at++;
        slots[at & (count - 1)] = *slot;
    }
    kl_free(table->slots);
    table->slots = slots;
    table->slot_count = count;
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

static int64_t add_key(kl_string_table *table, const string_key *key, const char *text,
                       size_t length, bool *added)
{
    if ((size_t)table->count * 2 >= table->slot_count && !grow_slots(table))
        return -1;
    kl_string_slot *slot = &table->slots[find_slot(table, key, text, length)];
    if (slot->number)
        return (int64_t)slot->number - 1;
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
    *slot = (kl_string_slot){key->word, key->tag, (uint32_t)++table->count};
    if (added)
        *added = true;
    return table->count - 1;
}

int64_t kl_string_table_add(kl_string_table *table, const char *text, size_t length, bool *added)
{
    if (added)
        *added = false;
    const string_key key = key_of(text, length);
    return add_key(table, &key, text, length, added);
}

/* ---- Several at once ------------------------------------------------------------------------ */

enum { AHEAD = 32 };

/* Long strings of large tables are far away themselves. */
enum { FAR = 8192 };

static void fetch_long(const kl_string_table *table, size_t count, const string_key keys[AHEAD])
{
    size_t last = table->slot_count - 1;
    const kl_string *held[AHEAD];
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const kl_string_slot *slot = &table->slots[(size_t)keys[i].hash & last];
        if (keys[i].tag <= SHORT || slot->word != keys[i].word || !slot->number)
            continue;
        held[most] = &table->keys[slot->number - 1];
        __builtin_prefetch(held[most++]);
    }
    for (size_t i = 0; i < most; i++)
        __builtin_prefetch(held[i]->at);
}

static size_t prepare(const kl_string_table *table, const kl_string *texts, size_t count,
                      string_key keys[AHEAD])
{
    size_t most = count < AHEAD ? count : AHEAD;
    for (size_t i = 0; i < most; i++) {
        keys[i] = key_of(texts[i].at, texts[i].length);
        if (table->slot_count)
            __builtin_prefetch(&table->slots[(size_t)keys[i].hash & (table->slot_count - 1)]);
    }
    if (table->count > FAR)
        fetch_long(table, most, keys);
    return most;
}

void kl_string_table_find_all(const kl_string_table *table, const kl_string *texts, size_t count,
                              int64_t *numbers)
{
    string_key keys[AHEAD];
    for (size_t done = 0, some; done < count; done += some) {
        some = prepare(table, texts + done, count - done, keys);
        for (size_t i = 0; i < some; i++) {
            const kl_string *text = &texts[done + i];
            numbers[done + i] = -1;
            if (table->slot_count)
                numbers[done + i] +=
                    table->slots[find_slot(table, &keys[i], text->at, text->length)].number;
        }
    }
}

void kl_string_table_find_words(const kl_string_table *table, const int64_t *words, size_t count,
                                int64_t *numbers)
{
    uint64_t keys[AHEAD], hashes[AHEAD];
    size_t last = table->slot_count - 1;
    for (size_t done = 0, some; done < count; done += some) {
        some = count - done < AHEAD ? count - done : AHEAD;
        for (size_t i = 0; i < some; i++) {
            keys[i] = load64((const char *)&words[done + i]);
            hashes[i] = mix(keys[i], sizeof *words);
            if (table->count > FAR)
                __builtin_prefetch(&table->slots[(size_t)hashes[i] & last]);
        }
        for (size_t i = 0; i < some; i++) {
            numbers[done + i] = -1;
            for (size_t at = (size_t)hashes[i] & last; table->slot_count; at = (at + 1) & last) {
                const kl_string_slot *slot = &table->slots[at];
                bool same = slot->word == keys[i] && slot->tag == sizeof *words;
                if (!slot->number || same) {
                    numbers[done + i] += slot->number;
                    break;
                }
            }
        }
    }
}

bool kl_string_table_add_all(kl_string_table *table, const kl_string *texts, size_t count,
                             int64_t *numbers)
{
    string_key keys[AHEAD];
    for (size_t done = 0, some; done < count; done += some) {
        some = prepare(table, texts + done, count - done, keys);
        for (size_t i = 0; i < some; i++) {
            const kl_string *text = &texts[done + i];
            numbers[done + i] = add_key(table, &keys[i], text->at, text->length, NULL);
            if (numbers[done + i] < 0)
                return false;
        }
    }
    return true;
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
