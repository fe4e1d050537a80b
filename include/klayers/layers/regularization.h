/* Regularization layers: https://keras.io/api/layers/regularization_layers/ */
#ifndef KLAYERS_LAYERS_REGULARIZATION_H
#define KLAYERS_LAYERS_REGULARIZATION_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* While training, elements become 0 with probability rate and grow by 1 / (1 - rate) otherwise.
   noise_shape: sizes of the drawn mask, 1 where it is shared, -1 for the input's own size. */
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

#ifdef __cplusplus
}
#endif
#endif
