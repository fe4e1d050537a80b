/* Preprocessing layers: https://keras.io/api/layers/preprocessing_layers/ */
#ifndef KLAYERS_LAYERS_PREPROCESSING_H
#define KLAYERS_LAYERS_PREPROCESSING_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * (x - mean) / sqrt(variance), or back with `invert`, with a mean and a variance for each position
 * along the kept axes: given, or learned by kl_layer_adapt().
 */
typedef struct kl_normalization_args {
    KL_LAYER_ARGS
    int64_t axis;               /* the kept axis; KL_NONE: one mean and variance over all */
    kl_ints axes;               /* several kept axes, in the place of axis */
    kl_tensor *mean, *variance; /* both or none; retained. At most as many axes as are kept */
    bool invert;
} kl_normalization_args;
KL_API kl_layer *kl_normalization_new(const kl_normalization_args *args);
KL_API kl_normalization_args kl_normalization_defaults(void);
#ifndef __cplusplus
#define kl_normalization(...)                                                                      \
    KL_CALL_(kl_normalization_new, kl_normalization_args, (KL_LAYER_DEFAULTS, .axis = -1),         \
             __VA_ARGS__)
#endif

/* Hands a token of a text on; the bytes are copied. */
typedef void kl_token_sink(void *sink, kl_string token);

/*
 * Texts [batch] or [batch, 1] to ids [batch, length] (0 is padding, 1 an unknown token) or to one
 * row of numbers a text: standardized, split into tokens, recombined into n-grams, looked up. The
 * vocabulary is given, set by kl_set_vocabulary() or learned by kl_layer_adapt().
 */
typedef struct kl_text_vectorization_args {
    KL_LAYER_ARGS
    int64_t max_tokens;      /* the largest vocabulary, special tokens included; KL_NONE: any */
    const char *standardize; /* "lower_and_strip_punctuation", "lower", "strip_punctuation"; NULL:
                                as it is */
    /* One's own: strings of any shape to strings of that shape, handed out; NULL: failed. Not
       saved. */
    kl_tensor *(*standardize_function)(kl_tensor *texts, void *user);
    const char *split; /* "whitespace", "character"; NULL: a text is one token */
    /* One's own, called for each text: passes every token on by sink(tokens, token). Not saved. */
    void (*split_function)(kl_string text, kl_token_sink *sink, void *tokens, void *user);
    void *user;                     /* handed to both */
    int64_t ngrams;                 /* n-grams up to this many tokens; KL_NONE: none */
    kl_ints ngrams_list;            /* n-grams of exactly these lengths instead */
    const char *output_mode;        /* "int", "multi_hot", "count", "tf_idf", "one_hot" */
    int64_t output_sequence_length; /* for "int"; KL_NONE: the longest of the batch */
    bool pad_to_max_tokens;
    kl_strings vocabulary;
    const char *vocabulary_file; /* a text file with one token a line, in vocabulary's place */
    kl_floats idf_weights;       /* for "tf_idf" with a vocabulary: one a token */
    bool sparse;                 /* kept in the config; values are dense */
    bool ragged;                 /* must be false */
    const char *encoding;        /* "utf-8" */
    int64_t vocabulary_size;     /* that of a vocabulary still to be loaded; KL_NONE: unknown */
} kl_text_vectorization_args;
KL_API kl_layer *kl_text_vectorization_new(const kl_text_vectorization_args *args);
KL_API kl_text_vectorization_args kl_text_vectorization_defaults(void);
#ifndef __cplusplus
#define kl_text_vectorization(...)                                                                 \
    KL_CALL_(kl_text_vectorization_new, kl_text_vectorization_args,                                \
             (KL_LAYER_DEFAULTS, .max_tokens = KL_NONE,                                            \
              .standardize = "lower_and_strip_punctuation", .split = "whitespace",                 \
              .ngrams = KL_NONE, .output_mode = "int", .output_sequence_length = KL_NONE,          \
              .encoding = "utf-8", .vocabulary_size = KL_NONE),                                    \
             __VA_ARGS__)
#endif

/*
 * Of layers with a vocabulary (get_vocabulary, set_vocabulary, vocabulary_size). The vocabulary is
 * a 1-D string tensor of the caller's, in the order of the ids; without special tokens it leaves
 * out the padding and the unknown token. set_vocabulary takes it with or without them; idf_weights
 * only for "tf_idf". -1 or NULL for a layer without a vocabulary.
 */
KL_API kl_tensor *kl_get_vocabulary(const kl_layer *layer, bool include_special_tokens);
KL_API kl_status kl_set_vocabulary(kl_layer *layer, kl_strings vocabulary, kl_floats idf_weights);
KL_API int64_t kl_vocabulary_size(const kl_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
