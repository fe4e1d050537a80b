/* What merging layers share. */
#ifndef KL_LAYERS_MERGING_MERGE_H
#define KL_LAYERS_MERGING_MERGE_H

#include "klayers/layers/merging.h"

/* Checks that the known batch sizes agree. */
kl_status kl_merge_build(kl_layer *self, const kl_shape *in, int count);
/* Makes a layer of the class with `of`, a struct that begins with KL_LAYER_ARGS, and calls it, both
   as args say. */
kl_tensor *kl_merge_once(const char *function, const kl_merge_call_args *args,
                         const kl_layer_vtable *vtable, void *of);

#endif
