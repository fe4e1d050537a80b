/* What the layers that draw a mask share. */
#ifndef KL_LAYERS_REGULARIZATION_NOISE_H
#define KL_LAYERS_REGULARIZATION_NOISE_H

#include "layers/layer.h"

/* The sizes of the drawn mask, x's rank of them, from a noise_shape as in the arguments. */
kl_status kl_noise_sizes(const int64_t *noise_shape, const kl_tensor *x, int64_t *sizes);
/* Noise is for floats alone. */
kl_status kl_noise_float(const kl_tensor *x);

#endif
