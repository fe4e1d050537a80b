/* Activation layers: https://keras.io/api/layers/activation_layers/ */
#ifndef KLAYERS_LAYERS_ACTIVATION_H
#define KLAYERS_LAYERS_ACTIVATION_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x above the threshold, at most max_value; negative_slope * (x - threshold) below. */
typedef struct kl_relu_args {
    KL_LAYER_ARGS
    double max_value; /* KL_NONEF: no limit */
    double negative_slope;
    double threshold;
} kl_relu_args;
KL_API kl_layer *kl_relu_new(const kl_relu_args *args);
KL_API kl_relu_args kl_relu_defaults(void);
#ifndef __cplusplus
#define kl_relu(...)                                                                               \
    KL_CALL_(kl_relu_new, kl_relu_args, (KL_LAYER_DEFAULTS, .max_value = KL_NONEF), __VA_ARGS__)
#endif

/* negative_slope * x below 0. */
typedef struct kl_leaky_relu_args {
    KL_LAYER_ARGS
    double negative_slope;
} kl_leaky_relu_args;
KL_API kl_layer *kl_leaky_relu_new(const kl_leaky_relu_args *args);
KL_API kl_leaky_relu_args kl_leaky_relu_defaults(void);
#ifndef __cplusplus
#define kl_leaky_relu(...)                                                                         \
    KL_CALL_(kl_leaky_relu_new, kl_leaky_relu_args, (KL_LAYER_DEFAULTS, .negative_slope = 0.3),    \
             __VA_ARGS__)
#endif

/*
 * alpha * x below 0, alpha a weight of the input's shape without the batch. shared_axes: axes,
 * counted from 1 behind the batch, that share one alpha: KL_INTS(1, 2) for images.
 */
typedef struct kl_prelu_args {
    KL_LAYER_ARGS
    kl_named alpha_initializer, alpha_regularizer, alpha_constraint;
    kl_ints shared_axes;
} kl_prelu_args;
KL_API kl_layer *kl_prelu_new(const kl_prelu_args *args);
KL_API kl_prelu_args kl_prelu_defaults(void);
#ifndef __cplusplus
#define kl_prelu(...)                                                                              \
    KL_CALL_(kl_prelu_new, kl_prelu_args, (KL_LAYER_DEFAULTS, .alpha_initializer = "zeros"),       \
             __VA_ARGS__)
#endif

/* alpha * (exp(x) - 1) below 0. */
typedef struct kl_elu_args {
    KL_LAYER_ARGS
    double alpha;
} kl_elu_args;
KL_API kl_layer *kl_elu_new(const kl_elu_args *args);
KL_API kl_elu_args kl_elu_defaults(void);
#ifndef __cplusplus
#define kl_elu(...) KL_CALL_(kl_elu_new, kl_elu_args, (KL_LAYER_DEFAULTS, .alpha = 1), __VA_ARGS__)
#endif

/* x above theta, else 0. Of Keras 2.15; in Keras 3 it is kl_relu(.threshold = theta). */
typedef struct kl_thresholded_relu_args {
    KL_LAYER_ARGS
    double theta;
} kl_thresholded_relu_args;
KL_API kl_layer *kl_thresholded_relu_new(const kl_thresholded_relu_args *args);
KL_API kl_thresholded_relu_args kl_thresholded_relu_defaults(void);
#ifndef __cplusplus
#define kl_thresholded_relu(...)                                                                   \
    KL_CALL_(kl_thresholded_relu_new, kl_thresholded_relu_args, (KL_LAYER_DEFAULTS, .theta = 1),   \
             __VA_ARGS__)
#endif

/*
 * exp(x) over its sum along an axis or several together; unset is the last one, KL_INTS(KL_NONE)
 * all of them. A mask, carried by
 * the input or given to the call, broadcasts to the input: where it is false the output is 0.
 */
typedef struct kl_softmax_args {
    KL_LAYER_ARGS
    kl_ints axis;
} kl_softmax_args;
KL_API kl_layer *kl_softmax_new(const kl_softmax_args *args);
KL_API kl_softmax_args kl_softmax_defaults(void);
#ifndef __cplusplus
#define kl_softmax(...) KL_CALL_(kl_softmax_new, kl_softmax_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
