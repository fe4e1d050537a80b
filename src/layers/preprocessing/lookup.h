/* The vocabulary inside layers that look tokens up. */
#ifndef KL_LAYERS_PREPROCESSING_LOOKUP_H
#define KL_LAYERS_PREPROCESSING_LOOKUP_H

#include "base/hash_bins.h"
#include "layers/layer.h"
#include "layers/preprocessing/encode.h"
#include "layers/preprocessing/token_counts.h"

/* Tokens that are numbers stand here as the bytes of an int64. */
static inline kl_string kl_number_token(const int64_t *number)
{
    return (kl_string){(const char *)number, sizeof *number};
}
int64_t kl_token_number(kl_string token);

/* Counts of large batches are in parts by the tokens' hash, so that threads share the work. */
enum { KL_COUNT_PARTS = 16 };

/* Layers with a vocabulary have this in their state, right behind the arguments. */
typedef struct kl_lookup {
    kl_encode_mode mode;
    bool numbers;                  /* tokens are int64 */
    bool invert;                   /* ids to tokens */
    kl_string mask, oov;           /* lent; at NULL: none */
    int64_t oov_count, max_tokens; /* max_tokens may be KL_NONE */
    bool remainder;                /* unknown numbers go by their remainder, not by a hash */
    kl_hash_bins oov_bins;
    bool pad;
    bool in_config;         /* the vocabulary is an argument, which the config holds */
    kl_string_table tokens; /* in order, without the special ones */
    float *idf;             /* one an id, special ones included */
    int64_t idf_count;
    kl_token_counts counts; /* while adapting */
    kl_token_counts *parts; /* or these, KL_COUNT_PARTS of them */
} kl_lookup;

/* Which id leaves a token out of rows: the mask's. */
#define KL_NO_ID INT64_MAX

/* The lookup of a layer that has one; else NULL with an error that names the function. */
kl_lookup *kl_lookup_of(const char *function, const kl_layer *layer);

/* Ids before the first token's. */
int64_t kl_lookup_start(const kl_lookup *l);
int64_t kl_lookup_size(const kl_lookup *l);
/* The special token that has this id. */
kl_string kl_lookup_special(const kl_lookup *l, int64_t id);
/* Length of the rows that are not ints; -1 while the vocabulary isn't known. */
int64_t kl_lookup_depth(const kl_lookup *l);
/* Whether a call can be made. */
kl_status kl_lookup_check_ready(const kl_lookup *l);
/* The ids of tokens; without ids for unknown ones theirs is -1. */
void kl_lookup_ids(const kl_lookup *l, const kl_string *tokens, size_t count, int64_t *ids);
void kl_lookup_number_ids(const kl_lookup *l, const int64_t *numbers, size_t count, int64_t *ids);
/* Sets the vocabulary, with or without the special tokens in front. On an error the one before
   stays. */
kl_status kl_lookup_set(kl_lookup *l, const kl_string *tokens, int64_t count, kl_floats idf);
kl_status kl_lookup_set_from_file(kl_lookup *l, const char *path);
bool kl_token_equal(kl_string a, kl_string b);

/* Learning: tokens of documents that have `each` of them, numbered on; and the vocabulary from all
   that was counted. */
kl_status kl_lookup_count(kl_lookup *l, const kl_string *tokens, int64_t count, int64_t each);
kl_status kl_lookup_learn(kl_lookup *l);
void kl_lookup_forget(kl_lookup *l);
/* Weights padded in front by their mean, for the special tokens, and behind by zeros. */
float *kl_lookup_pad_idf(const kl_lookup *l, const float *idf, int64_t count, int64_t front,
                         int64_t *total);
void kl_lookup_free(kl_lookup *l);

/* Slots that such layers share; a layer with the first has a kl_lookup. */
kl_status kl_lookup_save_assets(const kl_layer *self,
                                kl_status (*write)(void *user, const char *name, const void *data,
                                                   size_t size),
                                void *user);
kl_status kl_lookup_load_assets(kl_layer *self,
                                kl_status (*read)(void *user, const char *name, const void **data,
                                                  size_t *size),
                                void *user);
kl_status kl_lookup_save_values(const kl_layer *self,
                                kl_status (*write)(void *user, const char *name,
                                                   const kl_tensor *value),
                                void *user);
kl_status kl_lookup_load_values(kl_layer *self,
                                kl_status (*read)(void *user, const char *name, kl_tensor **value),
                                void *user);

/* The lines of a text; a last one without characters is none. *out is to be freed. */
kl_status kl_split_lines(const char *text, size_t size, kl_string **out, int64_t *count);

#endif
