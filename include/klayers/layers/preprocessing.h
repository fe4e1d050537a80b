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

/* x * scale + offset, in the layer's dtype: Rescaling(1 / 255.) for pixels. */
typedef struct kl_rescaling_args {
    KL_LAYER_ARGS
    double scale, offset;
    kl_tensor *scales, *offsets; /* several, in the place of the numbers: broadcast to the input */
} kl_rescaling_args;
KL_API kl_layer *kl_rescaling_new(const kl_rescaling_args *args);
KL_API kl_rescaling_args kl_rescaling_defaults(void);
#ifndef __cplusplus
#define kl_rescaling(...)                                                                          \
    KL_CALL_(kl_rescaling_new, kl_rescaling_args, (KL_LAYER_DEFAULTS, .scale = KL_NONEF),          \
             __VA_ARGS__)
#endif

/*
 * What the next layers give is chosen by output_mode: "int" the ids themselves, "one_hot" a row
 * with a 1 for each id, "multi_hot" one row a sample with a 1 for each id in it, "count" how often
 * each is in it, "tf_idf" that times the id's weight. `sparse` is kept in the config; values are
 * dense.
 */

/* Numbers to the bin they are in: boundaries given, or found by kl_layer_adapt() so that each of
   num_bins has as many numbers, but for a part `epsilon` of them. */
typedef struct kl_discretization_args {
    KL_LAYER_ARGS
    kl_floats bin_boundaries; /* ascending */
    int64_t num_bins;         /* KL_NONE: boundaries are given */
    double epsilon;
    const char *output_mode; /* "int", "one_hot", "multi_hot", "count" */
    bool sparse;
} kl_discretization_args;
KL_API kl_layer *kl_discretization_new(const kl_discretization_args *args);
KL_API kl_discretization_args kl_discretization_defaults(void);
#ifndef __cplusplus
#define kl_discretization(...)                                                                     \
    KL_CALL_(kl_discretization_new, kl_discretization_args,                                        \
             (KL_LAYER_DEFAULTS, .num_bins = KL_NONE, .epsilon = 0.01, .output_mode = "int"),      \
             __VA_ARGS__)
#endif

/* Ids 0..num_tokens - 1 to rows. A call with "count" takes `count_weights` in the inputs' shape. */
typedef struct kl_category_encoding_args {
    KL_LAYER_ARGS
    int64_t num_tokens;      /* required */
    const char *output_mode; /* "multi_hot", "one_hot", "count" */
    bool sparse;
} kl_category_encoding_args;
KL_API kl_layer *kl_category_encoding_new(const kl_category_encoding_args *args);
KL_API kl_category_encoding_args kl_category_encoding_defaults(void);
#ifndef __cplusplus
#define kl_category_encoding(...)                                                                  \
    KL_CALL_(kl_category_encoding_new, kl_category_encoding_args,                                  \
             (KL_LAYER_DEFAULTS, .num_tokens = KL_NONE, .output_mode = "multi_hot"), __VA_ARGS__)
#endif

/*
 * Strings and whole numbers (by their decimal digits) to bins by a hash that is the same on every
 * machine, TensorFlow's: FarmHash's fingerprint, or SipHash with a salt. dtype is "int64" unless
 * given, for rows "float32".
 */
typedef struct kl_hashing_args {
    KL_LAYER_ARGS
    int64_t num_bins;        /* required */
    int64_t mask_value;      /* the number that has bin 0 to itself; KL_NONE: none */
    const char *mask_text;   /* the same for strings */
    double mask_float;       /* and for a number that isn't whole */
    kl_ints salt;            /* one number or two */
    const char *output_mode; /* "int", "one_hot", "multi_hot", "count" */
    bool sparse;
} kl_hashing_args;
KL_API kl_layer *kl_hashing_new(const kl_hashing_args *args);
KL_API kl_hashing_args kl_hashing_defaults(void);
#ifndef __cplusplus
#define kl_hashing(...)                                                                            \
    KL_CALL_(kl_hashing_new, kl_hashing_args,                                                      \
             (KL_LAYER_DEFAULTS, .num_bins = KL_NONE, .mask_value = KL_NONE,                       \
              .mask_float = KL_NONEF, .output_mode = "int"),                                       \
             __VA_ARGS__)
#endif

/* Two or more features of one shape, (), [batch] or [batch, 1], to the bin of their combination. */
typedef struct kl_hashed_crossing_args {
    KL_LAYER_ARGS
    int64_t num_bins;        /* required */
    const char *output_mode; /* "int", "one_hot" */
    bool sparse;
} kl_hashed_crossing_args;
KL_API kl_layer *kl_hashed_crossing_new(const kl_hashed_crossing_args *args);
KL_API kl_hashed_crossing_args kl_hashed_crossing_defaults(void);
#ifndef __cplusplus
#define kl_hashed_crossing(...)                                                                    \
    KL_CALL_(kl_hashed_crossing_new, kl_hashed_crossing_args,                                      \
             (KL_LAYER_DEFAULTS, .num_bins = KL_NONE, .output_mode = "int"), __VA_ARGS__)
#endif

/*
 * Strings to ids by a vocabulary: given, set by kl_set_vocabulary(), read from a file with one
 * token a line, or learned by kl_layer_adapt() (the most frequent first). Ids begin with the mask
 * token's (0, for "int"), then those of unknown tokens. `invert` goes from ids to strings.
 */
typedef struct kl_string_lookup_args {
    KL_LAYER_ARGS
    int64_t max_tokens;      /* the largest vocabulary, special tokens included; KL_NONE: any */
    int64_t num_oov_indices; /* ids of unknown tokens, which a hash shares out; 0: an error */
    const char *mask_token;  /* NULL: none */
    const char *oov_token;
    kl_strings vocabulary;
    const char *vocabulary_file; /* in vocabulary's place */
    kl_floats idf_weights;       /* for "tf_idf" with a vocabulary: one a token */
    const char *encoding;        /* "utf-8" */
    bool invert;
    const char *output_mode; /* "int", "one_hot", "multi_hot", "count", "tf_idf" */
    bool sparse, pad_to_max_tokens;
    const char *oov_method;  /* of no effect for strings */
    kl_ints salt;            /* one number or two: the key of another hash */
    int64_t vocabulary_size; /* that of a vocabulary still to be loaded; KL_NONE: unknown */
} kl_string_lookup_args;
KL_API kl_layer *kl_string_lookup_new(const kl_string_lookup_args *args);
KL_API kl_string_lookup_args kl_string_lookup_defaults(void);
#ifndef __cplusplus
#define kl_string_lookup(...)                                                                      \
    KL_CALL_(kl_string_lookup_new, kl_string_lookup_args,                                          \
             (KL_LAYER_DEFAULTS, .max_tokens = KL_NONE, .num_oov_indices = 1,                      \
              .oov_token = "[UNK]", .encoding = "utf-8", .output_mode = "int",                     \
              .oov_method = "floormod", .vocabulary_size = KL_NONE),                               \
             __VA_ARGS__)
#endif

/* The same for whole numbers. Unknown ones go by their remainder ("floormod") or a hash of their
   decimal digits ("farmhash"). */
typedef struct kl_integer_lookup_args {
    KL_LAYER_ARGS
    int64_t max_tokens, num_oov_indices;
    int64_t mask_token, oov_token; /* KL_NONE: none */
    kl_ints vocabulary;
    const char *vocabulary_file;
    const char *vocabulary_dtype; /* "int64" */
    kl_floats idf_weights;
    bool invert;
    const char *output_mode;
    bool sparse, pad_to_max_tokens;
    const char *oov_method;
    kl_ints salt;
    int64_t vocabulary_size;
} kl_integer_lookup_args;
KL_API kl_layer *kl_integer_lookup_new(const kl_integer_lookup_args *args);
KL_API kl_integer_lookup_args kl_integer_lookup_defaults(void);
#ifndef __cplusplus
#define kl_integer_lookup(...)                                                                     \
    KL_CALL_(kl_integer_lookup_new, kl_integer_lookup_args,                                        \
             (KL_LAYER_DEFAULTS, .max_tokens = KL_NONE, .num_oov_indices = 1,                      \
              .mask_token = KL_NONE, .oov_token = -1, .vocabulary_dtype = "int64",                 \
              .output_mode = "int", .oov_method = "floormod", .vocabulary_size = KL_NONE),         \
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
 * a 1-D tensor of the caller's, of strings or for IntegerLookup int64, in the order of the ids;
 * without special tokens it leaves out the padding and the unknown token. set_vocabulary takes it
 * with or without them; idf_weights only for "tf_idf". -1 or NULL for a layer without a vocabulary.
 */
KL_API kl_tensor *kl_get_vocabulary(const kl_layer *layer, bool include_special_tokens);
KL_API kl_status kl_set_vocabulary(kl_layer *layer, kl_strings vocabulary, kl_floats idf_weights);
KL_API kl_status kl_set_vocabulary_numbers(kl_layer *layer, kl_ints vocabulary,
                                           kl_floats idf_weights);
KL_API int64_t kl_vocabulary_size(const kl_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
