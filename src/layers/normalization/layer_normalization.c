/* LayerNormalization and RMSNormalization: each sample by itself, over some of its axes. */
#include <string.h>

#include "klayers/layers/normalization.h"
#include "layers/layer.h"
#include "layers/normalization/axes.h"
#include "ops/norm.h"
#include "tensor/tensor.h"

typedef struct layer_norm_state {
    kl_layer_normalization_args args;
    kl_weight *gamma, *beta;
    kl_norm_axes axes;
} layer_norm_state;

typedef struct rms_norm_state {
    kl_rms_normalization_args args;
    kl_weight *scale;
    kl_norm_axes axes;
} rms_norm_state;

#define ARG(member) offsetof(kl_layer_normalization_args, member)
static const kl_field layer_norm_fields[] = {
    {"axis", KL_FIELD_INTS, ARG(axis), .doc = "axis or axes; unset is the last",
     .flags = KL_FIELD_OPTIONAL},
    {"epsilon", KL_FIELD_FLOAT, ARG(epsilon), "0.001", .doc = "added to the variance", .min = 0,
     .max = 1e30},
    {"center", KL_FIELD_BOOL, ARG(center), "true", .doc = "whether beta is added"},
    {"scale", KL_FIELD_BOOL, ARG(scale), "true", .doc = "whether gamma multiplies"},
    {"rms_scaling", KL_FIELD_BOOL, ARG(rms_scaling), "false",
     .doc = "divides by the deviation without centering"},
    {"beta_initializer", KL_FIELD_INITIALIZER, ARG(beta_initializer), "zeros", .doc = "of beta"},
    {"gamma_initializer", KL_FIELD_INITIALIZER, ARG(gamma_initializer), "ones", .doc = "of gamma"},
    {"beta_regularizer", KL_FIELD_REGULARIZER, ARG(beta_regularizer), .doc = "penalty on beta",
     .flags = KL_FIELD_OPTIONAL},
    {"gamma_regularizer", KL_FIELD_REGULARIZER, ARG(gamma_regularizer), .doc = "penalty on gamma",
     .flags = KL_FIELD_OPTIONAL},
    {"beta_constraint", KL_FIELD_CONSTRAINT, ARG(beta_constraint), .doc = "projection of beta",
     .flags = KL_FIELD_OPTIONAL},
    {"gamma_constraint", KL_FIELD_CONSTRAINT, ARG(gamma_constraint), .doc = "projection of gamma",
     .flags = KL_FIELD_OPTIONAL},
    {0}};
#undef ARG

static const kl_field rms_norm_fields[] = {
    {"axis", KL_FIELD_INTS, offsetof(kl_rms_normalization_args, axis),
     .doc = "axis or axes; unset is the last", .flags = KL_FIELD_OPTIONAL},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_rms_normalization_args, epsilon), "1e-6",
     .doc = "added to the mean square", .min = 0, .max = 1e30},
    {0}};

/* The axes, and the shape of the weights: of known sizes. */
static kl_status find_axes(const kl_layer *self, kl_ints given, const kl_shape *in,
                           kl_norm_axes *axes, int64_t *shape)
{
    kl_status status = kl_norm_axes_find(given, in->rank, self->legacy, axes);
    if (status)
        return status;
    for (int i = 0; i < axes->count; i++) {
        shape[i] = in->at[axes->weight[i]];
        if (shape[i] < 0)
            return kl_error(KL_ERROR_SHAPE, "axis %d of the input must be known, got None",
                            axes->weight[i]);
    }
    shape[axes->count] = 0;
    return KL_OK;
}

static kl_status layer_norm_build(kl_layer *self, const kl_shape *in, int count)
{
    layer_norm_state *s = kl_layer_state(self);
    int64_t shape[KL_MAX_RANK + 1];
    kl_status status = find_axes(self, s->args.axis, in, &s->axes, shape);
    s->gamma = s->beta = NULL;
    kl_weight_args weight = kl_weight_defaults();
    memcpy(weight.shape, shape, sizeof shape);
    weight.layer = self;
    if (!status && (s->args.scale || s->args.rms_scaling)) {
        weight.name = "gamma";
        weight.initializer = s->args.gamma_initializer;
        weight.regularizer = s->args.gamma_regularizer;
        weight.constraint = s->args.gamma_constraint;
        s->gamma = kl_add_weight_with(&weight);
        status = s->gamma ? KL_OK : kl_last_status();
    }
    if (!status && s->args.center && !s->args.rms_scaling) {
        weight.name = "beta";
        weight.initializer = s->args.beta_initializer;
        weight.regularizer = s->args.beta_regularizer;
        weight.constraint = s->args.beta_constraint;
        s->beta = kl_add_weight_with(&weight);
        status = s->beta ? KL_OK : kl_last_status();
    }
    return status ? status : kl_set_input_spec(self, 0, (kl_input_spec){.ndim = in[0].rank});
}

static kl_status rms_norm_build(kl_layer *self, const kl_shape *in, int count)
{
    rms_norm_state *s = kl_layer_state(self);
    kl_weight_args weight = kl_weight_defaults();
    kl_status status = find_axes(self, s->args.axis, in, &s->axes, weight.shape);
    if (status)
        return status;
    weight.layer = self;
    weight.name = "scale";
    weight.initializer = "ones";
    s->scale = kl_add_weight_with(&weight);
    return s->scale ? kl_set_input_spec(self, 0, (kl_input_spec){.ndim = in[0].rank})
                    : kl_last_status();
}

/* At least float32: halves are too coarse to sum in. */
static kl_tensor *widen(kl_tensor *x)
{
    return kl_tensor_dtype(x) == KL_FLOAT64 ? x : kl_op_cast(x, KL_FLOAT32);
}

static kl_tensor *read_like(kl_context *ctx, const kl_weight *weight, const kl_tensor *x)
{
    kl_tensor *value = kl_read_variable(ctx, weight);
    return value && kl_tensor_dtype(value) != kl_tensor_dtype(x)
               ? kl_op_cast(value, kl_tensor_dtype(x))
               : value;
}

/* A weight in x's dtype, its axes where x has them. */
static kl_tensor *place(kl_context *ctx, const kl_weight *weight, const kl_tensor *x,
                        const kl_norm_axes *axes)
{
    int64_t shape[KL_MAX_RANK];
    kl_tensor *value = read_like(ctx, weight, x);
    if (!value || axes->last)
        return value;
    for (int i = 0; i < x->rank; i++)
        shape[i] = 1;
    for (int i = 0; i < axes->count; i++)
        shape[axes->at[i]] = x->shape[axes->at[i]];
    return kl_op_reshape(value, x->rank, shape);
}

static kl_tensor *normalize(const layer_norm_state *s, kl_tensor *x, kl_tensor *gamma,
                            kl_tensor *beta)
{
    const kl_norm_axes *axes = &s->axes;
    /* A lone value is its own mean: its gradient is 0 to the bit only step by step. */
    int64_t size = 1;
    for (int i = 0; i < axes->count; i++)
        size *= x->shape[axes->at[i]];
    if (axes->last && !s->args.rms_scaling && size > 1)
        return kl_op_layer_norm(x, gamma, beta, axes->count, s->args.epsilon);
    kl_tensor *mean = kl_op_mean(x, axes->count, axes->at, true);
    kl_tensor *variance = kl_op_mean(kl_op_square(kl_op_sub(x, mean)), axes->count, axes->at, true);
    kl_tensor *inverse = kl_op_rsqrt(kl_op_add_scalar(variance, s->args.epsilon));
    if (s->args.rms_scaling)
        return kl_op_mul(kl_op_mul(x, inverse), gamma);
    if (gamma)
        inverse = kl_op_mul(inverse, gamma);
    kl_tensor *y = kl_op_mul(kl_op_sub(x, mean), inverse);
    return beta ? kl_op_add(y, beta) : y;
}

static kl_tensor *finish(const kl_layer *self, kl_tensor *y)
{
    return y && kl_tensor_dtype(y) != kl_layer_compute_dtype(self)
               ? kl_op_cast(y, kl_layer_compute_dtype(self))
               : y;
}

static kl_tensors layer_norm_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const layer_norm_state *s = kl_layer_state(self);
    /* 2.15 casts its input. */
    kl_tensor *given = self->legacy ? kl_op_cast(in.at[0], kl_layer_compute_dtype(self)) : in.at[0];
    kl_tensor *x = given ? widen(given) : NULL;
    kl_tensor *gamma = x && s->gamma ? place(ctx, s->gamma, x, &s->axes) : NULL;
    kl_tensor *beta = x && s->beta ? place(ctx, s->beta, x, &s->axes) : NULL;
    if (!x || (s->gamma && !gamma) || (s->beta && !beta))
        return kl_one(NULL);
    kl_tensor *y = normalize(s, x, gamma, beta);
    return kl_one(finish(self, y));
}

static kl_tensors rms_norm_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const rms_norm_state *s = kl_layer_state(self);
    kl_tensor *x = widen(in.at[0]);
    if (!x)
        return kl_one(NULL);
    kl_tensor *scale = read_like(ctx, s->scale, x);
    bool fits = s->axes.last && scale;
    /* A lone value's gradient is 0 to the bit only step by step. */
    int64_t size = 1;
    for (int i = 0; fits && i < s->axes.count; i++)
        size *= x->shape[s->axes.at[i]];
    if (fits && size > 1)
        return kl_one(finish(self, kl_op_rms_norm(x, scale, s->axes.count, s->args.epsilon)));
    kl_tensor *square = kl_op_mean(kl_op_square(x), s->axes.count, s->axes.at, true);
    kl_tensor *y = kl_op_mul(x, kl_op_rsqrt(kl_op_add_scalar(square, s->args.epsilon)));
    /* Broadcast from the last axis on, wherever the axes are, as in Keras. */
    return kl_one(finish(self, kl_op_mul(y, scale)));
}

/* What Keras states; where the axes aren't the last ones a run may broadcast further. */
static kl_status rms_norm_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                                int *output_count)
{
    out[0] = in[0];
    out[0].dtype = kl_layer_compute_dtype(self);
    *output_count = 1;
    return KL_OK;
}

static kl_status layer_norm_init(void *self)
{
    layer_norm_state *s = kl_layer_state(self);
    return kl_norm_axes_name_last(&s->args.axis);
}

static kl_status rms_norm_init(void *self)
{
    rms_norm_state *s = kl_layer_state(self);
    return kl_norm_axes_name_last(&s->args.axis);
}

const kl_layer_vtable kl_layer_normalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LayerNormalization",
    .state_size = sizeof(layer_norm_state),
    .args_size = sizeof(kl_layer_normalization_args),
    .fields = layer_norm_fields,
    .init = layer_norm_init,
    .build = layer_norm_build,
    .call = layer_norm_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_NO_AUTOCAST,
};

KL_DEFINE_LAYER(kl_layer_normalization)

const kl_layer_vtable kl_rms_normalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RMSNormalization",
    .state_size = sizeof(rms_norm_state),
    .args_size = sizeof(kl_rms_normalization_args),
    .fields = rms_norm_fields,
    .init = rms_norm_init,
    .build = rms_norm_build,
    .call = rms_norm_call,
    .output_shape = rms_norm_shape,
};

KL_DEFINE_LAYER(kl_rms_normalization)
