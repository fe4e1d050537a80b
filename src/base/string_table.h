/* A set of byte strings that gives each the number of its first adding. */
#ifndef KL_BASE_STRING_TABLE_H
#define KL_BASE_STRING_TABLE_H

#include "klayers/tensor.h"

typedef struct kl_string_slot {
    uint64_t word;   /* the bytes of a short string, else its hash */
    uint32_t tag;    /* a short string's length, or 9 */
    uint32_t number; /* plus one; 0 is empty */
} kl_string_slot;

typedef struct kl_string_table {
    kl_string *keys; /* in the order added; the bytes are the table's own */
    int64_t count, capacity;
    kl_string_slot *slots; /* open addressing */
    size_t slot_count;
    struct kl_text_chunk *chunks;
} kl_string_table;

/* What strings are found by: not the same on every machine. */
uint64_t kl_string_hash(const char *text, size_t length);

/* The number of a string, or -1. */
int64_t kl_string_table_find(const kl_string_table *table, const char *text, size_t length);
/* Of several at once, which hides the memory's latency. */
void kl_string_table_find_all(const kl_string_table *table, const kl_string *texts, size_t count,
                              int64_t *numbers);
/* Of numbers, each of which stands in the table as its 8 bytes. */
void kl_string_table_find_words(const kl_string_table *table, const int64_t *words, size_t count,
                                int64_t *numbers);
/* The same as find, adding it at the end if it is new (*added, which may be NULL); -1 with an
   error. */
int64_t kl_string_table_add(kl_string_table *table, const char *text, size_t length, bool *added);
/* Of several at once; false with an error. */
bool kl_string_table_add_all(kl_string_table *table, const kl_string *texts, size_t count,
                             int64_t *numbers);
/* Frees what the table holds and leaves it empty. */
void kl_string_table_clear(kl_string_table *table);

#endif
