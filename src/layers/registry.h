/* The table of all built-in layer classes: who includes this links every layer. */
#ifndef KL_LAYERS_REGISTRY_H
#define KL_LAYERS_REGISTRY_H

#include "klayers/layer.h"
#include "objects/object.h"

/* A built-in class by class name or alias; NULL if there is none. */
const kl_class *kl_builtin_layer(const char *class_name);
/* The index-th built-in class, NULL beyond the end. */
const kl_layer_vtable *kl_builtin_layer_at(size_t index);
/* Lets configs name any built-in layer. */
void kl_layers_use_all(void);

#endif
