/* Operations on batches of images, [batch, height, width, channels] or channels first. */
#ifndef KL_OPS_IMAGE_H
#define KL_OPS_IMAGE_H

#include "kernels/image_warp.h"
#include "klayers/ops.h"

typedef struct kl_warp_options {
    bool channels_first, nearest;
    kl_fill_mode fill;
    float fill_value;
    bool as_float; /* uint8 images give float32 */
} kl_warp_options;

/* Sizes of a batch of images. */
kl_images kl_images_of(const kl_tensor *images, bool channels_first);

/* Each image through its map (maps: float32 [batch, 8], see kl_warp). keep: uint8 [batch], images
   that stay as they are, or NULL. Gradients reach the images. */
kl_tensor *kl_op_image_warp(kl_tensor *images, kl_tensor *maps, kl_tensor *keep,
                            const kl_warp_options *options);
/* Pixels read at their place plus (dx, dy), fields [batch, height, width] of the images' type. No
   gradient. */
kl_tensor *kl_op_image_displace(kl_tensor *images, kl_tensor *dx, kl_tensor *dy, kl_tensor *keep,
                                const kl_warp_options *options);
/* flips: uint8 [batch]; bit 0 mirrors left to right, bit 1 top to bottom. */
kl_tensor *kl_op_image_flip(kl_tensor *images, kl_tensor *flips, bool channels_first);

#endif
