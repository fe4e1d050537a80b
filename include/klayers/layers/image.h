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

/* Cuts a window of height x width at a place drawn for the batch. Images that are no larger are
   cut at their middle and resized. Inference leaves images as they are. */
typedef struct kl_random_crop_args {
    KL_LAYER_ARGS
    int64_t height, width;
    int64_t seed;
    const char *data_format;
} kl_random_crop_args;
KL_API kl_layer *kl_random_crop_new(const kl_random_crop_args *args);
KL_API kl_random_crop_args kl_random_crop_defaults(void);
#ifndef __cplusplus
#define kl_random_crop(...)                                                                        \
    KL_CALL_(kl_random_crop_new, kl_random_crop_args,                                              \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Moves pixels away from, or toward, their channel's mean: by 1 - lowest to 1 + highest of factor,
   within 0 and 1. */
typedef struct kl_random_contrast_args {
    KL_LAYER_ARGS
    kl_floats factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_contrast_args;
KL_API kl_layer *kl_random_contrast_new(const kl_random_contrast_args *args);
KL_API kl_random_contrast_args kl_random_contrast_defaults(void);
#ifndef __cplusplus
#define kl_random_contrast(...)                                                                    \
    KL_CALL_(kl_random_contrast_new, kl_random_contrast_args,                                      \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Adds a part, within -1 and 1, of the value range. Integer images stay so, and wrap around, as in
   Keras. */
typedef struct kl_random_brightness_args {
    KL_LAYER_ARGS
    kl_floats factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_brightness_args;
KL_API kl_layer *kl_random_brightness_new(const kl_random_brightness_args *args);
KL_API kl_random_brightness_args kl_random_brightness_defaults(void);
#ifndef __cplusplus
#define kl_random_brightness(...)                                                                  \
    KL_CALL_(kl_random_brightness_new, kl_random_brightness_args,                                  \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Fills a box at a drawn place: its sides are the roots of draws from scale (0.02 to 0.33 of the
   image), with a probability drawn from factor (0 to 1). fill_value: one number, three along the
   last axis, or none for noise. */
typedef struct kl_random_erasing_args {
    KL_LAYER_ARGS
    kl_floats factor, scale, fill_value;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_erasing_args;
KL_API kl_layer *kl_random_erasing_new(const kl_random_erasing_args *args);
KL_API kl_random_erasing_args kl_random_erasing_defaults(void);
#ifndef __cplusplus
#define kl_random_erasing(...)                                                                     \
    KL_CALL_(kl_random_erasing_new, kl_random_erasing_args,                                        \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Turns the hue of RGB images by up to half of factor, within 0 and 1, either way. */
typedef struct kl_random_hue_args {
    KL_LAYER_ARGS
    kl_floats factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_hue_args;
KL_API kl_layer *kl_random_hue_new(const kl_random_hue_args *args);
KL_API kl_random_hue_args kl_random_hue_defaults(void);
#ifndef __cplusplus
#define kl_random_hue(...)                                                                         \
    KL_CALL_(kl_random_hue_new, kl_random_hue_args,                                                \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Changes the saturation of RGB images: 0 takes it away, 0.5 changes nothing, 1 saturates fully.
 */
typedef struct kl_random_saturation_args {
    KL_LAYER_ARGS
    kl_floats factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_saturation_args;
KL_API kl_layer *kl_random_saturation_new(const kl_random_saturation_args *args);
KL_API kl_random_saturation_args kl_random_saturation_defaults(void);
#ifndef __cplusplus
#define kl_random_saturation(...)                                                                  \
    KL_CALL_(kl_random_saturation_new, kl_random_saturation_args,                                  \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* 0 smooths images, 0.5 changes nothing, 1 sharpens them. */
typedef struct kl_random_sharpness_args {
    KL_LAYER_ARGS
    kl_floats factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_sharpness_args;
KL_API kl_layer *kl_random_sharpness_new(const kl_random_sharpness_args *args);
KL_API kl_random_sharpness_args kl_random_sharpness_defaults(void);
#ifndef __cplusplus
#define kl_random_sharpness(...)                                                                   \
    KL_CALL_(kl_random_sharpness_new, kl_random_sharpness_args,                                    \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Takes the colour of images away with probability factor; channels stay. */
typedef struct kl_random_grayscale_args {
    KL_LAYER_ARGS
    double factor;
    int64_t seed;
    const char *data_format;
} kl_random_grayscale_args;
KL_API kl_layer *kl_random_grayscale_new(const kl_random_grayscale_args *args);
KL_API kl_random_grayscale_args kl_random_grayscale_defaults(void);
#ifndef __cplusplus
#define kl_random_grayscale(...)                                                                   \
    KL_CALL_(kl_random_grayscale_new, kl_random_grayscale_args,                                    \
             (KL_LAYER_DEFAULTS, .factor = 0.5, .seed = KL_NONE, .data_format = "channels_last"),  \
             __VA_ARGS__)
#endif

/* Inverts images with a probability drawn from factor (0 to 1). */
typedef struct kl_random_invert_args {
    KL_LAYER_ARGS
    kl_floats factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_invert_args;
KL_API kl_layer *kl_random_invert_new(const kl_random_invert_args *args);
KL_API kl_random_invert_args kl_random_invert_defaults(void);
#ifndef __cplusplus
#define kl_random_invert(...)                                                                      \
    KL_CALL_(kl_random_invert_new, kl_random_invert_args,                                          \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Keeps the highest bits of each value: from lowest to highest - 1 of factor, within 1 and 8;
   KL_INTS(3, 3) keeps 3. */
typedef struct kl_random_posterization_args {
    KL_LAYER_ARGS
    kl_ints factor; /* required */
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_posterization_args;
KL_API kl_layer *kl_random_posterization_new(const kl_random_posterization_args *args);
KL_API kl_random_posterization_args kl_random_posterization_defaults(void);
#ifndef __cplusplus
#define kl_random_posterization(...)                                                               \
    KL_CALL_(kl_random_posterization_new, kl_random_posterization_args,                            \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Blends images with their grey selves: 0 changes nothing, 1 takes all colour away. */
typedef struct kl_random_color_degeneration_args {
    KL_LAYER_ARGS
    kl_floats factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_color_degeneration_args;
KL_API kl_layer *kl_random_color_degeneration_new(const kl_random_color_degeneration_args *args);
KL_API kl_random_color_degeneration_args kl_random_color_degeneration_defaults(void);
#ifndef __cplusplus
#define kl_random_color_degeneration(...)                                                          \
    KL_CALL_(kl_random_color_degeneration_new, kl_random_color_degeneration_args,                  \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Blurs images with a probability drawn from factor (0 to 1), the two widths drawn from sigma (0
   to 1), kernel_size odd. */
typedef struct kl_random_gaussian_blur_args {
    KL_LAYER_ARGS
    kl_floats factor;
    int64_t kernel_size[2];
    kl_floats sigma;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_gaussian_blur_args;
KL_API kl_layer *kl_random_gaussian_blur_new(const kl_random_gaussian_blur_args *args);
KL_API kl_random_gaussian_blur_args kl_random_gaussian_blur_defaults(void);
#ifndef __cplusplus
#define kl_random_gaussian_blur(...)                                                               \
    KL_CALL_(                                                                                      \
        kl_random_gaussian_blur_new, kl_random_gaussian_blur_args,                                 \
        (KL_LAYER_DEFAULTS, .kernel_size = {3}, .seed = KL_NONE, .data_format = "channels_last"),  \
        __VA_ARGS__)
#endif

/* Moves pixels along smooth random fields (Simard et al. 2003) with a probability drawn from
   factor (0 to 1), as strongly as a draw from scale (0 to 1). */
typedef struct kl_random_elastic_transform_args {
    KL_LAYER_ARGS
    kl_floats factor, scale;
    const char *interpolation, *fill_mode;
    double fill_value;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_random_elastic_transform_args;
KL_API kl_layer *kl_random_elastic_transform_new(const kl_random_elastic_transform_args *args);
KL_API kl_random_elastic_transform_args kl_random_elastic_transform_defaults(void);
#ifndef __cplusplus
#define kl_random_elastic_transform(...)                                                           \
    KL_CALL_(kl_random_elastic_transform_new, kl_random_elastic_transform_args,                    \
             (KL_LAYER_DEFAULTS, .interpolation = "bilinear", .fill_mode = "reflect",              \
              .seed = KL_NONE, .data_format = "channels_last"),                                    \
             __VA_ARGS__)
#endif

/* RandomBrightness, RandomContrast, RandomSaturation and RandomHue one after another; a factor
   left out leaves its layer out. */
typedef struct kl_random_color_jitter_args {
    KL_LAYER_ARGS
    kl_floats value_range;
    kl_floats brightness_factor, contrast_factor, saturation_factor, hue_factor;
    int64_t seed;
    const char *data_format;
} kl_random_color_jitter_args;
KL_API kl_layer *kl_random_color_jitter_new(const kl_random_color_jitter_args *args);
KL_API kl_random_color_jitter_args kl_random_color_jitter_defaults(void);
#ifndef __cplusplus
#define kl_random_color_jitter(...)                                                                \
    KL_CALL_(kl_random_color_jitter_new, kl_random_color_jitter_args,                              \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Stretches each channel of each image to the value range, also at inference. */
typedef struct kl_auto_contrast_args {
    KL_LAYER_ARGS
    kl_floats value_range;
    const char *data_format;
} kl_auto_contrast_args;
KL_API kl_layer *kl_auto_contrast_new(const kl_auto_contrast_args *args);
KL_API kl_auto_contrast_args kl_auto_contrast_defaults(void);
#ifndef __cplusplus
#define kl_auto_contrast(...)                                                                      \
    KL_CALL_(kl_auto_contrast_new, kl_auto_contrast_args,                                          \
             (KL_LAYER_DEFAULTS, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Spreads the histogram of each channel, over the batch as in Keras, evenly over the value range.
 */
typedef struct kl_equalization_args {
    KL_LAYER_ARGS
    kl_floats value_range;
    int64_t bins;
    const char *data_format;
} kl_equalization_args;
KL_API kl_layer *kl_equalization_new(const kl_equalization_args *args);
KL_API kl_equalization_args kl_equalization_defaults(void);
#ifndef __cplusplus
#define kl_equalization(...)                                                                       \
    KL_CALL_(kl_equalization_new, kl_equalization_args,                                            \
             (KL_LAYER_DEFAULTS, .bins = 256, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Spreads the histogram of tiles of images (Zuiderveld 1994), also at inference; clip_limit bounds
   a bin, in means, 0: unbounded. */
typedef struct kl_contrast_limited_adaptive_histogram_equalization_args {
    KL_LAYER_ARGS
    kl_floats value_range;
    double clip_limit;
    int64_t tile_grid_size[2];
    const char *data_format;
} kl_contrast_limited_adaptive_histogram_equalization_args;
KL_API kl_layer *kl_contrast_limited_adaptive_histogram_equalization_new(
    const kl_contrast_limited_adaptive_histogram_equalization_args *args);
KL_API kl_contrast_limited_adaptive_histogram_equalization_args
kl_contrast_limited_adaptive_histogram_equalization_defaults(void);
#ifndef __cplusplus
#define kl_contrast_limited_adaptive_histogram_equalization(...)                                   \
    KL_CALL_(kl_contrast_limited_adaptive_histogram_equalization_new,                              \
             kl_contrast_limited_adaptive_histogram_equalization_args,                             \
             (KL_LAYER_DEFAULTS, .clip_limit = 4, .tile_grid_size = {8, 8},                        \
              .data_format = "channels_last"),                                                     \
             __VA_ARGS__)
#endif

/* Adds a draw from addition_factor, then inverts values that aren't below a draw from
   threshold_factor; factors from 0 to 1. */
typedef struct kl_solarization_args {
    KL_LAYER_ARGS
    kl_floats addition_factor, threshold_factor;
    kl_floats value_range;
    int64_t seed;
    const char *data_format;
} kl_solarization_args;
KL_API kl_layer *kl_solarization_new(const kl_solarization_args *args);
KL_API kl_solarization_args kl_solarization_defaults(void);
#ifndef __cplusplus
#define kl_solarization(...)                                                                       \
    KL_CALL_(kl_solarization_new, kl_solarization_args,                                            \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* num_ops layers drawn for the batch among shear, translation, rotation, brightness, colour
   degeneration, contrast, sharpness, posterization, solarization, auto contrast and equalization,
   as strong as factor (left out: 0.5). Cubuk et al. 2019. */
typedef struct kl_rand_augment_args {
    KL_LAYER_ARGS
    kl_floats value_range;
    int64_t num_ops;
    kl_floats factor;
    const char *interpolation;
    int64_t seed;
    const char *data_format;
} kl_rand_augment_args;
KL_API kl_layer *kl_rand_augment_new(const kl_rand_augment_args *args);
KL_API kl_rand_augment_args kl_rand_augment_defaults(void);
#ifndef __cplusplus
#define kl_rand_augment(...)                                                                       \
    KL_CALL_(kl_rand_augment_new, kl_rand_augment_args,                                            \
             (KL_LAYER_DEFAULTS, .num_ops = 2, .interpolation = "bilinear", .seed = KL_NONE,       \
              .data_format = "channels_last"),                                                     \
             __VA_ARGS__)
#endif

/* Mixes num_chains chains of chain_depth such layers (brightness, colour degeneration, contrast
   and sharpness only with all_ops), with Dirichlet and beta weights of alpha; factor left out is
   0.3. Hendrycks et al. 2019. */
typedef struct kl_aug_mix_args {
    KL_LAYER_ARGS
    kl_floats value_range;
    int64_t num_chains, chain_depth;
    kl_floats factor;
    double alpha;
    bool all_ops;
    const char *interpolation;
    int64_t seed;
    const char *data_format;
} kl_aug_mix_args;
KL_API kl_layer *kl_aug_mix_new(const kl_aug_mix_args *args);
KL_API kl_aug_mix_args kl_aug_mix_defaults(void);
#ifndef __cplusplus
#define kl_aug_mix(...)                                                                            \
    KL_CALL_(kl_aug_mix_new, kl_aug_mix_args,                                                      \
             (KL_LAYER_DEFAULTS, .num_chains = 3, .chain_depth = 3, .alpha = 1, .all_ops = true,   \
              .interpolation = "bilinear", .seed = KL_NONE, .data_format = "channels_last"),       \
             __VA_ARGS__)
#endif

/* Puts a box of each image into another of the batch (Yun et al. 2019); factor (0 to 1) is the
   beta distribution's parameter. With labels as a second input it gives them too, mixed by area.
   */
typedef struct kl_cut_mix_args {
    KL_LAYER_ARGS
    kl_floats factor;
    int64_t seed;
    const char *data_format;
} kl_cut_mix_args;
KL_API kl_layer *kl_cut_mix_new(const kl_cut_mix_args *args);
KL_API kl_cut_mix_args kl_cut_mix_defaults(void);
#ifndef __cplusplus
#define kl_cut_mix(...)                                                                            \
    KL_CALL_(kl_cut_mix_new, kl_cut_mix_args,                                                      \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Blends each image with another of the batch (Zhang et al. 2017) by beta(alpha, alpha). With
   labels as a second input it gives them too, blended alike. */
typedef struct kl_mix_up_args {
    KL_LAYER_ARGS
    double alpha;
    int64_t seed;
    const char *data_format;
} kl_mix_up_args;
KL_API kl_layer *kl_mix_up_new(const kl_mix_up_args *args);
KL_API kl_mix_up_args kl_mix_up_defaults(void);
#ifndef __cplusplus
#define kl_mix_up(...)                                                                             \
    KL_CALL_(kl_mix_up_new, kl_mix_up_args,                                                        \
             (KL_LAYER_DEFAULTS, .alpha = 0.2, .seed = KL_NONE, .data_format = "channels_last"),   \
             __VA_ARGS__)
#endif

/* Images pass as they are: it pads bounding boxes, which the library does not take. */
typedef struct kl_max_num_bounding_boxes_args {
    KL_LAYER_ARGS
    int64_t max_number, fill_value;
    const char *data_format;
} kl_max_num_bounding_boxes_args;
KL_API kl_layer *kl_max_num_bounding_boxes_new(const kl_max_num_bounding_boxes_args *args);
KL_API kl_max_num_bounding_boxes_args kl_max_num_bounding_boxes_defaults(void);
#ifndef __cplusplus
#define kl_max_num_bounding_boxes(...)                                                             \
    KL_CALL_(kl_max_num_bounding_boxes_new, kl_max_num_bounding_boxes_args,                        \
             (KL_LAYER_DEFAULTS, .fill_value = -1, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Cuts the middle window of height x width; smaller images are cut to its aspect ratio and
   resized. */
typedef struct kl_center_crop_args {
    KL_LAYER_ARGS
    int64_t height, width;
    const char *data_format;
} kl_center_crop_args;
KL_API kl_layer *kl_center_crop_new(const kl_center_crop_args *args);
KL_API kl_center_crop_args kl_center_crop_defaults(void);
#ifndef __cplusplus
#define kl_center_crop(...)                                                                        \
    KL_CALL_(kl_center_crop_new, kl_center_crop_args,                                              \
             (KL_LAYER_DEFAULTS, .data_format = "channels_last"), __VA_ARGS__)
#endif

/* Images of another size, also at inference: interpolation "bilinear", "nearest", "bicubic",
   "area", "lanczos3", "lanczos5". uint8 images stay so. */
typedef struct kl_resizing_args {
    KL_LAYER_ARGS
    int64_t height, width;
    const char *interpolation;
    bool crop_to_aspect_ratio, pad_to_aspect_ratio;
    const char *fill_mode; /* "constant" */
    double fill_value;
    bool antialias;
    const char *data_format;
} kl_resizing_args;
KL_API kl_layer *kl_resizing_new(const kl_resizing_args *args);
KL_API kl_resizing_args kl_resizing_defaults(void);
#ifndef __cplusplus
#define kl_resizing(...)                                                                           \
    KL_CALL_(kl_resizing_new, kl_resizing_args,                                                    \
             (KL_LAYER_DEFAULTS, .interpolation = "bilinear", .fill_mode = "constant",             \
              .data_format = "channels_last"),                                                     \
             __VA_ARGS__)
#endif

/* RandomHeight and RandomWidth of Keras 2.15: resize one side of the batch, channels last, to a
   drawn multiple, 1 + factor. */
typedef struct kl_random_side_args {
    KL_LAYER_ARGS
    kl_floats factor; /* required */
    const char *interpolation;
    int64_t seed;
} kl_random_side_args;
typedef kl_random_side_args kl_random_height_args;
typedef kl_random_side_args kl_random_width_args;
KL_API kl_layer *kl_random_height_new(const kl_random_height_args *args);
KL_API kl_random_height_args kl_random_height_defaults(void);
KL_API kl_layer *kl_random_width_new(const kl_random_width_args *args);
KL_API kl_random_width_args kl_random_width_defaults(void);
#ifndef __cplusplus
#define kl_random_height(...)                                                                      \
    KL_CALL_(kl_random_height_new, kl_random_height_args,                                          \
             (KL_LAYER_DEFAULTS, .interpolation = "bilinear", .seed = KL_NONE), __VA_ARGS__)
#define kl_random_width(...)                                                                       \
    KL_CALL_(kl_random_width_new, kl_random_width_args,                                            \
             (KL_LAYER_DEFAULTS, .interpolation = "bilinear", .seed = KL_NONE), __VA_ARGS__)
#endif

/* Layers one after another, as one layer that passes its training flag on. */
typedef struct kl_pipeline_args {
    KL_LAYER_ARGS
    kl_layer *layers[KL_MAX_LIST]; /* ended by NULL; taken over */
} kl_pipeline_args;
KL_API kl_layer *kl_pipeline_new(const kl_pipeline_args *args);
KL_API kl_pipeline_args kl_pipeline_defaults(void);
#ifndef __cplusplus
#define kl_pipeline(...)                                                                           \
    KL_CALL_(kl_pipeline_new, kl_pipeline_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
