/*
 * Initializers: https://keras.io/api/layers/initializers/. Random ones draw from a seed (KL_NONE:
 * from the default generator) by Philox: the distributions are Keras's, the numbers are not.
 */
#ifndef KLAYERS_INITIALIZERS_H
#define KLAYERS_INITIALIZERS_H

#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_initializer_vtable {
    KL_CLASS_HEAD
    /* MUST: sets every element of `out`, which is contiguous and float32 or float64 (other dtypes
       are converted by the caller). `seed` is the stream's key, fixed for the call. */
    kl_status (*fill)(const kl_initializer *self, uint64_t seed, kl_tensor *out);
} kl_initializer_vtable;

/* A new tensor by an initializer. */
KL_API kl_tensor *kl_initializer_call(const kl_initializer *initializer, kl_dtype dtype, int rank,
                                      const int64_t *shape);
KL_API kl_initializer *kl_initializer_get(kl_named initializer);
KL_API kl_initializer *kl_initializer_from(const char *name,
                                           kl_status (*fill)(kl_tensor *out, void *user),
                                           void *user);

#ifdef __cplusplus
}
#endif
#endif
