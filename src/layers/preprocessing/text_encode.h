/* Batches of texts to ids or rows of numbers, and to counts of tokens; rows on all threads. */
#ifndef KL_LAYERS_PREPROCESSING_TEXT_ENCODE_H
#define KL_LAYERS_PREPROCESSING_TEXT_ENCODE_H

#include "layers/preprocessing/lookup.h"
#include "layers/preprocessing/text.h"

/* How the elements of an input are grouped into samples, which have a token axis of their own. */
typedef struct kl_text_samples {
    int rank; /* of the axes before the tokens' */
    int64_t shape[KL_MAX_RANK];
    int64_t count, texts; /* samples, and texts of each */
} kl_text_samples;

bool kl_text_splits(const kl_text_options *options);
kl_status kl_text_group(const kl_text_options *options, int rank, const int64_t *shape,
                        kl_text_samples *out);

/* The output for strings x; ids are cut or padded to `length`, KL_NONE: to the longest. */
kl_tensor *kl_text_encode(const kl_text_options *options, const kl_lookup *lookup, kl_tensor *x,
                          const kl_text_samples *group, int64_t length);

/* Counts the tokens of strings x. What the lanes count adds up to the whole: as many as there are
   threads are used. */
kl_status kl_text_count(const kl_text_options *options, kl_tensor *x, const kl_text_samples *group,
                        kl_token_counts *const *lanes, int lane_count);

#endif
