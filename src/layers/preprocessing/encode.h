/* Ids to what layers on categories give: the ids themselves, or rows of numbers. */
#ifndef KL_LAYERS_PREPROCESSING_ENCODE_H
#define KL_LAYERS_PREPROCESSING_ENCODE_H

#include "layers/layer.h"

typedef enum kl_encode_mode {
    KL_ENCODE_INT,
    KL_ENCODE_ONE_HOT,
    KL_ENCODE_MULTI_HOT,
    KL_ENCODE_COUNT,
    KL_ENCODE_TF_IDF
} kl_encode_mode;

/* By Keras's name ("binary" and "tf-idf" are old ones); false if it is none. */
bool kl_encode_mode_from_name(const char *name, kl_encode_mode *out);

typedef struct kl_encoding {
    kl_encode_mode mode;
    int64_t depth; /* of a row */
    kl_dtype dtype;
    bool legacy;      /* as 2.15: at most two axes come out */
    const float *idf; /* tf_idf: `depth` weights */
} kl_encoding;

/* The shape of what comes out for ids of this shape. */
kl_status kl_encode_shape(const kl_encoding *e, int rank, const int64_t *shape, int *out_rank,
                          int64_t *out);
/*
 * One hot: a row for each id, in the place of a last axis of 1. The other rows gather axis 1 (or 0
 * of a vector). Ids beyond a row are left out. `ids` are int64; a stand-in gives a stand-in.
 * `weights`, which may be NULL, are summed in the place of ones, in the ids' shape.
 */
kl_tensor *kl_encode(const kl_encoding *e, kl_tensor *ids, kl_tensor *weights);

/* Elements begin..begin + count - 1 of contiguous numbers as int64, cut towards zero; what no
   int64 holds (NaN too) becomes the smallest, as in TensorFlow. */
void kl_read_whole(const kl_tensor *x, int64_t begin, int64_t count, int64_t *out);

/* The layer's output dtype where none was given: int64 for ids. */
kl_status kl_encode_default_dtype(kl_layer *self, kl_encode_mode mode);

/* The layer's only weight becomes this value: 2.15 shows so what adapt has found. */
kl_status kl_show_state(kl_layer *self, const char *name, const kl_tensor *value);

/* What every layer with output_mode and sparse checks. */
kl_status kl_encode_check_sparse(kl_encode_mode mode, bool sparse);

#endif
