#include "layers/fusion.h"

#include <string.h>

const kl_layer_fusion *kl_fusion_of(const kl_layer *layer)
{
    const kl_layer_vtable *vtable = layer->vtable;
    return vtable->size > offsetof(kl_layer_vtable, fusion) ? vtable->fusion : NULL;
}

bool kl_activation_is_linear(const kl_activation *activation)
{
    return !activation || !strcmp(kl_object_class_name(activation), "linear");
}
