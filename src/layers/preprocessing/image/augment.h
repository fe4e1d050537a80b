/* Layers that draw among other layers. */
#ifndef KL_LAYERS_PREPROCESSING_AUGMENT_H
#define KL_LAYERS_PREPROCESSING_AUGMENT_H

#include "layers/preprocessing/image/color.h"

typedef struct kl_augment_options {
    double factor[2];
    kl_floats value_range;
    const char *interpolation, *data_format;
    int64_t seed;
    bool all; /* brightness, colour degeneration, contrast and sharpness too */
} kl_augment_options;
/* Adds the layers that RandAugment and AugMix choose among, under Keras's names. */
kl_status kl_augment_add_layers(kl_layer *self, const kl_augment_options *options);
/* A seed for the place-th sublayer: sublayers with one seed would draw alike. */
int64_t kl_augment_seed(int64_t seed, int place);

#endif
