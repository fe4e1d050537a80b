/* Texts to tokens: standardizing, splitting, n-grams, as TextVectorization does them. */
#ifndef KL_LAYERS_PREPROCESSING_TEXT_H
#define KL_LAYERS_PREPROCESSING_TEXT_H

#include "klayers/layers/preprocessing.h"

typedef enum kl_split_by { KL_SPLIT_NONE, KL_SPLIT_WHITESPACE, KL_SPLIT_CHARACTER } kl_split_by;

typedef struct kl_text_options {
    bool lower, strip_punctuation;
    kl_split_by split;
    void (*split_function)(kl_string text, kl_token_sink *sink, void *tokens, void *user);
    void *user;
    const int64_t *ngrams; /* lengths; NULL: tokens as they are */
    size_t ngram_count;
} kl_text_options;

/* The tokens of one sample; zeroed at first, used again for the next, freed at the end. */
typedef struct kl_token_row {
    char *bytes;
    size_t used, capacity;
    struct kl_span {
        size_t at, length;
    } * spans;
    size_t count, span_capacity;
    bool failed; /* memory ran out */
} kl_token_row;

void kl_token_row_clear(kl_token_row *row);
void kl_token_row_free(kl_token_row *row);
/* Adds the tokens of one text. */
void kl_token_row_add_text(kl_token_row *row, const kl_text_options *options, kl_string text);
/* Replaces the tokens by their n-grams, if there are any to make. */
void kl_token_row_make_ngrams(kl_token_row *row, const kl_text_options *options);
/* The i-th token, lent until the row changes. */
kl_string kl_token_row_at(const kl_token_row *row, size_t i);

#endif
