/*
 * Pooling layers: https://keras.io/api/layers/pooling_layers/
 *
 * Inputs are [batch, spatial..., channels] or, channels_first, [batch, channels, spatial...].
 */
#ifndef KLAYERS_LAYERS_POOLING_H
#define KLAYERS_LAYERS_POOLING_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* strides all 0: as pool_size. Padded places never count, not even in averages. */
typedef struct kl_pooling_args {
    KL_LAYER_ARGS
    int64_t pool_size[3], strides[3];
    const char *padding;
    const char *data_format;
} kl_pooling_args;
#define KL_POOLING_DEFAULTS KL_LAYER_DEFAULTS, .pool_size = {2, 2, 2}, .padding = "valid"

typedef kl_pooling_args kl_max_pooling1d_args;
KL_API kl_layer *kl_max_pooling1d_new(const kl_max_pooling1d_args *args);
KL_API kl_max_pooling1d_args kl_max_pooling1d_defaults(void);
#ifndef __cplusplus
#define kl_max_pooling1d(...)                                                                      \
    KL_CALL_(kl_max_pooling1d_new, kl_pooling_args, (KL_POOLING_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_pooling_args kl_max_pooling2d_args;
KL_API kl_layer *kl_max_pooling2d_new(const kl_max_pooling2d_args *args);
KL_API kl_max_pooling2d_args kl_max_pooling2d_defaults(void);
#ifndef __cplusplus
#define kl_max_pooling2d(...)                                                                      \
    KL_CALL_(kl_max_pooling2d_new, kl_pooling_args, (KL_POOLING_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_pooling_args kl_max_pooling3d_args;
KL_API kl_layer *kl_max_pooling3d_new(const kl_max_pooling3d_args *args);
KL_API kl_max_pooling3d_args kl_max_pooling3d_defaults(void);
#ifndef __cplusplus
#define kl_max_pooling3d(...)                                                                      \
    KL_CALL_(kl_max_pooling3d_new, kl_pooling_args, (KL_POOLING_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_pooling_args kl_average_pooling1d_args;
KL_API kl_layer *kl_average_pooling1d_new(const kl_average_pooling1d_args *args);
KL_API kl_average_pooling1d_args kl_average_pooling1d_defaults(void);
#ifndef __cplusplus
#define kl_average_pooling1d(...)                                                                  \
    KL_CALL_(kl_average_pooling1d_new, kl_pooling_args, (KL_POOLING_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_pooling_args kl_average_pooling2d_args;
KL_API kl_layer *kl_average_pooling2d_new(const kl_average_pooling2d_args *args);
KL_API kl_average_pooling2d_args kl_average_pooling2d_defaults(void);
#ifndef __cplusplus
#define kl_average_pooling2d(...)                                                                  \
    KL_CALL_(kl_average_pooling2d_new, kl_pooling_args, (KL_POOLING_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_pooling_args kl_average_pooling3d_args;
KL_API kl_layer *kl_average_pooling3d_new(const kl_average_pooling3d_args *args);
KL_API kl_average_pooling3d_args kl_average_pooling3d_defaults(void);
#ifndef __cplusplus
#define kl_average_pooling3d(...)                                                                  \
    KL_CALL_(kl_average_pooling3d_new, kl_pooling_args, (KL_POOLING_DEFAULTS), __VA_ARGS__)
#endif

/* Over all places: [batch, channels], or with keepdims [batch, 1..., channels]. */
typedef struct kl_global_pooling_args {
    KL_LAYER_ARGS
    const char *data_format;
    bool keepdims;
} kl_global_pooling_args;

typedef kl_global_pooling_args kl_global_max_pooling1d_args;
KL_API kl_layer *kl_global_max_pooling1d_new(const kl_global_max_pooling1d_args *args);
KL_API kl_global_max_pooling1d_args kl_global_max_pooling1d_defaults(void);
#ifndef __cplusplus
#define kl_global_max_pooling1d(...)                                                               \
    KL_CALL_(kl_global_max_pooling1d_new, kl_global_pooling_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_global_pooling_args kl_global_max_pooling2d_args;
KL_API kl_layer *kl_global_max_pooling2d_new(const kl_global_max_pooling2d_args *args);
KL_API kl_global_max_pooling2d_args kl_global_max_pooling2d_defaults(void);
#ifndef __cplusplus
#define kl_global_max_pooling2d(...)                                                               \
    KL_CALL_(kl_global_max_pooling2d_new, kl_global_pooling_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_global_pooling_args kl_global_max_pooling3d_args;
KL_API kl_layer *kl_global_max_pooling3d_new(const kl_global_max_pooling3d_args *args);
KL_API kl_global_max_pooling3d_args kl_global_max_pooling3d_defaults(void);
#ifndef __cplusplus
#define kl_global_max_pooling3d(...)                                                               \
    KL_CALL_(kl_global_max_pooling3d_new, kl_global_pooling_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* With a mask only the steps that it keeps count. */
typedef kl_global_pooling_args kl_global_average_pooling1d_args;
KL_API kl_layer *kl_global_average_pooling1d_new(const kl_global_average_pooling1d_args *args);
KL_API kl_global_average_pooling1d_args kl_global_average_pooling1d_defaults(void);
#ifndef __cplusplus
#define kl_global_average_pooling1d(...)                                                           \
    KL_CALL_(kl_global_average_pooling1d_new, kl_global_pooling_args, (KL_LAYER_DEFAULTS),         \
             __VA_ARGS__)
#endif

typedef kl_global_pooling_args kl_global_average_pooling2d_args;
KL_API kl_layer *kl_global_average_pooling2d_new(const kl_global_average_pooling2d_args *args);
KL_API kl_global_average_pooling2d_args kl_global_average_pooling2d_defaults(void);
#ifndef __cplusplus
#define kl_global_average_pooling2d(...)                                                           \
    KL_CALL_(kl_global_average_pooling2d_new, kl_global_pooling_args, (KL_LAYER_DEFAULTS),         \
             __VA_ARGS__)
#endif

typedef kl_global_pooling_args kl_global_average_pooling3d_args;
KL_API kl_layer *kl_global_average_pooling3d_new(const kl_global_average_pooling3d_args *args);
KL_API kl_global_average_pooling3d_args kl_global_average_pooling3d_defaults(void);
#ifndef __cplusplus
#define kl_global_average_pooling3d(...)                                                           \
    KL_CALL_(kl_global_average_pooling3d_new, kl_global_pooling_args, (KL_LAYER_DEFAULTS),         \
             __VA_ARGS__)
#endif

/*
 * Pooling to a given size: window i of n covers the places from floor(i * in / n) up to
 * ceil((i + 1) * in / n) of the axis.
 */
typedef struct kl_adaptive_pooling_args {
    KL_LAYER_ARGS
    int64_t output_size[3];
    const char *data_format;
} kl_adaptive_pooling_args;

typedef kl_adaptive_pooling_args kl_adaptive_average_pooling1d_args;
KL_API kl_layer *kl_adaptive_average_pooling1d_new(const kl_adaptive_average_pooling1d_args *args);
KL_API kl_adaptive_average_pooling1d_args kl_adaptive_average_pooling1d_defaults(void);
#ifndef __cplusplus
#define kl_adaptive_average_pooling1d(...)                                                         \
    KL_CALL_(kl_adaptive_average_pooling1d_new, kl_adaptive_pooling_args, (KL_LAYER_DEFAULTS),     \
             __VA_ARGS__)
#endif

typedef kl_adaptive_pooling_args kl_adaptive_average_pooling2d_args;
KL_API kl_layer *kl_adaptive_average_pooling2d_new(const kl_adaptive_average_pooling2d_args *args);
KL_API kl_adaptive_average_pooling2d_args kl_adaptive_average_pooling2d_defaults(void);
#ifndef __cplusplus
#define kl_adaptive_average_pooling2d(...)                                                         \
    KL_CALL_(kl_adaptive_average_pooling2d_new, kl_adaptive_pooling_args, (KL_LAYER_DEFAULTS),     \
             __VA_ARGS__)
#endif

typedef kl_adaptive_pooling_args kl_adaptive_average_pooling3d_args;
KL_API kl_layer *kl_adaptive_average_pooling3d_new(const kl_adaptive_average_pooling3d_args *args);
KL_API kl_adaptive_average_pooling3d_args kl_adaptive_average_pooling3d_defaults(void);
#ifndef __cplusplus
#define kl_adaptive_average_pooling3d(...)                                                         \
    KL_CALL_(kl_adaptive_average_pooling3d_new, kl_adaptive_pooling_args, (KL_LAYER_DEFAULTS),     \
             __VA_ARGS__)
#endif

typedef kl_adaptive_pooling_args kl_adaptive_max_pooling1d_args;
KL_API kl_layer *kl_adaptive_max_pooling1d_new(const kl_adaptive_max_pooling1d_args *args);
KL_API kl_adaptive_max_pooling1d_args kl_adaptive_max_pooling1d_defaults(void);
#ifndef __cplusplus
#define kl_adaptive_max_pooling1d(...)                                                             \
    KL_CALL_(kl_adaptive_max_pooling1d_new, kl_adaptive_pooling_args, (KL_LAYER_DEFAULTS),         \
             __VA_ARGS__)
#endif

typedef kl_adaptive_pooling_args kl_adaptive_max_pooling2d_args;
KL_API kl_layer *kl_adaptive_max_pooling2d_new(const kl_adaptive_max_pooling2d_args *args);
KL_API kl_adaptive_max_pooling2d_args kl_adaptive_max_pooling2d_defaults(void);
#ifndef __cplusplus
#define kl_adaptive_max_pooling2d(...)                                                             \
    KL_CALL_(kl_adaptive_max_pooling2d_new, kl_adaptive_pooling_args, (KL_LAYER_DEFAULTS),         \
             __VA_ARGS__)
#endif

typedef kl_adaptive_pooling_args kl_adaptive_max_pooling3d_args;
KL_API kl_layer *kl_adaptive_max_pooling3d_new(const kl_adaptive_max_pooling3d_args *args);
KL_API kl_adaptive_max_pooling3d_args kl_adaptive_max_pooling3d_defaults(void);
#ifndef __cplusplus
#define kl_adaptive_max_pooling3d(...)                                                             \
    KL_CALL_(kl_adaptive_max_pooling3d_new, kl_adaptive_pooling_args, (KL_LAYER_DEFAULTS),         \
             __VA_ARGS__)
#endif

/* Keras's other names. */
#ifndef __cplusplus
#define kl_max_pool1d(...)        kl_max_pooling1d(__VA_ARGS__)
#define kl_avg_pool1d(...)        kl_average_pooling1d(__VA_ARGS__)
#define kl_global_max_pool1d(...) kl_global_max_pooling1d(__VA_ARGS__)
#define kl_global_avg_pool1d(...) kl_global_average_pooling1d(__VA_ARGS__)
#define kl_max_pool2d(...)        kl_max_pooling2d(__VA_ARGS__)
#define kl_avg_pool2d(...)        kl_average_pooling2d(__VA_ARGS__)
#define kl_global_max_pool2d(...) kl_global_max_pooling2d(__VA_ARGS__)
#define kl_global_avg_pool2d(...) kl_global_average_pooling2d(__VA_ARGS__)
#define kl_max_pool3d(...)        kl_max_pooling3d(__VA_ARGS__)
#define kl_avg_pool3d(...)        kl_average_pooling3d(__VA_ARGS__)
#define kl_global_max_pool3d(...) kl_global_max_pooling3d(__VA_ARGS__)
#define kl_global_avg_pool3d(...) kl_global_average_pooling3d(__VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
