#include "layers/preprocessing/token_counts.h"

#include "base/alloc.h"

enum { AT_ONCE = 64 };

/* An entry for every token of the table. */
static bool make_room(kl_token_counts *c)
{
    int64_t capacity = c->capacity ? c->capacity : 64;
    while (capacity < c->tokens.count)
        capacity *= 2;
    struct kl_token_count *grown = kl_realloc_array(c->at, (size_t)capacity, sizeof *grown);
    if (!grown)
        return false;
    for (int64_t i = c->capacity; i < capacity; i++)
        grown[i] = (struct kl_token_count){.last_document = -1};
    c->at = grown;
    c->capacity = capacity;
    return true;
}

/* Of one document, or by token if `documents` are given. */
static bool count_all(kl_token_counts *c, const kl_string *tokens, size_t count,
                      const int64_t *documents, int64_t document)
{
    int64_t numbers[AT_ONCE];
    for (size_t done = 0, some; done < count; done += some) {
        some = count - done < AT_ONCE ? count - done : AT_ONCE;
        if (!kl_string_table_add_all(&c->tokens, tokens + done, some, numbers))
            return false;
        if (c->tokens.count > c->capacity && !make_room(c))
            return false;
        for (size_t i = 0; i < some; i++) {
            struct kl_token_count *seen = &c->at[numbers[i]];
            int64_t at = documents ? documents[done + i] : document;
            seen->count++;
            seen->documents += seen->last_document != at;
            seen->last_document = at;
        }
    }
    return true;
}

bool kl_token_counts_add(kl_token_counts *c, const kl_string *tokens, size_t count,
                         int64_t document)
{
    return count_all(c, tokens, count, NULL, document);
}

bool kl_token_counts_add_each(kl_token_counts *c, const kl_string *tokens, size_t count,
                              const int64_t *documents)
{
    return count_all(c, tokens, count, documents, 0);
}

bool kl_token_counts_merge(kl_token_counts *into, const kl_token_counts *from)
{
    for (int64_t i = 0; i < from->tokens.count; i++) {
        kl_string text = from->tokens.keys[i];
        int64_t number = kl_string_table_add(&into->tokens, text.at, text.length, NULL);
        if (number < 0 || (into->tokens.count > into->capacity && !make_room(into)))
            return false;
        into->at[number].count += from->at[i].count;
        into->at[number].documents += from->at[i].documents;
    }
    into->documents += from->documents;
    return true;
}

void kl_token_counts_clear(kl_token_counts *c)
{
    kl_string_table_clear(&c->tokens);
    kl_free(c->at);
    *c = (kl_token_counts){0};
}
