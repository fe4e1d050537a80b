#include "models/input.h"

#include <string.h>

#include "base/error.h"
#include "layers/layer.h"
#include "models/graph.h"
#include "tensor/tensor.h"

static const kl_field input_fields[] = {
    {"shape", KL_FIELD_SHAPE, offsetof(kl_input_layer_args, shape),
     .doc = "sizes of one sample, without the batch",
     .flags = KL_FIELD_HIDDEN | KL_FIELD_OPTIONAL | KL_FIELD_UNKNOWN_OK},
    {"batch_size", KL_FIELD_INT, offsetof(kl_input_layer_args, batch_size),
     .doc = "the batch's size, 0 if unknown", .flags = KL_FIELD_HIDDEN | KL_FIELD_OPTIONAL},
    {"sparse", KL_FIELD_BOOL, offsetof(kl_input_layer_args, sparse),
     .doc = "kept in the config; values are dense"},
    {"ragged", KL_FIELD_BOOL, offsetof(kl_input_layer_args, ragged), .doc = "must be false"},
    {"optional", KL_FIELD_BOOL, offsetof(kl_input_layer_args, optional),
     .doc = "kept in the config", .flags = KL_FIELD_HIDDEN},
    {"batch_shape", KL_FIELD_SHAPE, offsetof(kl_input_layer_args, batch_shape),
     .doc = "sizes with the batch, instead of shape and batch_size",
     .flags = KL_FIELD_HIDDEN | KL_FIELD_OPTIONAL | KL_FIELD_UNKNOWN_OK},
    {0}};

/* From batch_shape (Keras 3), batch_input_shape (2.15), shape or the head's input_shape. */
static kl_status read_shape(void *self, kl_config *config)
{
    kl_input_state *state = kl_layer_state(self);
    static const char *const keys[] = {"batch_shape", "batch_input_shape"};
    for (int k = 0; k < 2; k++) {
        kl_config *item = kl_config_detach(config, keys[k]);
        if (!item)
            continue;
        size_t count = kl_config_count(item);
        bool list = kl_config_typeof(item) == KL_CONFIG_LIST && count && count <= KL_MAX_RANK;
        kl_status status = KL_OK;
        for (size_t i = 0; list && i < count; i++) {
            const kl_config *dim = kl_config_at(item, i);
            int64_t size = -1;
            if (kl_config_typeof(dim) != KL_CONFIG_NULL &&
                (!kl_config_as_int(dim, &size) || size < 0))
                status = kl_error(KL_ERROR_FORMAT, "%s: dimension %zu is not a size", keys[k], i);
            state->shape.at[i] = size;
        }
        if (list)
            state->shape.rank = (int)count;
        else if (kl_config_typeof(item) != KL_CONFIG_NULL)
            status = kl_error(KL_ERROR_FORMAT, "%s: expected a list of 1 to %d sizes", keys[k],
                              KL_MAX_RANK);
        kl_config_free(item);
        if (status)
            return status;
    }
    return KL_OK;
}

/* batch_shape stands for shape and batch_size, and not beside them. */
static kl_status take_batch_shape(kl_input_state *state)
{
    const int64_t *shape = state->args.batch_shape;
    if (!shape[0])
        return KL_OK;
    if (state->args.shape[0] || state->args.batch_size > 0)
        return kl_error(KL_ERROR_INVALID, "batch_shape can't be given together with %s",
                        state->args.shape[0] ? "shape" : "batch_size");
    if (shape[0] == KL_SCALAR)
        return kl_error(KL_ERROR_INVALID, "batch_shape must have the batch's size, or -1");
    int rank = 0;
    for (; rank < KL_MAX_RANK && shape[rank]; rank++)
        state->shape.at[rank] = shape[rank];
    state->shape.rank = rank;
    return KL_OK;
}

static kl_status input_init(void *self)
{
    kl_layer *layer = self;
    kl_input_state *state = kl_layer_state(self);
    const int64_t *shape = state->args.shape;
    if (state->args.ragged)
        return kl_error(KL_ERROR_UNSUPPORTED,
                        "ragged inputs are not supported: pad them and use a mask");
    if (state->args.batch_size < 0 && state->args.batch_size != KL_NONE)
        return kl_error(KL_ERROR_RANGE, "batch_size must be positive, got %lld",
                        (long long)state->args.batch_size);
    if (take_batch_shape(state))
        return kl_last_status();
    state->shape.dtype = layer->compute_dtype;
    if (!state->shape.rank && !shape[0] && layer->has_input_shape) {
        state->shape = layer->input_shape;
        state->shape.dtype = layer->compute_dtype;
    } else if (!state->shape.rank) {
        int rank = 0;
        if (shape[0] != KL_SCALAR)
            while (rank < KL_MAX_RANK && shape[rank])
                rank++;
        if (!rank && shape[0] != KL_SCALAR)
            return kl_error(KL_ERROR_INVALID,
                            "an input needs a shape, such as .shape = {20}; a scalar's is "
                            "{KL_SCALAR}");
        if (rank >= KL_MAX_RANK)
            return kl_error(KL_ERROR_SHAPE, "an input has at most %d dimensions and the batch",
                            KL_MAX_RANK - 1);
        for (int i = 0; i < rank; i++) {
            if (shape[i] < -1)
                return kl_error(KL_ERROR_SHAPE, "shape: dimension %d is %lld", i,
                                (long long)shape[i]);
            state->shape.at[i + 1] = shape[i];
        }
        state->shape.rank = rank + 1;
        state->shape.at[0] = -1;
    }
    if (state->args.batch_size > 0)
        state->shape.at[0] = state->args.batch_size;
    /* A shape whose known sizes overflow can never be fed. */
    int64_t known = 1;
    for (int i = 0; i < state->shape.rank; i++)
        if (state->shape.at[i] > 0 && __builtin_mul_overflow(known, state->shape.at[i], &known))
            return kl_error(KL_ERROR_SHAPE, "the number of elements of the shape overflows");
    if (known > INT64_MAX / 16)
        return kl_error(KL_ERROR_SHAPE, "the number of elements of the shape overflows");
    return KL_OK;
}

static kl_status input_get_config(const void *self, kl_config *config)
{
    const kl_input_state *state = kl_layer_state(self);
    kl_config *shape = kl_config_new_list();
    kl_status status = shape ? KL_OK : KL_ERROR_MEMORY;
    for (int i = 0; !status && i < state->shape.rank; i++)
        status =
            kl_config_append(shape, state->shape.at[i] < 0 ? kl_config_new_null()
                                                           : kl_config_new_int(state->shape.at[i]));
    if (status) {
        kl_config_free(shape);
        return status;
    }
    status = kl_config_set(config, "batch_shape", shape);
    if (!status)
        status = kl_config_set_string(config, "dtype", kl_dtype_name(state->shape.dtype));
    kl_config_free(kl_config_detach(config, "trainable"));
    return status;
}

static kl_tensors input_call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    return kl_many(inputs.count, inputs.at);
}

const kl_layer_vtable kl_input_layer_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "InputLayer",
    .names = "Input",
    .state_size = sizeof(kl_input_state),
    .args_size = sizeof(kl_input_layer_args),
    .fields = input_fields,
    .init = input_init,
    .get_config = input_get_config,
    .from_config = read_shape,
    .call = input_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_NO_AUTOCAST,
};

kl_input_layer_args kl_input_layer_defaults(void)
{
    return (kl_input_layer_args){
        .size = sizeof(kl_input_layer_args), .mark = kl_error_count(), KL_LAYER_DEFAULTS};
}

kl_layer *kl_input_layer_new(const kl_input_layer_args *args)
{
    return kl_layer_new(&kl_input_layer_class, args);
}

kl_input_args kl_input_defaults(void)
{
    return (kl_input_args){.size = sizeof(kl_input_args), .mark = kl_error_count()};
}

kl_tensor *kl_input_layer_tensor(kl_layer *layer)
{
    const kl_input_state *state = kl_layer_state(layer);
    return kl_graph_input(layer, &state->shape);
}

kl_tensor *kl_input_new(const kl_input_args *args)
{
    if (!args) {
        kl_error_null("kl_input", "args");
        return NULL;
    }
    if (!kl_args_usable("kl_input", args, args->size, sizeof *args, args->mark))
        return NULL;
    kl_input_layer_args layer_args = kl_input_layer_defaults();
    layer_args.name = args->name;
    layer_args.dtype = args->dtype;
    memcpy(layer_args.shape, args->shape, sizeof layer_args.shape);
    layer_args.batch_size = args->batch_size;
    layer_args.sparse = args->sparse;
    layer_args.ragged = args->ragged;
    layer_args.optional = args->optional;
    memcpy(layer_args.batch_shape, args->batch_shape, sizeof layer_args.batch_shape);
    kl_layer *layer = kl_input_layer_new(&layer_args);
    return layer ? kl_input_layer_tensor(layer) : NULL;
}

kl_layer *kl_input_layer_for(const kl_shape *shape, const char *name)
{
    kl_input_layer_args args = kl_input_layer_defaults();
    args.name = name;
    args.dtype = kl_dtype_name(shape->dtype);
    args.shape[0] = KL_SCALAR;
    for (int i = 1; i < shape->rank; i++)
        args.shape[i - 1] = shape->at[i];
    args.batch_size = shape->at[0] > 0 ? shape->at[0] : 0;
    return kl_input_layer_new(&args);
}
