/* Masks of scores, shared by the attention layers: bool, true where attention is allowed. */
#ifndef KL_LAYERS_ATTENTION_MASKS_H
#define KL_LAYERS_ATTENTION_MASKS_H

#include "klayers/ops.h"

/* [1, rows, columns], true at and below the diagonal. */
kl_tensor *kl_causal_mask(int64_t rows, int64_t columns);
/* [1, rows, columns], true nearer than `window` to the diagonal. */
kl_tensor *kl_window_mask(int64_t rows, int64_t columns, int64_t window);
/* *mask and other; NULL is all true. False with the error set. */
bool kl_join_masks(kl_tensor **mask, kl_tensor *other);
/* Puts axes of size 1 before `axis` (from the end) until the mask has `rank` axes. */
kl_tensor *kl_expand_mask(kl_tensor *mask, int rank, int axis);

#endif
