#include "klayers/model.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "layers/layer.h"
#include "models/executor.h"
#include "models/input.h"
#include "models/model.h"
#include "tensor/tensor.h"

/*
 * A Sequential model is a chain of symbolic calls once its input is known: from an input layer, a
 * first layer's input_shape, or the first call.
 */
typedef struct sequential_state {
    kl_sequential_args args;
    kl_tensor *input;      /* symbolic; one reference of the user's kind is the model's */
    kl_layer *input_layer; /* owned by the graph */
    kl_tensor *tail;       /* lent by the graph */
    kl_executor *executor; /* of the chain so far; made at need */
    bool deferred;         /* no input was given: it comes with the first call */
} sequential_state;

static void drop_executor(sequential_state *state)
{
    kl_executor_free(state->executor);
    state->executor = NULL;
}

/* Forgets the chain; the layers stay. */
static void drop_chain(kl_layer *self)
{
    sequential_state *state = kl_layer_state(self);
    drop_executor(state);
    kl_tensor *input = state->input;
    state->input = state->tail = NULL;
    state->input_layer = NULL;
    self->built = false;
    kl_release(input);
}

static kl_status begin_chain(kl_layer *self, kl_layer *input_layer)
{
    sequential_state *state = kl_layer_state(self);
    state->input = state->tail = kl_input_layer_tensor(input_layer);
    if (!state->input)
        return kl_last_status();
    kl_input_state *input = kl_layer_state(input_layer);
    input->adopted = true; /* the handle's reference is this model's until drop_chain */
    state->input_layer = input_layer;
    return KL_OK;
}

static kl_status extend_chain(sequential_state *state, kl_layer *layer)
{
    drop_executor(state);
    kl_call_args args = {.size = sizeof args, .inputs = {state->tail}, .layer = layer};
    args.mark = kl_error_count();
    kl_tensors out = kl_call_with_args(&args);
    if (!out.at)
        return kl_last_status();
    if (out.count != 1)
        return kl_error(KL_ERROR_UNSUPPORTED,
                        "every layer of a Sequential model has one output, %s has %d: use a "
                        "functional model",
                        kl_layer_name(layer), out.count);
    state->tail = out.at[0];
    return KL_OK;
}

static kl_status make_executor(kl_layer *self)
{
    sequential_state *state = kl_layer_state(self);
    if (state->executor)
        return KL_OK;
    if (!state->input)
        return kl_error(KL_ERROR_STATE, "the model is not built: it has no input shape yet");
    state->executor = kl_executor_new(1, &state->input, 1, &state->tail);
    return state->executor ? KL_OK : kl_last_status();
}

/* The chain from an input of this shape (with the batch) through all layers. */
static kl_status build_chain(kl_layer *self, const kl_shape *shape)
{
    sequential_state *state = kl_layer_state(self);
    kl_layer *input_layer = kl_input_layer_for(shape, NULL);
    if (!input_layer)
        return kl_last_status();
    kl_status status = begin_chain(self, input_layer);
    for (int i = 0; i < self->sublayer_count && !status; i++)
        status = extend_chain(state, self->sublayers[i].layer);
    if (!status)
        status = make_executor(self);
    if (status)
        drop_chain(self);
    return status;
}

static kl_status check_name(const kl_layer *self, const kl_layer *layer)
{
    for (int i = 0; i < self->sublayer_count; i++) {
        if (self->sublayers[i].layer == layer)
            return kl_error(KL_ERROR_INVALID, "layer '%s' is in the model already", layer->name);
        if (!strcmp(self->sublayers[i].layer->name, layer->name))
            return kl_error(KL_ERROR_INVALID,
                            "all layers of a Sequential model need names of their own: '%s' is "
                            "taken",
                            layer->name);
    }
    return KL_OK;
}

static kl_status add_layer(kl_layer *self, kl_layer *layer)
{
    sequential_state *state = kl_layer_state(self);
    bool is_input = layer->vtable == &kl_input_layer_class;
    if (is_input && (state->input || self->sublayer_count)) {
        kl_object_release(layer);
        return kl_error(KL_ERROR_INVALID, "an input layer can only be the first of the model");
    }
    if (is_input)
        return begin_chain(self, layer);
    if (layer == self)
        return kl_error(KL_ERROR_INVALID, "a model can't be added to itself");
    kl_object_own(layer);
    kl_status status = check_name(self, layer);
    if (!status && !state->input && !self->sublayer_count) {
        kl_tensor *inner = kl_is_model(layer) ? kl_model_input(layer, 0) : NULL;
        kl_layer *input_layer = NULL;
        if (inner) {
            kl_shape shape = {.rank = inner->rank, .dtype = inner->dtype};
            memcpy(shape.at, inner->shape, sizeof shape.at);
            input_layer = kl_input_layer_for(&shape, NULL);
        } else if (layer->has_input_shape) {
            kl_shape shape = layer->input_shape;
            shape.dtype = layer->compute_dtype;
            input_layer = kl_input_layer_for(&shape, NULL);
        }
        if (input_layer)
            status = begin_chain(self, input_layer);
        else if (inner || layer->has_input_shape)
            status = kl_last_status();
    }
    if (!status && state->input)
        status = extend_chain(state, layer);
    if (!status && !kl_add_sublayer(self, "layers", layer))
        status = kl_last_status();
    if (!status && !state->input)
        self->built = false;
    kl_object_disown(layer);
    return status;
}

kl_status kl_add(kl_model *model, kl_layer *layer)
{
    if (!model || !layer) {
        kl_status status = kl_error_null("kl_add", model ? "layer" : "model");
        if (model)
            kl_layer_fail(model, status);
        kl_object_release(layer);
        return status;
    }
    if (model->vtable != &kl_sequential_class) {
        kl_object_release(layer);
        return kl_error(KL_ERROR_INVALID, "%s: layers can be added to a Sequential model only",
                        model->name);
    }
    kl_status status = kl_layer_check(model);
    if (status) {
        kl_object_release(layer);
        return status;
    }
    if (*(const uint8_t *)layer != 0xFF || kl_object_kind(layer) != KL_KIND_LAYER)
        status = kl_error(KL_ERROR_INVALID, "kl_add takes a layer, got another kind of object");
    else
        status = add_layer(model, layer);
    if (status)
        kl_error_prefix(model->name);
    else
        model->built = ((sequential_state *)kl_layer_state(model))->input != NULL;
    return kl_layer_fail(model, status);
}

kl_status kl_pop(kl_model *model)
{
    if (!model)
        return kl_error_null("kl_pop", "model");
    if (model->vtable != &kl_sequential_class || !model->sublayer_count)
        return kl_error(KL_ERROR_STATE, "%s: there is no layer to remove", model->name);
    sequential_state *state = kl_layer_state(model);
    kl_shape shape = {0};
    if (state->input) {
        const kl_tensor *input = state->input;
        shape = (kl_shape){.rank = input->rank, .dtype = input->dtype};
        memcpy(shape.at, input->shape, sizeof shape.at);
    }
    drop_chain(model);
    kl_remove_last_sublayer(model);
    kl_status status = shape.rank && !state->deferred ? build_chain(model, &shape) : KL_OK;
    model->built = state->input != NULL;
    return status;
}

static kl_status sequential_build(kl_layer *self, const kl_shape *inputs, int count)
{
    sequential_state *state = kl_layer_state(self);
    if (count != 1)
        return kl_error(KL_ERROR_SHAPE, "a Sequential model has one input, got %d", count);
    if (state->input)
        return make_executor(self);
    if (!self->sublayer_count)
        return kl_error(KL_ERROR_STATE, "the model has no layers");
    kl_shape shape = inputs[0];
    if (shape.rank)
        shape.at[0] = -1;
    state->deferred = true;
    return build_chain(self, &shape);
}

static kl_tensors sequential_call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const sequential_state *state = kl_layer_state(self);
    const kl_executor *executor = kl_model_executor(self);
    if (!executor) {
        if (!kl_error_count() || state->input == NULL)
            kl_error(KL_ERROR_STATE, "the model is not built");
        return (kl_tensors){0};
    }
    return kl_executor_call(executor, self, ctx, inputs);
}

static kl_status sequential_get_config(const void *self, kl_config *config)
{
    const kl_layer *layer = self;
    const sequential_state *state = kl_layer_state(self);
    kl_config *layers = kl_config_new_list();
    kl_status status = layers ? KL_OK : KL_ERROR_MEMORY;
    if (!status && state->input_layer)
        status = kl_config_append(layers, kl_object_serialize(state->input_layer));
    for (int i = 0; i < layer->sublayer_count && !status; i++)
        status = kl_config_append(layers, kl_object_serialize(layer->sublayers[i].layer));
    if (status) {
        kl_config_free(layers);
        return status;
    }
    status = kl_config_set(config, "layers", layers);
    if (!status && state->input) {
        kl_config *shape = kl_config_new_list();
        for (int i = 0; i < state->input->rank && !status; i++)
            status = kl_config_append(shape, state->input->shape[i] < 0
                                                 ? kl_config_new_null()
                                                 : kl_config_new_int(state->input->shape[i]));
        if (!status)
            status = kl_config_set(config, "build_input_shape", shape);
        else
            kl_config_free(shape);
    }
    return status;
}

static kl_status sequential_from_config(void *self, kl_config *config)
{
    kl_config_free(kl_config_detach(config, "build_input_shape"));
    kl_config *layers = kl_config_detach(config, "layers");
    if (!layers || kl_config_typeof(layers) != KL_CONFIG_LIST) {
        kl_config_free(layers);
        return kl_error(KL_ERROR_FORMAT, "layers: expected a list of layers");
    }
    kl_status status = KL_OK;
    for (size_t i = 0; i < kl_config_count(layers) && !status; i++) {
        kl_layer *layer = kl_object_deserialize(KL_KIND_LAYER, kl_config_at(layers, i));
        status = layer ? add_layer(self, layer) : kl_last_status();
    }
    kl_config_free(layers);
    kl_layer *layer = self;
    layer->built = ((sequential_state *)kl_layer_state(self))->input != NULL;
    return status;
}

static void sequential_destroy(void *self)
{
    drop_chain(self);
}

static kl_status sequential_init(void *self)
{
    kl_layer *layer = self;
    if (layer->sublayer_count)
        return KL_OK;
    layer->built = false;
    return KL_OK;
}

static const kl_field sequential_fields[] = {{0}};

const kl_layer_vtable kl_sequential_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Sequential",
    .module = "keras",
    .state_size = sizeof(sequential_state),
    .args_size = sizeof(kl_sequential_args),
    .fields = sequential_fields,
    .init = sequential_init,
    .get_config = sequential_get_config,
    .from_config = sequential_from_config,
    .destroy = sequential_destroy,
    .build = sequential_build,
    .call = sequential_call,
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_KEEPS_MASKS,
};

kl_model *kl_sequential_new(const kl_sequential_args *args)
{
    kl_model *model = kl_layer_new(&kl_sequential_class, args);
    const size_t most = sizeof args->layers / sizeof *args->layers;
    for (size_t i = 0; args && i < most && args->layers[i]; i++) {
        if (!model)
            kl_object_release(args->layers[i]);
        else
            kl_add(model, args->layers[i]);
    }
    return model;
}

kl_sequential_args kl_sequential_defaults(void)
{
    return (kl_sequential_args){
        .size = sizeof(kl_sequential_args), .mark = kl_error_count(), KL_LAYER_DEFAULTS};
}

const kl_executor *kl_sequential_executor(const kl_model *model)
{
    kl_model *owner = (kl_model *)(uintptr_t)model;
    sequential_state *state = kl_layer_state(model);
    if (!state->executor && state->input) {
        pthread_mutex_lock(&owner->guard);
        make_executor(owner);
        pthread_mutex_unlock(&owner->guard);
    }
    return state->executor;
}

kl_layer *kl_sequential_input_layer(const kl_model *model)
{
    const sequential_state *state = kl_layer_state(model);
    return state->input_layer;
}
