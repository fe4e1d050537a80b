/* The parts of saving: bytes, the HDF5 image of weights, the archive. */
#ifndef KL_SAVING_SAVING_H
#define KL_SAVING_SAVING_H

#include "klayers/saving.h"

/* Bytes on the heap, freed by kl_free. */
typedef struct kl_bytes {
    void *at;
    size_t size;
} kl_bytes;

/* A file whole; and bytes to a file, written beside it and renamed. */
kl_status kl_bytes_read(const char *path, kl_bytes *out);
kl_status kl_bytes_write(const char *path, kl_bytes bytes);

/* The HDF5 image of a model's weights in Keras's layout, with the optimizer's unless `alone`. */
kl_status kl_weights_write(kl_model *model, bool alone, kl_bytes *out);
/* Sets the model's weights from an image; the optimizer's too if they are there and fit. */
kl_status kl_weights_read(kl_model *model, kl_bytes image);

/*
 * Walks a model and what is below it with the path that Keras gives each layer in a file:
 * "layers/dense_1", "layers/lstm/cell".
 */
typedef kl_status kl_layer_visitor(kl_layer *layer, const char *path, void *user);
kl_status kl_layer_walk(kl_layer *layer, const char *path, kl_layer_visitor *visit, void *user);

#endif
