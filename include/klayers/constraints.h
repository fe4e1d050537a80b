/* Constraints: https://keras.io/api/layers/constraints/, applied to a weight after each update. */
#ifndef KLAYERS_CONSTRAINTS_H
#define KLAYERS_CONSTRAINTS_H

#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_constraint_vtable {
    KL_CLASS_HEAD
    /* MUST: through ops, the projected weight, of w's shape. */
    kl_tensor *(*call)(const kl_constraint *self, kl_tensor *w);
} kl_constraint_vtable;

KL_API kl_tensor *kl_constraint_call(const kl_constraint *constraint, kl_tensor *w);
KL_API kl_constraint *kl_constraint_get(kl_named constraint);
KL_API kl_constraint *kl_constraint_from(const char *name,
                                         kl_tensor *(*function)(kl_tensor *w, void *user),
                                         void *user);

#ifdef __cplusplus
}
#endif
#endif
