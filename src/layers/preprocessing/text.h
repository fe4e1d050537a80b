/* Texts to tokens: standardizing, splitting, n-grams, as TextVectorization does them. */
#ifndef KL_LAYERS_PREPROCESSING_TEXT_H
#define KL_LAYERS_PREPROCESSING_TEXT_H

#include "kernels/text.h"
#include "klayers/layers/preprocessing.h"

typedef enum kl_split_by { KL_SPLIT_NONE, KL_SPLIT_WHITESPACE, KL_SPLIT_CHARACTER } kl_split_by;

typedef struct kl_text_options {
    kl_text_map map; /* what standardizing makes of each byte */
    kl_split_by split;
    void (*split_function)(kl_string text, kl_token_sink *sink, void *tokens, void *user);
    void *user;
    const int64_t *ngrams; /* lengths; NULL: tokens as they are */
    size_t ngram_count;
} kl_text_options;
void kl_text_set_map(kl_text_options *options, bool lower, bool strip_punctuation);

/* Scratch memory of one thread for reading samples, from its pool; zeroed at first, used again for
   the next, freed at the end. */
typedef struct kl_token_row {
    char *bytes;
    size_t used, capacity;
    struct kl_span {
        size_t at, length;
    } * spans;
    size_t count, span_capacity;
    bool failed; /* memory ran out */
} kl_token_row;
void kl_token_row_free(kl_token_row *row);

/* The most tokens that are handed on at a time. */
enum { KL_TOKENS_AT_ONCE = 128 };
/* Gets some tokens, lent until it returns; false: no more are wanted. */
typedef bool kl_tokens_fn(void *user, const kl_string *tokens, size_t count);
/* The tokens of one sample, which has some texts, in order. False when memory ran out. */
bool kl_text_read(kl_token_row *row, const kl_text_options *options, const kl_string *texts,
                  size_t count, kl_tokens_fn *take, void *user);

#endif
