/* Wrapper and TimeDistributed. */
#include <string.h>

#include "base/alloc.h"
#include "klayers/layers/wrappers.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

/* What every class here is: the arguments' layer is the only sublayer. */
static const kl_field wrapper_fields[] = {{"layer", KL_FIELD_LAYER,
                                           offsetof(kl_wrapper_args, layer),
                                           .doc = "the layer to wrap", .flags = KL_FIELD_REQUIRED},
                                          {0}};

static kl_layer *wrapped(const kl_layer *self)
{
    const kl_wrapper_args *args = kl_layer_state(self);
    return (kl_layer *)(uintptr_t)args->layer;
}

static kl_status wrapper_init(void *self)
{
    kl_layer *layer = wrapped(self);
    if (!layer)
        return kl_error(KL_ERROR_INVALID, "layer must be given");
    /* The arguments hold it too. */
    return kl_add_sublayer(self, "layer", layer) ? KL_OK : kl_last_status();
}

static kl_status wrapper_build(kl_layer *self, const kl_shape *in, int count)
{
    return kl_layer_build(wrapped(self), in, count);
}

static kl_tensors wrapper_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_error(KL_ERROR_UNSUPPORTED,
             "Wrapper is a base class without a call of its own: use TimeDistributed, "
             "Bidirectional or a class of one's own");
    return (kl_tensors){0};
}

const kl_layer_vtable kl_wrapper_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Wrapper",
    .state_size = sizeof(kl_wrapper_args),
    .args_size = sizeof(kl_wrapper_args),
    .fields = wrapper_fields,
    .init = wrapper_init,
    .build = wrapper_build,
    .call = wrapper_call,
    .flags = KL_LAYER_MANY_INPUTS,
};

KL_DEFINE_LAYER(kl_wrapper)

static kl_status time_distributed_init(void *self)
{
    kl_status status = wrapper_init(self);
    return status ? status : kl_set_input_spec(self, 0, (kl_input_spec){.min_ndim = 3});
}

/* The shape of one step. */
static kl_shape step_shape(const kl_shape *in)
{
    kl_shape step = *in;
    step.rank--;
    memmove(step.at + 1, in->at + 2, (size_t)(in->rank - 2) * sizeof *in->at);
    return step;
}

static kl_status time_distributed_build(kl_layer *self, const kl_shape *in, int count)
{
    kl_shape step = step_shape(in);
    return kl_layer_build(wrapped(self), &step, 1);
}

/*
 * Layers that treat every sample by itself, so that steps may stand in the place of samples: one
 * call instead of one a step. What isn't listed is called step by step.
 */
static bool is_by_sample(const kl_layer *layer, bool training)
{
    static const char *const always[] = {
        "Activation",
        "Add",
        "AveragePooling1D",
        "AveragePooling2D",
        "AveragePooling3D",
        "Concatenate",
        "Conv1D",
        "Conv1DTranspose",
        "Conv2D",
        "Conv2DTranspose",
        "Conv3D",
        "Conv3DTranspose",
        "Cropping1D",
        "Cropping2D",
        "Cropping3D",
        "Dense",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
        "ELU",
        "EinsumDense",
        "Embedding",
        "Flatten",
        "Functional",
        "GRU",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalAveragePooling3D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "GlobalMaxPooling3D",
        "GroupNormalization",
        "Identity",
        "InputLayer",
        "LSTM",
        "LayerNormalization",
        "LeakyReLU",
        "Masking",
        "MaxPooling1D",
        "MaxPooling2D",
        "MaxPooling3D",
        "MultiHeadAttention",
        "Multiply",
        "Permute",
        "RMSNormalization",
        "ReLU",
        "RepeatVector",
        "Rescaling",
        "Reshape",
        "SeparableConv1D",
        "SeparableConv2D",
        "Sequential",
        "SimpleRNN",
        "Softmax",
        "UpSampling1D",
        "UpSampling2D",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "ZeroPadding3D",
    };
    static const char *const inference[] = {"BatchNormalization", "Dropout",
                                            "GaussianDropout",    "GaussianNoise",
                                            "SpatialDropout1D",   "SpatialDropout2D"};
    const char *name = layer->object.cls->class_name;
    bool found = false;
    for (size_t i = 0; i < sizeof always / sizeof *always && !found; i++)
        found = !strcmp(always[i], name);
    for (size_t i = 0; i < sizeof inference / sizeof *inference && !found && !training; i++)
        found = !strcmp(inference[i], name);
    if (!found || layer->activity_regularizer || kl_layer_is_stateful(layer))
        return false;
    for (int i = 0; i < layer->sublayer_count; i++)
        if (!is_by_sample(layer->sublayers[i].layer, training))
            return false;
    return true;
}

/* The layer's output on one tensor with its mask, which may be NULL. */
static kl_tensor *call_step(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *mask)
{
    kl_layer *layer = wrapped(self);
    kl_call_args args = {.size = sizeof args,
                         .mark = kl_error_count(),
                         .inputs = {x},
                         .masks = {mask},
                         .layer = layer};
    kl_tensors out = kl_call_with_args(&args);
    if (!out.at)
        return NULL;
    if (out.count != 1) {
        kl_error(KL_ERROR_UNSUPPORTED, "the wrapped layer must have one output, got %d", out.count);
        return NULL;
    }
    /* Keras 3 goes past the wrapped layer's own activity regularizer. */
    if (layer->activity_regularizer && !self->legacy && !kl_context_shapes_only(ctx))
        kl_context_drop_losses(ctx, 1);
    return out.at[0];
}

/* [batch, steps, ...] with its first two axes as one, or the reverse. */
static kl_tensor *join_axes(kl_tensor *x)
{
    int64_t shape[KL_MAX_RANK];
    if (!x)
        return NULL;
    memcpy(shape + 1, x->shape + 2, (size_t)(x->rank - 2) * sizeof *shape);
    shape[0] = x->shape[0] * x->shape[1];
    return kl_op_reshape(x, x->rank - 1, shape);
}

static kl_tensor *part_axes(kl_tensor *y, int64_t batch, int64_t steps)
{
    int64_t shape[KL_MAX_RANK];
    if (!y || y->rank + 1 > KL_MAX_RANK) {
        if (y)
            kl_error(KL_ERROR_SHAPE, "the output has more than %d axes", KL_MAX_RANK);
        return NULL;
    }
    memcpy(shape + 2, y->shape + 1, (size_t)(y->rank - 1) * sizeof *shape);
    shape[0] = batch;
    shape[1] = steps;
    return kl_is_stand_in(y) ? kl_stand_in((kl_dtype)y->dtype, y->rank + 1, shape)
                             : kl_op_reshape(y, y->rank + 1, shape);
}

static kl_tensor *step_of(kl_tensor *x, int64_t step)
{
    return x ? kl_op_squeeze(kl_op_slice(x, 1, step, step + 1, 1), 1) : NULL;
}

/* One step tells the shape of all. */
static kl_tensor *shape_of_steps(const kl_layer *self, kl_context *ctx, const kl_tensor *x)
{
    kl_shape in = {.rank = x->rank};
    memcpy(in.at, x->shape, sizeof in.at);
    kl_shape step = step_shape(&in);
    kl_tensor *y = call_step(self, ctx, kl_stand_in((kl_dtype)x->dtype, step.rank, step.at), NULL);
    return part_axes(y, y ? y->shape[0] : 0, x->shape[1]);
}

static kl_tensor *call_each(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *mask)
{
    int64_t steps = x->shape[1];
    kl_tensor **out = kl_scope_alloc((size_t)steps * sizeof *out);
    for (int64_t i = 0; out && i < steps; i++) {
        kl_tensor *step = step_of(x, i);
        out[i] = step ? call_step(self, ctx, step, step_of(mask, i)) : NULL;
        if (!out[i])
            return NULL;
    }
    return out ? kl_op_stack((int)steps, out, 1) : NULL;
}

static kl_status check_mask(const kl_tensor *x, const kl_tensor *mask)
{
    char a[160], b[160];
    if (!mask ||
        (mask->rank >= 2 && mask->shape[0] == x->shape[0] && mask->shape[1] == x->shape[1]))
        return KL_OK;
    return kl_error(KL_ERROR_SHAPE,
                    "the mask %s must begin with the batch and the steps of the input %s",
                    kl_shape_text(mask->rank, mask->shape, a, sizeof a),
                    kl_shape_text(x->rank, x->shape, b, sizeof b));
}

static kl_tensors time_distributed_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *x = in.at[0], *mask = kl_input_mask(ctx, 0);
    if (kl_context_shapes_only(ctx))
        return kl_one(shape_of_steps(self, ctx, x));
    if (check_mask(x, mask))
        return kl_one(NULL);
    if (!x->shape[1]) {
        kl_error(KL_ERROR_SHAPE, "the input has no steps");
        return kl_one(NULL);
    }
    if (mask && mask->rank < 3)
        mask = NULL;
    if (!is_by_sample(wrapped(self), kl_training(ctx)))
        return kl_one(call_each(self, ctx, x, mask));
    kl_tensor *y = join_axes(x);
    if (mask && !(mask = join_axes(mask)))
        return kl_one(NULL);
    return kl_one(part_axes(y ? call_step(self, ctx, y, mask) : NULL, x->shape[0], x->shape[1]));
}

/* The wrapped layer's, as it states it for one step. */
static kl_status time_distributed_shape(const kl_layer *self, const kl_shape *in, int count,
                                        kl_shape *out, int *output_count)
{
    kl_shape step = step_shape(in), of_layer[KL_MAX_LIST];
    int layer_count;
    kl_status status = kl_layer_output_shape(wrapped(self), &step, 1, of_layer, &layer_count);
    if (status)
        return status;
    if (layer_count != 1 || of_layer[0].rank + 1 > KL_MAX_RANK)
        return kl_error(KL_ERROR_UNSUPPORTED,
                        "the wrapped layer must have one output of at most %d axes",
                        KL_MAX_RANK - 1);
    out[0].rank = of_layer[0].rank + 1;
    out[0].dtype = of_layer[0].dtype;
    out[0].at[0] = in[0].at[0];
    out[0].at[1] = in[0].at[1];
    memcpy(out[0].at + 2, of_layer[0].at + 1, (size_t)(of_layer[0].rank - 1) * sizeof *out[0].at);
    return KL_OK;
}

const kl_layer_vtable kl_time_distributed_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "TimeDistributed",
    .state_size = sizeof(kl_time_distributed_args),
    .args_size = sizeof(kl_time_distributed_args),
    .fields = wrapper_fields,
    .init = time_distributed_init,
    .build = time_distributed_build,
    .call = time_distributed_call,
    .output_shape = time_distributed_shape,
    .flags = KL_LAYER_STATES_LESS,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_time_distributed)
