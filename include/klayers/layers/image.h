/*
 * Layers on images: https://keras.io/api/layers/preprocessing_layers/image_preprocessing/ and
 * https://keras.io/api/layers/preprocessing_layers/image_augmentation/
 *
 * Images are [batch, height, width, channels], [height, width, channels], or with the channels
 * first as data_format says. Random layers draw anew for each image of a batch while training and
 * are the identity at inference. A factor is one number f or two, lowest and highest:
 * KL_FLOATS(0.2), KL_FLOATS(-0.1, 0.3). value_range is the lowest and highest value of a pixel;
 * left out it is 0 and 255. fill_mode is what lies outside the image: "reflect" (dcba|abcd|dcba),
 * "wrap" (abcd|abcd|abcd), "constant" (fill_value), "nearest" (aaaa|abcd|dddd). interpolation is
 * "bilinear" or "nearest". seed makes draws repeat; KL_NONE: from the default generator.
 */
#ifndef KLAYERS_LAYERS_IMAGE_H
#define KLAYERS_LAYERS_IMAGE_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Mirrors half of the images: mode "horizontal", "vertical", or both at once. */
typedef struct kl_random_flip_args {
    KL_LAYER_ARGS
    const char *mode;
    int64_t seed;
    const char *data_format;
} kl_random_flip_args;
KL_API kl_layer *kl_random_flip_new(const kl_random_flip_args *args);
KL_API kl_random_flip_args kl_random_flip_defaults(void);
#ifndef __cplusplus
#define kl_random_flip(...)                                                                        \
    KL_CALL_(kl_random_flip_new, kl_random_flip_args,                                              \
             (KL_LAYER_DEFAULTS, .mode = "horizontal_and_vertical", .seed = KL_NONE,               \
              .data_format = "channels_last"),                                                     \
             __VA_ARGS__)
#endif

/* Moves images by parts of their height (downward) and width (rightward); factors from -1 to 1. */
typedef struct kl_random_translation_args {
    KL_LAYER_ARGS
    kl_floats height_factor, width_factor; /* required */
    const char *fill_mode, *interpolation;
    int64_t seed;
    double fill_value;
    const char *data_format;
} kl_random_translation_args;
KL_API kl_layer *kl_random_translation_new(const kl_random_translation_args *args);
KL_API kl_random_translation_args kl_random_translation_defaults(void);
#ifndef __cplusplus
#define kl_random_translation(...)                                                                 \
    KL_CALL_(kl_random_translation_new, kl_random_translation_args,                                \
             (KL_LAYER_DEFAULTS, .fill_mode = "reflect", .interpolation = "bilinear",              \
              .seed = KL_NONE, .data_format = "channels_last"),                                    \
             __VA_ARGS__)
#endif

/* Turns images around their middle; factors are parts of a full turn, anticlockwise. */
typedef struct kl_random_rotation_args {
    KL_LAYER_ARGS
    kl_floats factor; /* required */
    const char *fill_mode, *interpolation;
    int64_t seed;
    double fill_value;
    const char *data_format;
} kl_random_rotation_args;
KL_API kl_layer *kl_random_rotation_new(const kl_random_rotation_args *args);
KL_API kl_random_rotation_args kl_random_rotation_defaults(void);
#ifndef __cplusplus
#define kl_random_rotation(...)                                                                    \
    KL_CALL_(kl_random_rotation_new, kl_random_rotation_args,                                      \
             (KL_LAYER_DEFAULTS, .fill_mode = "reflect", .interpolation = "bilinear",              \
              .seed = KL_NONE, .data_format = "channels_last"),                                    \
             __VA_ARGS__)
#endif

/* Scales images around their middle: 0.2 shows 1.2 times as much, -0.2 shows 0.8. Without
   width_factor both sides scale alike. */
typedef struct kl_random_zoom_args {
    KL_LAYER_ARGS
    kl_floats height_factor; /* required */
    kl_floats width_factor;
    const char *fill_mode, *interpolation;
    int64_t seed;
    double fill_value;
    const char *data_format;
} kl_random_zoom_args;
KL_API kl_layer *kl_random_zoom_new(const kl_random_zoom_args *args);
KL_API kl_random_zoom_args kl_random_zoom_defaults(void);
#ifndef __cplusplus
#define kl_random_zoom(...)                                                                        \
    KL_CALL_(kl_random_zoom_new, kl_random_zoom_args,                                              \
             (KL_LAYER_DEFAULTS, .fill_mode = "reflect", .interpolation = "bilinear",              \
              .seed = KL_NONE, .data_format = "channels_last"),                                    \
             __VA_ARGS__)
#endif

/* Slants images: each row moves by x_factor times its number, each column by y_factor times its
   own; factors from 0 to 1, either way. */
typedef struct kl_random_shear_args {
    KL_LAYER_ARGS
    kl_floats x_factor, y_factor;
    const char *fill_mode, *interpolation;
    int64_t seed;
    double fill_value;
    const char *data_format;
} kl_random_shear_args;
KL_API kl_layer *kl_random_shear_new(const kl_random_shear_args *args);
KL_API kl_random_shear_args kl_random_shear_defaults(void);
#ifndef __cplusplus
#define kl_random_shear(...)                                                                       \
    KL_CALL_(kl_random_shear_new, kl_random_shear_args,                                            \
             (KL_LAYER_DEFAULTS, .fill_mode = "reflect", .interpolation = "bilinear",              \
              .seed = KL_NONE, .data_format = "channels_last"),                                    \
             __VA_ARGS__)
#endif

/* Moves the corners of images by up to scale / 2 of their coordinates, with a probability drawn
   from factor (left out: 0 to 1). What lies outside is fill_value. */
typedef struct kl_random_perspective_args {
    KL_LAYER_ARGS
    kl_floats factor;
    double scale;
    const char *interpolation;
    double fill_value;
    int64_t seed;
    const char *data_format;
} kl_random_perspective_args;
KL_API kl_layer *kl_random_perspective_new(const kl_random_perspective_args *args);
KL_API kl_random_perspective_args kl_random_perspective_defaults(void);
#ifndef __cplusplus
#define kl_random_perspective(...)                                                                 \
    KL_CALL_(kl_random_perspective_new, kl_random_perspective_args,                                \
             (KL_LAYER_DEFAULTS, .scale = 1, .interpolation = "bilinear", .seed = KL_NONE,         \
              .data_format = "channels_last"),                                                     \
             __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
