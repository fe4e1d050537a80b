/* The state of an input layer. */
#ifndef KL_MODELS_INPUT_H
#define KL_MODELS_INPUT_H

#include "klayers/model.h"

typedef struct kl_input_state {
    kl_input_layer_args args;
    kl_shape shape; /* with the batch */
    bool adopted;   /* a model has taken over the handle's first reference */
} kl_input_state;

extern const kl_layer_vtable kl_input_layer_class;

/* The symbolic tensor that the input layer stands for; takes the layer over. */
kl_tensor *kl_input_layer_tensor(kl_layer *layer);
/* An input layer for a shape with the batch; name may be NULL. */
kl_layer *kl_input_layer_for(const kl_shape *shape, const char *name);

#endif
