/*
 * Images of another size: every output row and column is a weighted sum of a run of input rows and
 * columns. Pixels have half-pixel centres. The weights are those of TensorFlow's image.resize.
 */
#ifndef KL_KERNELS_IMAGE_RESIZE_H
#define KL_KERNELS_IMAGE_RESIZE_H

#include "kernels/image_warp.h"

typedef enum kl_resize_method {
    KL_RESIZE_BILINEAR,
    KL_RESIZE_NEAREST,
    KL_RESIZE_BICUBIC,
    KL_RESIZE_AREA,
    KL_RESIZE_LANCZOS3,
    KL_RESIZE_LANCZOS5,
    KL_RESIZE_GAUSSIAN,
    KL_RESIZE_MITCHELLCUBIC
} kl_resize_method;

/* The runs of one axis: output i sums inputs start[i] .. start[i] + taps - 1 with weights
   [i * taps ..]; runs lie within the input. */
typedef struct kl_resize_axis {
    int64_t in, out, taps;
    bool lerp; /* two taps a, b with b's weight w: a + (b - a) w, rounded as TensorFlow does */
    int32_t *start;
    float *weights;
    /* Outputs regular_from up to regular_to (both even) repeat: with `doubles`, each pair of them
       has the pair before's weights, one input on; with `halves`, each output has the weights of
       the one before, two inputs on. Neither: nothing repeats. */
    bool doubles, halves;
    int64_t regular_from, regular_to;
} kl_resize_axis;

typedef struct kl_resize {
    kl_images images; /* of the input */
    kl_resize_axis rows, columns;
    bool bytes; /* uint8 in, else float; float out */
} kl_resize;

/* Makes an axis; antialias widens the runs when the image shrinks. False: out of memory. */
bool kl_resize_axis_make(kl_resize_axis *axis, kl_resize_method method, bool antialias, int64_t in,
                         int64_t out);
/* The adjoint: from sums over outputs to inputs. False: out of memory. */
bool kl_resize_axis_transpose(const kl_resize_axis *axis, kl_resize_axis *transposed);
void kl_resize_axis_free(kl_resize_axis *axis);

/* Values rounded, halves to even, and held within 0 and 255. */
void kl_round_to_bytes(int64_t count, const float *in, uint8_t *out);

/* False: out of memory. */
bool kl_resize_images(const kl_resize *resize, const void *in, float *out);
/* Elements of any size at the nearest pixel: rows and columns have one tap. */
void kl_resize_nearest(const kl_resize *resize, size_t element, const void *in, void *out);

#endif
