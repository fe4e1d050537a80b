/*
 * Convolution layers: https://keras.io/api/layers/convolution_layers/
 *
 * Inputs are [batch, spatial..., channels] (channels_last) or [batch, channels, spatial...].
 * Per-axis arguments take one value for all axes ({3}) or one an axis ({3, 5}).
 */
#ifndef KLAYERS_LAYERS_CONVOLUTION_H
#define KLAYERS_LAYERS_CONVOLUTION_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* padding: "valid", "same", or for Conv1D "causal". Kernel [spatial..., in / groups, filters]. */
typedef struct kl_conv_args {
    KL_LAYER_ARGS
    int64_t filters;
    int64_t kernel_size[3], strides[3];
    const char *padding;
    const char *data_format;
    int64_t dilation_rate[3];
    int64_t groups;
    kl_named activation;
    bool use_bias;
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
    int64_t lora_rank, lora_alpha; /* KL_NONE: no low-rank correction; alpha as the rank */
} kl_conv_args;
#define KL_CONV_DEFAULTS                                                                           \
    KL_LAYER_DEFAULTS, .strides = {1, 1, 1}, .padding = "valid", .dilation_rate = {1, 1, 1},       \
                       .groups = 1, .use_bias = true, .kernel_initializer = "glorot_uniform",      \
                       .bias_initializer = "zeros", .lora_rank = KL_NONE, .lora_alpha = KL_NONE

typedef kl_conv_args kl_conv1d_args;
KL_API kl_layer *kl_conv1d_new(const kl_conv1d_args *args);
KL_API kl_conv1d_args kl_conv1d_defaults(void);
#ifndef __cplusplus
#define kl_conv1d(...) KL_CALL_(kl_conv1d_new, kl_conv_args, (KL_CONV_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_conv_args kl_conv2d_args;
KL_API kl_layer *kl_conv2d_new(const kl_conv2d_args *args);
KL_API kl_conv2d_args kl_conv2d_defaults(void);
#ifndef __cplusplus
#define kl_conv2d(...) KL_CALL_(kl_conv2d_new, kl_conv_args, (KL_CONV_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_conv_args kl_conv3d_args;
KL_API kl_layer *kl_conv3d_new(const kl_conv3d_args *args);
KL_API kl_conv3d_args kl_conv3d_defaults(void);
#ifndef __cplusplus
#define kl_conv3d(...) KL_CALL_(kl_conv3d_new, kl_conv_args, (KL_CONV_DEFAULTS), __VA_ARGS__)
#endif

/*
 * Transposed convolutions: each input element spreads over a window of the output. Without
 * output_padding an axis of n becomes n * stride ("same") or n * stride + max(kernel - stride, 0)
 * ("valid"); with it, (n - 1) * stride + kernel + output_padding ("valid"), the kernel counting as
 * its remainder by 2 with "same". Kernel [spatial..., filters, in].
 */
typedef struct kl_conv_transpose_args {
    KL_LAYER_ARGS
    int64_t filters;
    int64_t kernel_size[3], strides[3];
    const char *padding;
    kl_ints output_padding; /* KL_INTS(1) or one an axis, each below its stride; empty: None */
    const char *data_format;
    int64_t dilation_rate[3];
    kl_named activation;
    bool use_bias;
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
} kl_conv_transpose_args;
#define KL_CONV_TRANSPOSE_DEFAULTS                                                                 \
    KL_LAYER_DEFAULTS, .strides = {1, 1, 1}, .padding = "valid", .dilation_rate = {1, 1, 1},       \
                       .use_bias = true, .kernel_initializer = "glorot_uniform",                   \
                       .bias_initializer = "zeros"

typedef kl_conv_transpose_args kl_conv1d_transpose_args;
KL_API kl_layer *kl_conv1d_transpose_new(const kl_conv1d_transpose_args *args);
KL_API kl_conv1d_transpose_args kl_conv1d_transpose_defaults(void);
#ifndef __cplusplus
#define kl_conv1d_transpose(...)                                                                   \
    KL_CALL_(kl_conv1d_transpose_new, kl_conv_transpose_args, (KL_CONV_TRANSPOSE_DEFAULTS),        \
             __VA_ARGS__)
#endif

typedef kl_conv_transpose_args kl_conv2d_transpose_args;
KL_API kl_layer *kl_conv2d_transpose_new(const kl_conv2d_transpose_args *args);
KL_API kl_conv2d_transpose_args kl_conv2d_transpose_defaults(void);
#ifndef __cplusplus
#define kl_conv2d_transpose(...)                                                                   \
    KL_CALL_(kl_conv2d_transpose_new, kl_conv_transpose_args, (KL_CONV_TRANSPOSE_DEFAULTS),        \
             __VA_ARGS__)
#endif

typedef kl_conv_transpose_args kl_conv3d_transpose_args;
KL_API kl_layer *kl_conv3d_transpose_new(const kl_conv3d_transpose_args *args);
KL_API kl_conv3d_transpose_args kl_conv3d_transpose_defaults(void);
#ifndef __cplusplus
#define kl_conv3d_transpose(...)                                                                   \
    KL_CALL_(kl_conv3d_transpose_new, kl_conv_transpose_args, (KL_CONV_TRANSPOSE_DEFAULTS),        \
             __VA_ARGS__)
#endif

/* Every channel by itself gives depth_multiplier channels. Kernel [spatial..., in, multiplier]. */
typedef struct kl_depthwise_conv_args {
    KL_LAYER_ARGS
    int64_t kernel_size[2], strides[2];
    const char *padding;
    int64_t depth_multiplier;
    const char *data_format;
    int64_t dilation_rate[2];
    kl_named activation;
    bool use_bias;
    kl_named depthwise_initializer, bias_initializer;
    kl_named depthwise_regularizer, bias_regularizer;
    kl_named depthwise_constraint, bias_constraint;
} kl_depthwise_conv_args;
#define KL_DEPTHWISE_CONV_DEFAULTS                                                                 \
    KL_LAYER_DEFAULTS, .strides = {1, 1}, .padding = "valid", .depth_multiplier = 1,               \
                       .dilation_rate = {1, 1}, .use_bias = true,                                  \
                       .depthwise_initializer = "glorot_uniform", .bias_initializer = "zeros"

typedef kl_depthwise_conv_args kl_depthwise_conv1d_args;
KL_API kl_layer *kl_depthwise_conv1d_new(const kl_depthwise_conv1d_args *args);
KL_API kl_depthwise_conv1d_args kl_depthwise_conv1d_defaults(void);
#ifndef __cplusplus
#define kl_depthwise_conv1d(...)                                                                   \
    KL_CALL_(kl_depthwise_conv1d_new, kl_depthwise_conv_args, (KL_DEPTHWISE_CONV_DEFAULTS),        \
             __VA_ARGS__)
#endif

typedef kl_depthwise_conv_args kl_depthwise_conv2d_args;
KL_API kl_layer *kl_depthwise_conv2d_new(const kl_depthwise_conv2d_args *args);
KL_API kl_depthwise_conv2d_args kl_depthwise_conv2d_defaults(void);
#ifndef __cplusplus
#define kl_depthwise_conv2d(...)                                                                   \
    KL_CALL_(kl_depthwise_conv2d_new, kl_depthwise_conv_args, (KL_DEPTHWISE_CONV_DEFAULTS),        \
             __VA_ARGS__)
#endif

/* A depthwise convolution, then one of size 1 that mixes the channels. The 1D one knows "causal".
 */
typedef struct kl_separable_conv_args {
    KL_LAYER_ARGS
    int64_t filters;
    int64_t kernel_size[2], strides[2];
    const char *padding;
    const char *data_format;
    int64_t dilation_rate[2];
    int64_t depth_multiplier;
    kl_named activation;
    bool use_bias;
    kl_named depthwise_initializer, pointwise_initializer, bias_initializer;
    kl_named depthwise_regularizer, pointwise_regularizer, bias_regularizer;
    kl_named depthwise_constraint, pointwise_constraint, bias_constraint;
} kl_separable_conv_args;
#define KL_SEPARABLE_CONV_DEFAULTS                                                                 \
    KL_LAYER_DEFAULTS, .strides = {1, 1}, .padding = "valid", .dilation_rate = {1, 1},             \
                       .depth_multiplier = 1, .use_bias = true,                                    \
                       .depthwise_initializer = "glorot_uniform",                                  \
                       .pointwise_initializer = "glorot_uniform", .bias_initializer = "zeros"

typedef kl_separable_conv_args kl_separable_conv1d_args;
KL_API kl_layer *kl_separable_conv1d_new(const kl_separable_conv1d_args *args);
KL_API kl_separable_conv1d_args kl_separable_conv1d_defaults(void);
#ifndef __cplusplus
#define kl_separable_conv1d(...)                                                                   \
    KL_CALL_(kl_separable_conv1d_new, kl_separable_conv_args, (KL_SEPARABLE_CONV_DEFAULTS),        \
             __VA_ARGS__)
#endif

typedef kl_separable_conv_args kl_separable_conv2d_args;
KL_API kl_layer *kl_separable_conv2d_new(const kl_separable_conv2d_args *args);
KL_API kl_separable_conv2d_args kl_separable_conv2d_defaults(void);
#ifndef __cplusplus
#define kl_separable_conv2d(...)                                                                   \
    KL_CALL_(kl_separable_conv2d_new, kl_separable_conv_args, (KL_SEPARABLE_CONV_DEFAULTS),        \
             __VA_ARGS__)
#endif

/* Keras's other names. */
#ifndef __cplusplus
#define kl_convolution1d(...)           kl_conv1d(__VA_ARGS__)
#define kl_convolution2d(...)           kl_conv2d(__VA_ARGS__)
#define kl_convolution3d(...)           kl_conv3d(__VA_ARGS__)
#define kl_convolution1d_transpose(...) kl_conv1d_transpose(__VA_ARGS__)
#define kl_convolution2d_transpose(...) kl_conv2d_transpose(__VA_ARGS__)
#define kl_convolution3d_transpose(...) kl_conv3d_transpose(__VA_ARGS__)
#define kl_separable_convolution1d(...) kl_separable_conv1d(__VA_ARGS__)
#define kl_separable_convolution2d(...) kl_separable_conv2d(__VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
