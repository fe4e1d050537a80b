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
} kl_conv_args;
#define KL_CONV_DEFAULTS                                                                           \
    KL_LAYER_DEFAULTS, .strides = {1, 1, 1}, .padding = "valid", .dilation_rate = {1, 1, 1},       \
                       .groups = 1, .use_bias = true, .kernel_initializer = "glorot_uniform",      \
                       .bias_initializer = "zeros"

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

#ifdef __cplusplus
}
#endif
#endif
