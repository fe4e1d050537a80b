/*
 * Arrays inside larger ones: padding, and the elements of an array repeated along its axes. Both
 * work on rows, as long as the innermost axes that are left alone allow.
 */
#ifndef KL_KERNELS_BOX_H
#define KL_KERNELS_BOX_H

#include "klayers/base.h"

/* `in` of a shape, in C order, within `out` with pads[2 * axis] places before and pads[2 * axis +
   1] after it, which get the element at `fill`. */
typedef struct kl_box {
    int rank;
    int64_t shape[KL_MAX_RANK], pads[2 * KL_MAX_RANK];
    size_t element; /* bytes: 1, 2, 4 or 8 */
    const void *fill;
} kl_box;
void kl_pad_box(const kl_box *box, const void *in, void *out);

/* Each element `factors[axis]` times along every axis. */
typedef struct kl_repeats {
    int rank;
    int64_t shape[KL_MAX_RANK], factors[KL_MAX_RANK]; /* of the smaller array */
} kl_repeats;
void kl_repeat_elements(const kl_repeats *repeats, size_t element, const void *in, void *out);
/* The adjoint: sums over the repeats. */
void kl_sum_repeats_f32(const kl_repeats *repeats, const float *in, float *out);
void kl_sum_repeats_f64(const kl_repeats *repeats, const double *in, double *out);

#endif
