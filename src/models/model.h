/* What Sequential and Functional share. */
#ifndef KL_MODELS_MODEL_H
#define KL_MODELS_MODEL_H

#include "models/executor.h"

extern const kl_layer_vtable kl_sequential_class;
extern const kl_layer_vtable kl_functional_class;

/* The executor of a model, NULL if it is no model or not built yet. */
const kl_executor *kl_model_executor(const kl_model *model);
const kl_executor *kl_sequential_executor(const kl_model *model);
const kl_executor *kl_functional_executor(const kl_model *model);
/* The input layer that the model was given or made; NULL before it is built. */
kl_layer *kl_sequential_input_layer(const kl_model *model);
bool kl_is_model(const kl_layer *layer);

/* The config of a graph's model, Keras 3's form, and back (functional_config.c). */
kl_status kl_functional_write(const kl_layer *model, const kl_executor *executor,
                              kl_config *config);
/* Makes `self` the owner of the graph between symbolic tensors; they stay lent. */
typedef kl_status kl_graph_taker(kl_layer *self, int inputs, kl_tensor *const *in, int outputs,
                                 kl_tensor *const *out);
/* Reads "layers", "input_layers", "output_layers" of either Keras's form and hands what they make
   on to `take`. */
kl_status kl_functional_read(kl_config *config, kl_layer *self, kl_graph_taker *take);

#endif
