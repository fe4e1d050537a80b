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
#define kl_flatten(...) KL_CALL_(kl_flatten_new, kl_flatten_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
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

#ifdef __cplusplus
}
#endif
#endif
