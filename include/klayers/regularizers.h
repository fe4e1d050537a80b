/* Regularizers: https://keras.io/api/layers/regularizers/ */
#ifndef KLAYERS_REGULARIZERS_H
#define KLAYERS_REGULARIZERS_H

#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_regularizer_vtable {
    KL_CLASS_HEAD
    /* MUST: through ops, a scalar: the penalty of x. */
    kl_tensor *(*call)(const kl_regularizer *self, kl_tensor *x);
} kl_regularizer_vtable;

KL_API kl_tensor *kl_regularizer_call(const kl_regularizer *regularizer, kl_tensor *x);
KL_API kl_regularizer *kl_regularizer_get(kl_named regularizer);
KL_API kl_regularizer *kl_regularizer_from(const char *name,
                                           kl_tensor *(*function)(kl_tensor *x, void *user),
                                           void *user);

#ifdef __cplusplus
}
#endif
#endif
