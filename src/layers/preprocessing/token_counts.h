/* How often tokens were seen, while a vocabulary is learned. */
#ifndef KL_LAYERS_PREPROCESSING_TOKEN_COUNTS_H
#define KL_LAYERS_PREPROCESSING_TOKEN_COUNTS_H

#include "base/string_table.h"

typedef struct kl_token_counts {
    kl_string_table tokens;
    struct kl_token_count {
        int64_t count, documents, last_document;
    } * at;
    int64_t capacity, documents;
} kl_token_counts;

/* Tokens of one document; false with an error. Documents' numbers rise. */
bool kl_token_counts_add(kl_token_counts *c, const kl_string *tokens, size_t count,
                         int64_t document);
/* Each of a document of its own. */
bool kl_token_counts_add_each(kl_token_counts *c, const kl_string *tokens, size_t count,
                              const int64_t *documents);
/* Adds what was seen in other documents. */
bool kl_token_counts_merge(kl_token_counts *into, const kl_token_counts *from);
void kl_token_counts_clear(kl_token_counts *c);

#endif
