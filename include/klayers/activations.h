/*
 * Activations: https://keras.io/api/layers/activations/. Wherever an activation is an argument it
 * may be a name ("relu"), an object made here, or a function of one's own wrapped by
 * kl_activation_from().
 */
#ifndef KLAYERS_ACTIVATIONS_H
#define KLAYERS_ACTIVATIONS_H

#include "klayers/object.h"
#include "klayers/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_activation_vtable {
    KL_CLASS_HEAD
    /* MUST: through ops, a tensor of x's shape. */
    kl_tensor *(*call)(const kl_activation *self, kl_tensor *x);
    /* MAY: which fused form (enum kl_fused_activation of src/kernels) computes the same; 0: none.
     */
    int fused;
} kl_activation_vtable;

/* Applies an activation; NULL is linear and gives a new handle on x. */
KL_API kl_tensor *kl_activation_call(const kl_activation *activation, kl_tensor *x);
/* By Keras name, or an object as it is (one reference is taken over); NULL for None. */
KL_API kl_activation *kl_activation_get(kl_named activation);
/* One's own function; the name is what get_config gives (register it with
   kl_register_activation to load it again). */
KL_API kl_activation *kl_activation_from(const char *name,
                                         kl_tensor *(*function)(kl_tensor *x, void *user),
                                         void *user);
KL_API kl_status kl_register_activation(const char *name,
                                        kl_tensor *(*function)(kl_tensor *x, void *user),
                                        void *user);

#ifdef __cplusplus
}
#endif
#endif
