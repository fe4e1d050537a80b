/* Reshaping layers: https://keras.io/api/layers/reshaping_layers/ */
#ifndef KLAYERS_LAYERS_RESHAPING_H
#define KLAYERS_LAYERS_RESHAPING_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* [batch, ...] -> [batch, product]. channels_first moves the channels last before. */
typedef struct kl_flatten_args {
    KL_LAYER_ARGS
    const char *data_format;
} kl_flatten_args;
KL_API kl_layer *kl_flatten_new(const kl_flatten_args *args);
KL_API kl_flatten_args kl_flatten_defaults(void);
#ifndef __cplusplus
#define kl_flatten(...)                                                                            \
    KL_CALL_(kl_flatten_new, kl_flatten_args, (KL_LAYER_DEFAULTS, .data_format = "channels_last"), \
             __VA_ARGS__)
#endif

/* [batch, ...] -> [batch, target_shape...]; one entry may be -1. */
typedef struct kl_reshape_args {
    KL_LAYER_ARGS
    int64_t target_shape[KL_MAX_RANK + 1];
} kl_reshape_args;
KL_API kl_layer *kl_reshape_new(const kl_reshape_args *args);
KL_API kl_reshape_args kl_reshape_defaults(void);
#ifndef __cplusplus
#define kl_reshape(...) KL_CALL_(kl_reshape_new, kl_reshape_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* [batch, features] -> [batch, n, features]. */
typedef struct kl_repeat_vector_args {
    KL_LAYER_ARGS
    int64_t n;
} kl_repeat_vector_args;
KL_API kl_layer *kl_repeat_vector_new(const kl_repeat_vector_args *args);
KL_API kl_repeat_vector_args kl_repeat_vector_defaults(void);
#ifndef __cplusplus
#define kl_repeat_vector(...)                                                                      \
    KL_CALL_(kl_repeat_vector_new, kl_repeat_vector_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* The axes in another order: dims counts from 1, the batch isn't among them. */
typedef struct kl_permute_args {
    KL_LAYER_ARGS
    int64_t dims[KL_MAX_RANK + 1];
} kl_permute_args;
KL_API kl_layer *kl_permute_new(const kl_permute_args *args);
KL_API kl_permute_args kl_permute_defaults(void);
#ifndef __cplusplus
#define kl_permute(...) KL_CALL_(kl_permute_new, kl_permute_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/*
 * Cropping takes from, and ZeroPadding adds to, both ends of each spatial axis: one value for all
 * ends, one an axis, or two an axis (before, after): .cropping = KL_INTS(1, 0, 2, 1). Empty is
 * Keras's default: 1, but 0 for Cropping2D. data_format isn't used by Cropping1D.
 */
typedef struct kl_cropping_args {
    KL_LAYER_ARGS
    kl_ints cropping;
    const char *data_format;
} kl_cropping_args;

typedef struct kl_zero_padding_args {
    KL_LAYER_ARGS
    kl_ints padding;
    const char *data_format;
} kl_zero_padding_args;

typedef kl_cropping_args kl_cropping1d_args;
KL_API kl_layer *kl_cropping1d_new(const kl_cropping1d_args *args);
KL_API kl_cropping1d_args kl_cropping1d_defaults(void);
#ifndef __cplusplus
#define kl_cropping1d(...)                                                                         \
    KL_CALL_(kl_cropping1d_new, kl_cropping_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_cropping_args kl_cropping2d_args;
KL_API kl_layer *kl_cropping2d_new(const kl_cropping2d_args *args);
KL_API kl_cropping2d_args kl_cropping2d_defaults(void);
#ifndef __cplusplus
#define kl_cropping2d(...)                                                                         \
    KL_CALL_(kl_cropping2d_new, kl_cropping_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_cropping_args kl_cropping3d_args;
KL_API kl_layer *kl_cropping3d_new(const kl_cropping3d_args *args);
KL_API kl_cropping3d_args kl_cropping3d_defaults(void);
#ifndef __cplusplus
#define kl_cropping3d(...)                                                                         \
    KL_CALL_(kl_cropping3d_new, kl_cropping_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_zero_padding_args kl_zero_padding1d_args;
KL_API kl_layer *kl_zero_padding1d_new(const kl_zero_padding1d_args *args);
KL_API kl_zero_padding1d_args kl_zero_padding1d_defaults(void);
#ifndef __cplusplus
#define kl_zero_padding1d(...)                                                                     \
    KL_CALL_(kl_zero_padding1d_new, kl_zero_padding_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_zero_padding_args kl_zero_padding2d_args;
KL_API kl_layer *kl_zero_padding2d_new(const kl_zero_padding2d_args *args);
KL_API kl_zero_padding2d_args kl_zero_padding2d_defaults(void);
#ifndef __cplusplus
#define kl_zero_padding2d(...)                                                                     \
    KL_CALL_(kl_zero_padding2d_new, kl_zero_padding_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_zero_padding_args kl_zero_padding3d_args;
KL_API kl_layer *kl_zero_padding3d_new(const kl_zero_padding3d_args *args);
KL_API kl_zero_padding3d_args kl_zero_padding3d_defaults(void);
#ifndef __cplusplus
#define kl_zero_padding3d(...)                                                                     \
    KL_CALL_(kl_zero_padding3d_new, kl_zero_padding_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/*
 * UpSampling: every place `factor` times along each spatial axis (Keras's `size`, a name that the
 * struct's head has). In two dimensions interpolation is "nearest", "bilinear", "bicubic",
 * "lanczos3", "lanczos5", and as in 2.15 "area", "gaussian" or "mitchellcubic".
 */
typedef struct kl_up_sampling1d_args {
    KL_LAYER_ARGS
    int64_t factor;
} kl_up_sampling1d_args;
KL_API kl_layer *kl_up_sampling1d_new(const kl_up_sampling1d_args *args);
KL_API kl_up_sampling1d_args kl_up_sampling1d_defaults(void);
#ifndef __cplusplus
#define kl_up_sampling1d(...)                                                                      \
    KL_CALL_(kl_up_sampling1d_new, kl_up_sampling1d_args, (KL_LAYER_DEFAULTS, .factor = 2),        \
             __VA_ARGS__)
#endif

typedef struct kl_up_sampling2d_args {
    KL_LAYER_ARGS
    int64_t factor[2];
    const char *data_format;
    const char *interpolation;
} kl_up_sampling2d_args;
KL_API kl_layer *kl_up_sampling2d_new(const kl_up_sampling2d_args *args);
KL_API kl_up_sampling2d_args kl_up_sampling2d_defaults(void);
#ifndef __cplusplus
#define kl_up_sampling2d(...)                                                                      \
    KL_CALL_(kl_up_sampling2d_new, kl_up_sampling2d_args,                                          \
             (KL_LAYER_DEFAULTS, .factor = {2, 2}, .data_format = "channels_last",                 \
              .interpolation = "nearest"),                                                         \
             __VA_ARGS__)
#endif

typedef struct kl_up_sampling3d_args {
    KL_LAYER_ARGS
    int64_t factor[3];
    const char *data_format;
} kl_up_sampling3d_args;
KL_API kl_layer *kl_up_sampling3d_new(const kl_up_sampling3d_args *args);
KL_API kl_up_sampling3d_args kl_up_sampling3d_defaults(void);
#ifndef __cplusplus
#define kl_up_sampling3d(...)                                                                      \
    KL_CALL_(kl_up_sampling3d_new, kl_up_sampling3d_args,                                          \
             (KL_LAYER_DEFAULTS, .factor = {2, 2, 2}, .data_format = "channels_last"),             \
             __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
