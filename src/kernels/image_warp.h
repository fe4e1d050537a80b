/*
 * Moving the pixels of images: the engine of every geometric layer. An image's output pixel (x, y)
 * is read from its input at
 *   ((m0 x + m1 y + m2) / p, (m3 x + m4 y + m5) / p),  p = m6 x + m7 y + 1,
 * as TensorFlow's ImageProjectiveTransformV3 has it.
 */
#ifndef KL_KERNELS_IMAGE_WARP_H
#define KL_KERNELS_IMAGE_WARP_H

#include "klayers/base.h"

/* What is read outside the image, [abcd]: */
typedef enum kl_fill_mode {
    KL_FILL_CONSTANT, /* kkkk|abcd|kkkk */
    KL_FILL_NEAREST,  /* aaaa|abcd|dddd */
    KL_FILL_WRAP,     /* abcd|abcd|abcd */
    KL_FILL_REFLECT   /* dcba|abcd|dcba */
} kl_fill_mode;

/* The types of elements, of input and output alike, but for KL_PIXELS_BYTE_FLOAT. */
typedef enum kl_pixels {
    KL_PIXELS_FLOAT,
    KL_PIXELS_DOUBLE,
    KL_PIXELS_BYTE,       /* truncated, as TensorFlow does */
    KL_PIXELS_BYTE_FLOAT, /* uint8 in, float out */
    KL_PIXELS_COUNT
} kl_pixels;

typedef struct kl_images {
    int64_t batch, height, width, channels;
    bool channels_first;
} kl_images;

typedef struct kl_warp {
    kl_images images; /* of input and output */
    kl_pixels pixels;
    bool nearest; /* else bilinear */
    kl_fill_mode fill;
    float fill_value;
    const float *maps;   /* 8 numbers an image */
    const uint8_t *keep; /* by image: true: copied as it is; NULL: none */
} kl_warp;

void kl_warp_images(const kl_warp *warp, const void *in, void *out);
/* The warp's adjoint on dy, added to dx; KL_PIXELS_FLOAT and KL_PIXELS_DOUBLE. */
void kl_warp_images_grad(const kl_warp *warp, const void *dy, void *dx);

/* Pixel (x, y) is read at (x + dx[y][x], y + dy[y][x]); the fields are [batch, height, width] of
   the pixels' type (KL_PIXELS_FLOAT or KL_PIXELS_DOUBLE). warp->maps isn't read. */
void kl_displace_images(const kl_warp *warp, const void *in, const void *dx, const void *dy,
                        void *out);

/* Mirrors image i as flips[i] asks: bit 0 left to right, bit 1 top to bottom. */
void kl_flip_images(const kl_images *images, size_t element, const uint8_t *flips, const void *in,
                    void *out);

#endif
