/* The argument `axis` of normalizations that take one axis or several. */
#ifndef KL_LAYERS_NORMALIZATION_AXES_H
#define KL_LAYERS_NORMALIZATION_AXES_H

#include "klayers/object.h"
#include "klayers/tensor.h"

typedef struct kl_norm_axes {
    int at[KL_MAX_RANK], count;
    int weight[KL_MAX_RANK]; /* the same in the order of the weights' axes: Keras's, which sorts the
                                numbers as they were given, negative ones first */
    bool last;               /* the last axes of the input, in order also for the weights */
} kl_norm_axes;

/* Unset axes are written as the last one: Keras has no None there. */
kl_status kl_norm_axes_name_last(kl_ints *axis);
/* `as_given`: 2.15, which does not sort the weights' axes. */
kl_status kl_norm_axes_find(kl_ints given, int rank, bool as_given, kl_norm_axes *axes);

#endif
