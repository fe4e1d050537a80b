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
/* Reads "layers", "input_layers", "output_layers" of either Keras's form; the tensors are symbolic
   and lent by their graph, the lists freed by kl_free. */
kl_status kl_functional_read(kl_config *config, int *inputs, kl_tensor ***in, int *outputs,
                             kl_tensor ***out);

#endif
