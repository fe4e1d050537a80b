#include "objects/object.h"

const kl_class *kl_builtin_class(kl_kind kind, const char *name)
{
    switch (kind) {
    case KL_KIND_ACTIVATION:
        return kl_builtin_activation(name);
    case KL_KIND_INITIALIZER:
        return kl_builtin_initializer(name);
    case KL_KIND_REGULARIZER:
        return kl_builtin_regularizer(name);
    case KL_KIND_CONSTRAINT:
        return kl_builtin_constraint(name);
    default:
        return NULL;
    }
}
