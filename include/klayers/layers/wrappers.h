/* Layers around another layer. Bidirectional is in recurrent.h. */
#ifndef KLAYERS_LAYERS_WRAPPERS_H
#define KLAYERS_LAYERS_WRAPPERS_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The base of Keras's wrappers: it holds, builds and saves a layer, and can't be called. */
typedef struct kl_wrapper_args {
    KL_LAYER_ARGS
    kl_named layer;
} kl_wrapper_args;
KL_API kl_layer *kl_wrapper_new(const kl_wrapper_args *args);
KL_API kl_wrapper_args kl_wrapper_defaults(void);
#ifndef __cplusplus
#define kl_wrapper(...) KL_CALL_(kl_wrapper_new, kl_wrapper_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/*
 * A layer or model on every step of [batch, steps, ...]: kl_time_distributed(.layer = kl_dense(
 * .units = 8)) gives [batch, steps, 8]. The steps' mask goes with the output; a mask of more axes
 * also reaches the layer, step by step.
 * https://keras.io/api/layers/recurrent_layers/time_distributed/
 */
typedef struct kl_time_distributed_args {
    KL_LAYER_ARGS
    kl_named layer;
} kl_time_distributed_args;
KL_API kl_layer *kl_time_distributed_new(const kl_time_distributed_args *args);
KL_API kl_time_distributed_args kl_time_distributed_defaults(void);
#ifndef __cplusplus
#define kl_time_distributed(...)                                                                   \
    KL_CALL_(kl_time_distributed_new, kl_time_distributed_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
