#include "klayers/model.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "layers/layer.h"
#include "models/executor.h"
#include "models/input.h"
#include "models/model.h"
#include "tensor/tensor.h"

typedef struct functional_state {
    kl_functional_args args;
    kl_executor *executor;
} functional_state;

/* The graph between the tensors becomes the model's; its layers become sublayers in Keras's
   order. */
static kl_status take_graph(kl_layer *self, int inputs, kl_tensor *const *in, int outputs,
                            kl_tensor *const *out)
{
    functional_state *state = kl_layer_state(self);
    if (!inputs || !outputs)
        return kl_error(KL_ERROR_INVALID, "a functional model needs inputs and outputs");
    for (int i = 0; i < inputs + outputs; i++) {
        const kl_tensor *tensor = i < inputs ? in[i] : out[i - inputs];
        if (!tensor)
            return kl_error_null("kl_functional", i < inputs ? "inputs" : "outputs");
        if (!tensor->symbol)
            return kl_error(KL_ERROR_INVALID,
                            "%s %d is not symbolic: a model is made of what kl_input() begins",
                            i < inputs ? "input" : "output", i < inputs ? i : i - inputs);
    }
    state->executor = kl_executor_new(inputs, in, outputs, out);
    if (!state->executor)
        return kl_last_status();
    const kl_executor *ex = state->executor;
    for (int i = 0; i < ex->node_count; i++) {
        kl_layer *layer = ex->nodes[i]->layer;
        bool known = !layer;
        for (int k = 0; k < self->sublayer_count && !known; k++)
            known = self->sublayers[k].layer == layer;
        if (!known && !kl_add_sublayer(self, "layers", layer))
            return kl_last_status();
    }
    /* Last: where no model comes of it, the inputs stay the caller's. */
    for (int i = 0; i < inputs; i++)
        kl_graph_adopt_input(in[i]);
    self->built = true;
    return KL_OK;
}

static int list_length(kl_tensor *const *list)
{
    int count = 0;
    while (count < KL_MAX_LIST && list[count])
        count++;
    return count;
}

static kl_status functional_from_config(void *self, kl_config *config)
{
    return kl_functional_read(config, self, take_graph);
}

static kl_status functional_get_config(const void *self, kl_config *config)
{
    const functional_state *state = kl_layer_state(self);
    return kl_functional_write(self, state->executor, config);
}

static void functional_destroy(void *self)
{
    functional_state *state = kl_layer_state(self);
    kl_executor_free(state->executor);
}

static kl_status functional_init(void *self)
{
    return KL_OK;
}

static kl_tensors functional_call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const functional_state *state = kl_layer_state(self);
    if (!state->executor) {
        kl_error(KL_ERROR_STATE, "the model has no graph");
        return (kl_tensors){0};
    }
    return kl_executor_call(state->executor, self, ctx, inputs);
}

static const kl_field functional_fields[] = {{0}};

const kl_layer_vtable kl_functional_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Functional",
    .module = "keras.src.models.functional",
    .names = "Model",
    .state_size = sizeof(functional_state),
    .args_size = sizeof(kl_functional_args),
    .fields = functional_fields,
    .init = functional_init,
    .get_config = functional_get_config,
    .from_config = functional_from_config,
    .destroy = functional_destroy,
    .call = functional_call,
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_MANY_INPUTS | KL_LAYER_KEEPS_MASKS,
};

kl_model *kl_functional_new(const kl_functional_args *args)
{
    if (!args) {
        kl_error_null("kl_functional", "args");
        return NULL;
    }
    kl_model *model = kl_layer_new(&kl_functional_class, args);
    if (!model)
        return NULL;
    int inputs = args->inputs_list.at ? args->inputs_list.count : list_length(args->inputs);
    int outputs = args->outputs_list.at ? args->outputs_list.count : list_length(args->outputs);
    if (take_graph(model, inputs, args->inputs_list.at ? args->inputs_list.at : args->inputs,
                   outputs, args->outputs_list.at ? args->outputs_list.at : args->outputs)) {
        kl_error_prefix(model->name);
        kl_object_release(model);
        return NULL;
    }
    return model;
}

kl_functional_args kl_functional_defaults(void)
{
    return (kl_functional_args){
        .size = sizeof(kl_functional_args), .mark = kl_error_count(), KL_LAYER_DEFAULTS};
}

const kl_executor *kl_functional_executor(const kl_model *model)
{
    const functional_state *state = kl_layer_state(model);
    return state->executor;
}
