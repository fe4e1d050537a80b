/* A set of byte strings that gives each the number of its first adding. */
#ifndef KL_BASE_STRING_TABLE_H
#define KL_BASE_STRING_TABLE_H

#include "klayers/tensor.h"

typedef struct kl_string_table {
    kl_string *keys; /* in the order added; the bytes are the table's own */
    int64_t count, capacity;
    uint32_t *slots; /* open addressing: number plus one; 0 is empty */
    size_t slot_count;
    struct kl_text_chunk *chunks;
} kl_string_table;

/* The number of a string, or -1. */
int64_t kl_string_table_find(const kl_string_table *table, const char *text, size_t length);
/* The same, adding it at the end if it is new (*added, which may be NULL); -1 with an error. */
int64_t kl_string_table_add(kl_string_table *table, const char *text, size_t length, bool *added);
/* Frees what the table holds and leaves it empty. */
void kl_string_table_clear(kl_string_table *table);

#endif
