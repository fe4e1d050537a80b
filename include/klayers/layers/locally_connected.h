/*
 * Locally connected layers of Keras 2.15 (keras.layers.LocallyConnected1D, LocallyConnected2D):
 * convolutions with a kernel of its own at every place of the output.
 *
 * Inputs are [batch, spatial..., channels] (channels_last) or [batch, channels, spatial...], the
 * spatial sizes known. Per-axis arguments take one value for all axes ({3}) or one an axis.
 */
#ifndef KLAYERS_LAYERS_LOCALLY_CONNECTED_H
#define KLAYERS_LAYERS_LOCALLY_CONNECTED_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * implementation 1 holds the kernel as [places, window * channels, filters] and knows the padding
 * "valid" alone; 2 as [input..., output...] of which the connected pairs are used; 3 as the list of
 * connected pairs, ordered by output and then input. Results are equal.
 */
typedef struct kl_locally_connected_args {
    KL_LAYER_ARGS
    int64_t filters;
    int64_t kernel_size[2], strides[2];
    const char *padding;
    const char *data_format;
    kl_named activation;
    bool use_bias;
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
    int64_t implementation;
} kl_locally_connected_args;
#define KL_LOCALLY_CONNECTED_DEFAULTS                                                              \
    KL_LAYER_DEFAULTS, .strides = {1, 1}, .padding = "valid", .use_bias = true,                    \
                       .kernel_initializer = "glorot_uniform", .bias_initializer = "zeros",        \
                       .implementation = 1

typedef kl_locally_connected_args kl_locally_connected1d_args;
KL_API kl_layer *kl_locally_connected1d_new(const kl_locally_connected1d_args *args);
KL_API kl_locally_connected1d_args kl_locally_connected1d_defaults(void);
#ifndef __cplusplus
#define kl_locally_connected1d(...)                                                                \
    KL_CALL_(kl_locally_connected1d_new, kl_locally_connected_args,                                \
             (KL_LOCALLY_CONNECTED_DEFAULTS), __VA_ARGS__)
#endif

typedef kl_locally_connected_args kl_locally_connected2d_args;
KL_API kl_layer *kl_locally_connected2d_new(const kl_locally_connected2d_args *args);
KL_API kl_locally_connected2d_args kl_locally_connected2d_defaults(void);
#ifndef __cplusplus
#define kl_locally_connected2d(...)                                                                \
    KL_CALL_(kl_locally_connected2d_new, kl_locally_connected_args,                                \
             (KL_LOCALLY_CONNECTED_DEFAULTS), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
