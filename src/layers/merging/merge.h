/* What merging layers share. */
#ifndef KL_LAYERS_MERGING_MERGE_H
#define KL_LAYERS_MERGING_MERGE_H

#include "klayers/layer.h"

/* Checks that the known batch sizes agree. */
kl_status kl_merge_build(kl_layer *self, const kl_shape *in, int count);

#endif
