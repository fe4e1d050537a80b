#include "objects/object.h"

#include <string.h>

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

const char *kl_builtin_module(kl_kind kind, const char *class_name)
{
    static const char *const layers[] = {"ReLU", "LeakyReLU", "ELU", "Softmax"};
    for (size_t i = 0; kind == KL_KIND_ACTIVATION && i < sizeof layers / sizeof *layers; i++)
        if (!strcmp(class_name, layers[i]))
            return "keras.layers";
    return NULL;
}
