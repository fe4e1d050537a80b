/*
 * The three maps of a convolution between an image, a kernel and an output, each linear in both of
 * its operands. Every one's derivatives are the other two, so gradients of any order follow.
 */
#ifndef KL_OPS_CONV_LINEAR_H
#define KL_OPS_CONV_LINEAR_H

#include "kernels/conv.h"
#include "ops/common.h"

typedef enum kl_conv_map {
    KL_CONV_OUTPUT, /* image, kernel -> output: the convolution */
    KL_CONV_IMAGE,  /* output, kernel -> image: its input's gradient */
    KL_CONV_KERNEL  /* image, output -> kernel: its kernel's gradient */
} kl_conv_map;

/* The same of a convolution with a kernel for each place (kernels/local_conv.h), whose kernel is
   [places, window * channels, out channels]. */
kl_tensor *kl_local_conv_apply(kl_conv_map map, const kl_conv_shape *shape, int spatial,
                               kl_tensor *a, kl_tensor *b);

/* `spatial` (1 to 3) axes of `shape` are the tensors' own; channels are last. */
kl_tensor *kl_conv_apply(kl_conv_map map, const kl_conv_shape *shape, int spatial, kl_tensor *a,
                         kl_tensor *b);

#endif
