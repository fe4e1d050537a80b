/* A sketch of a distribution: values in order, each standing for a number of them. */
#ifndef KL_LAYERS_PREPROCESSING_QUANTILES_H
#define KL_LAYERS_PREPROCESSING_QUANTILES_H

#include "klayers/base.h"

typedef struct kl_sketch {
    float *values, *weights; /* one block of memory, owned at `values` */
    int64_t count;
} kl_sketch;

/* Joins a batch to the sketch, within `epsilon` of the whole. `legacy`: as 2.15 picks values. The
   batch is sorted in place. */
kl_status kl_sketch_add(kl_sketch *sketch, float *batch, int64_t count, double epsilon,
                        bool legacy);
/* The boundaries of bins of equal weight, *out to be freed: at most `bins` - 1 of them. */
kl_status kl_sketch_boundaries(const kl_sketch *sketch, int64_t bins, float **out, size_t *count);
void kl_sketch_free(kl_sketch *sketch);

#endif
