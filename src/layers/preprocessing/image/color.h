/* Transforms of colours that several layers use; `in` is a batch in a float type. */
#ifndef KL_LAYERS_PREPROCESSING_COLOR_H
#define KL_LAYERS_PREPROCESSING_COLOR_H

#include "layers/preprocessing/image/image.h"

/* Grey images with one channel: 0.2989 R + 0.5870 G + 0.1140 B; an image of one channel is grey
   already. Others are an error. */
kl_tensor *kl_image_gray(const kl_image_input *in);
/* a + weight (b - a) */
kl_tensor *kl_image_blend(kl_tensor *a, kl_tensor *b, kl_tensor *weight);
/* See kl_adjust_colors(). */
kl_tensor *kl_image_adjust_colors(const kl_image_input *in, const double *hue,
                                  const double *saturation, const double range[2]);
/* The tensor packed, in float64 if it is so and float32 else: what the colour kernels take. */
kl_tensor *kl_image_pack(kl_tensor *x);
/* The mean of each channel of each image, kept as axes of size 1. */
kl_tensor *kl_image_channel_mean(const kl_image_input *in);
/* Each channel smoothed, zeros outside; size and sigma along width and height, as Keras takes
   them. */
kl_tensor *kl_image_gaussian_blur(kl_tensor *x, const int64_t size[2], const double sigma[2],
                                  bool channels_first);
/* A box in each image at a drawn place, its sides these parts of the image's: bool, true inside,
   broadcasts to the images. outside[i] becomes the part of image i outside, if not NULL. */
kl_tensor *kl_image_boxes(const kl_image_input *in, const double *wide, const double *tall,
                          double *outside);
/* A layer's outputs: images, and the second input if there is one, mixed alike: weight times a
   label and the rest times the label at its place in `order`. order NULL: as they are. */
kl_tensors kl_image_with_labels(const kl_image_input *in, kl_tensor *images,
                                const kl_tensors *inputs, const double *weights, kl_tensor *order);

/* Memory for numbers drawn one after another from one draw of the current stream. */
typedef struct kl_image_stream {
    uint64_t key, draw, block;
    uint32_t words[4];
    int used;
} kl_image_stream;
kl_image_stream kl_image_stream_begin(const kl_image_input *in);
/* In (0, 1). */
double kl_image_stream_uniform(kl_image_stream *stream);
/* The logarithm of a gamma variate (Marsaglia and Tsang 2000). */
double kl_image_stream_log_gamma(kl_image_stream *stream, double alpha);
/* A beta variate with equal parameters. */
double kl_image_stream_beta(kl_image_stream *stream, double alpha);
/* The order of a batch shuffled: int64 [batch]. */
kl_tensor *kl_image_shuffled(const kl_image_input *in);

#endif
