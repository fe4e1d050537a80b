/* The vocabulary inside layers that look tokens up. */
#ifndef KL_LAYERS_PREPROCESSING_LOOKUP_H
#define KL_LAYERS_PREPROCESSING_LOOKUP_H

#include "layers/layer.h"
#include "layers/preprocessing/token_counts.h"

typedef enum kl_lookup_mode {
    KL_LOOKUP_INT,
    KL_LOOKUP_ONE_HOT,
    KL_LOOKUP_MULTI_HOT,
    KL_LOOKUP_COUNT,
    KL_LOOKUP_TF_IDF
} kl_lookup_mode;

/* By Keras's name ("binary" and "tf-idf" are old ones); false if it is none. */
bool kl_lookup_mode_from_name(const char *name, kl_lookup_mode *out);

/* Layers with a vocabulary have this in their state, right behind the arguments. */
typedef struct kl_lookup {
    kl_lookup_mode mode;
    const char *mask_token, *oov_token; /* lent; NULL: none */
    int64_t oov_count, max_tokens;      /* max_tokens may be KL_NONE */
    bool pad;
    bool in_config;         /* the vocabulary is an argument, which the config holds */
    kl_string_table tokens; /* in order, without the special ones */
    float *idf;             /* one an id, special ones included; `depth` of them */
    int64_t idf_count;
    kl_token_counts counts;
} kl_lookup;

/* Ids before the first token's. */
int64_t kl_lookup_start(const kl_lookup *l);
int64_t kl_lookup_size(const kl_lookup *l);
/* Length of the rows that are not ints; -1 while the vocabulary isn't known. */
int64_t kl_lookup_depth(const kl_lookup *l);
/* The id of a token; -1: to be left out of rows (the mask token). */
int64_t kl_lookup_id(const kl_lookup *l, kl_string token);
void kl_lookup_ids(const kl_lookup *l, const kl_string *tokens, size_t count, int64_t *ids);
/* Sets the vocabulary, with or without the special tokens in front. On an error the one before
   stays. */
kl_status kl_lookup_set(kl_lookup *l, const kl_string *tokens, int64_t count, kl_floats idf);
kl_status kl_lookup_set_from_file(kl_lookup *l, const char *path);

/* Learning: a token of a document (document numbers rise), and the vocabulary from all. */
kl_status kl_lookup_count(kl_lookup *l, kl_string token, int64_t document);
kl_status kl_lookup_learn(kl_lookup *l);
void kl_lookup_forget(kl_lookup *l);
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

#endif
