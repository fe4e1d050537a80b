/* Regularization layers: https://keras.io/api/layers/regularization_layers/ */
#ifndef KLAYERS_LAYERS_REGULARIZATION_H
#define KLAYERS_LAYERS_REGULARIZATION_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* While training, elements become 0 with probability rate and grow by 1 / (1 - rate) otherwise.
   noise_shape: sizes of the drawn mask, 1 where it is shared, -1 for the input's own size; a
   shorter one stands for the last axes. */
typedef struct kl_dropout_args {
    KL_LAYER_ARGS
    double rate;
    int64_t noise_shape[KL_MAX_RANK + 1];
    int64_t seed;
} kl_dropout_args;
KL_API kl_layer *kl_dropout_new(const kl_dropout_args *args);
KL_API kl_dropout_args kl_dropout_defaults(void);
#ifndef __cplusplus
#define kl_dropout(...)                                                                            \
    KL_CALL_(kl_dropout_new, kl_dropout_args, (KL_LAYER_DEFAULTS, .seed = KL_NONE), __VA_ARGS__)
#endif

/* Dropout of whole feature maps: a channel of a sample is kept or dropped over all its steps. */
typedef struct kl_spatial_dropout1d_args {
    KL_LAYER_ARGS
    double rate;
    int64_t seed;
} kl_spatial_dropout1d_args;
KL_API kl_layer *kl_spatial_dropout1d_new(const kl_spatial_dropout1d_args *args);
KL_API kl_spatial_dropout1d_args kl_spatial_dropout1d_defaults(void);
#ifndef __cplusplus
#define kl_spatial_dropout1d(...)                                                                  \
    KL_CALL_(kl_spatial_dropout1d_new, kl_spatial_dropout1d_args,                                  \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE), __VA_ARGS__)
#endif

typedef struct kl_spatial_dropout2d_args {
    KL_LAYER_ARGS
    double rate;
    const char *data_format; /* "channels_last" or "channels_first" */
    int64_t seed;
} kl_spatial_dropout2d_args;
KL_API kl_layer *kl_spatial_dropout2d_new(const kl_spatial_dropout2d_args *args);
KL_API kl_spatial_dropout2d_args kl_spatial_dropout2d_defaults(void);
#ifndef __cplusplus
#define kl_spatial_dropout2d(...)                                                                  \
    KL_CALL_(kl_spatial_dropout2d_new, kl_spatial_dropout2d_args,                                  \
             (KL_LAYER_DEFAULTS, .data_format = "channels_last", .seed = KL_NONE), __VA_ARGS__)
#endif

typedef kl_spatial_dropout2d_args kl_spatial_dropout3d_args;
KL_API kl_layer *kl_spatial_dropout3d_new(const kl_spatial_dropout3d_args *args);
KL_API kl_spatial_dropout3d_args kl_spatial_dropout3d_defaults(void);
#ifndef __cplusplus
#define kl_spatial_dropout3d(...)                                                                  \
    KL_CALL_(kl_spatial_dropout3d_new, kl_spatial_dropout3d_args,                                  \
             (KL_LAYER_DEFAULTS, .data_format = "channels_last", .seed = KL_NONE), __VA_ARGS__)
#endif

/* While training, elements are multiplied by normal draws of mean 1 and deviation
   sqrt(rate / (1 - rate)): the same mean and variance as dropout's. */
typedef struct kl_gaussian_dropout_args {
    KL_LAYER_ARGS
    double rate;
    int64_t seed;
} kl_gaussian_dropout_args;
KL_API kl_layer *kl_gaussian_dropout_new(const kl_gaussian_dropout_args *args);
KL_API kl_gaussian_dropout_args kl_gaussian_dropout_defaults(void);
#ifndef __cplusplus
#define kl_gaussian_dropout(...)                                                                   \
    KL_CALL_(kl_gaussian_dropout_new, kl_gaussian_dropout_args,                                    \
             (KL_LAYER_DEFAULTS, .seed = KL_NONE), __VA_ARGS__)
#endif

/* While training, normal draws of mean 0 are added. */
typedef struct kl_gaussian_noise_args {
    KL_LAYER_ARGS
    double stddev;
    int64_t seed;
} kl_gaussian_noise_args;
KL_API kl_layer *kl_gaussian_noise_new(const kl_gaussian_noise_args *args);
KL_API kl_gaussian_noise_args kl_gaussian_noise_defaults(void);
#ifndef __cplusplus
#define kl_gaussian_noise(...)                                                                     \
    KL_CALL_(kl_gaussian_noise_new, kl_gaussian_noise_args, (KL_LAYER_DEFAULTS, .seed = KL_NONE),  \
             __VA_ARGS__)
#endif

/* Dropout for selu: what is dropped takes selu's lowest value, and the whole is scaled and shifted
   so that mean 0 and variance 1 stay. noise_shape as in kl_dropout. */
typedef struct kl_alpha_dropout_args {
    KL_LAYER_ARGS
    double rate;
    int64_t noise_shape[KL_MAX_RANK + 1];
    int64_t seed;
} kl_alpha_dropout_args;
KL_API kl_layer *kl_alpha_dropout_new(const kl_alpha_dropout_args *args);
KL_API kl_alpha_dropout_args kl_alpha_dropout_defaults(void);
#ifndef __cplusplus
#define kl_alpha_dropout(...)                                                                      \
    KL_CALL_(kl_alpha_dropout_new, kl_alpha_dropout_args, (KL_LAYER_DEFAULTS, .seed = KL_NONE),    \
             __VA_ARGS__)
#endif

/* What goes in comes out; l1 * sum |x| + l2 * sum x^2, by sample, is added to the loss. */
typedef struct kl_activity_regularization_args {
    KL_LAYER_ARGS
    double l1, l2;
} kl_activity_regularization_args;
KL_API kl_layer *kl_activity_regularization_new(const kl_activity_regularization_args *args);
KL_API kl_activity_regularization_args kl_activity_regularization_defaults(void);
#ifndef __cplusplus
#define kl_activity_regularization(...)                                                            \
    KL_CALL_(kl_activity_regularization_new, kl_activity_regularization_args, (KL_LAYER_DEFAULTS), \
             __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
