/* What the sources of BatchNormalization share. */
#ifndef KL_LAYERS_NORMALIZATION_BATCH_NORMALIZATION_H
#define KL_LAYERS_NORMALIZATION_BATCH_NORMALIZATION_H

#include "klayers/layers/normalization.h"

typedef struct kl_batch_norm_state {
    kl_batch_normalization_args args;
    kl_weight *gamma, *beta, *moving_mean, *moving_variance;
    kl_weight *moving_stddev, *renorm_mean, *renorm_stddev;
    double rmin, rmax, dmax; /* NaN: not clipped */
    bool unfused;            /* a config said so */
    /* What configs of 2.15 alone have: statistics of each of several batches within one, of so many
       samples (0: not so); and several axes (count above 1). */
    int64_t virtual_batch_size;
    int axis_count, axes[KL_MAX_RANK];
    /* Either of them: the weights have all axes of the input, of size 1 where they don't differ,
       and one more after the first for the virtual batches. */
    bool wide;
    int64_t shape[KL_MAX_RANK + 1]; /* of the weights */
} kl_batch_norm_state;

/* moving * momentum + value * (1 - momentum), as the weight's next value. */
kl_status kl_move_average(kl_context *ctx, const kl_weight *weight, kl_tensor *value,
                          double momentum);
/* Step by step, with weights of all axes. */
kl_tensor *kl_batch_norm_wide(const kl_batch_norm_state *s, kl_context *ctx, kl_tensor *x,
                              kl_tensor *gamma, kl_tensor *beta, bool training);

#endif
