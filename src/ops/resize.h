/* Images of another size. */
#ifndef KL_OPS_RESIZE_H
#define KL_OPS_RESIZE_H

#include "kernels/image_resize.h"
#include "klayers/ops.h"

typedef struct kl_resize_options {
    int64_t height, width;
    kl_resize_method method;
    bool antialias, channels_first;
} kl_resize_options;

/* "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic";
   false for another name. */
bool kl_resize_method_of(const char *name, kl_resize_method *method);

/* Images of four axes as tf.image.resize gives them: of their own dtype for "nearest" or an equal
   size, float32 else. */
kl_tensor *kl_op_resize(kl_tensor *images, const kl_resize_options *options);

#endif
