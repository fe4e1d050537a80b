#include "klayers/layers/normalization.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

typedef struct group_norm_state {
    kl_group_normalization_args args;
    kl_weight *gamma, *beta;
} group_norm_state;

#define ARG(member) offsetof(kl_group_normalization_args, member)
static const kl_field group_norm_fields[] = {
    {"groups", KL_FIELD_INT, ARG(groups), "32",
     .doc = "how many groups the channels are divided into; -1: as many as channels", .min = -1,
     .max = 2147483647},
    {"axis", KL_FIELD_INT, ARG(axis), "-1", .doc = "the channels' axis", .min = -KL_MAX_RANK,
     .max = KL_MAX_RANK - 1},
    {"epsilon", KL_FIELD_FLOAT, ARG(epsilon), "0.001", .doc = "added to the variance", .min = 0,
     .max = 1e30},
    {"center", KL_FIELD_BOOL, ARG(center), "true", .doc = "whether beta is added"},
    {"scale", KL_FIELD_BOOL, ARG(scale), "true", .doc = "whether gamma multiplies"},
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

static kl_status group_norm_init(void *self)
{
    const group_norm_state *s = kl_layer_state(self);
    if (s->args.groups)
        return KL_OK;
    return kl_error(KL_ERROR_INVALID,
                    "groups must be a positive number, or -1 for as many as channels; got 0");
}

static kl_status find_channels(group_norm_state *s, const kl_shape *in, int *axis)
{
    *axis = kl_axis("axis", (int)s->args.axis, in->rank);
    if (*axis < 0)
        return kl_last_status();
    int64_t channels = in->at[*axis];
    if (!*axis)
        return kl_error(KL_ERROR_INVALID, "axis must not be the batch's");
    if (channels < 0)
        return kl_error(KL_ERROR_SHAPE, "axis %lld of the input must be known",
                        (long long)s->args.axis);
    if (s->args.groups == -1)
        s->args.groups = channels;
    if (channels < s->args.groups)
        return kl_error(KL_ERROR_INVALID, "%lld groups are more than the %lld channels",
                        (long long)s->args.groups, (long long)channels);
    if (s->args.groups && channels % s->args.groups)
        return kl_error(KL_ERROR_INVALID, "%lld channels can't be divided into %lld groups",
                        (long long)channels, (long long)s->args.groups);
    return KL_OK;
}

static kl_status group_norm_build(kl_layer *self, const kl_shape *in, int count)
{
    group_norm_state *s = kl_layer_state(self);
    int axis;
    kl_status status = find_channels(s, in, &axis);
    if (status)
        return status;
    int64_t channels = in->at[axis];
    if (s->args.scale) {
        s->gamma = kl_add_weight(.layer = self, .name = "gamma", .shape = {channels},
                                 .initializer = s->args.gamma_initializer,
                                 .regularizer = s->args.gamma_regularizer,
                                 .constraint = s->args.gamma_constraint);
        if (!s->gamma)
            return kl_last_status();
    }
    if (s->args.center) {
        s->beta = kl_add_weight(.layer = self, .name = "beta", .shape = {channels},
                                .initializer = s->args.beta_initializer,
                                .regularizer = s->args.beta_regularizer,
                                .constraint = s->args.beta_constraint);
        if (!s->beta)
            return kl_last_status();
    }
    return kl_set_input_spec(self, 0,
                             (kl_input_spec){.ndim = in->rank, .axis = axis, .dim = channels});
}

static kl_tensor *read_as(kl_context *ctx, const kl_weight *weight, kl_dtype dtype)
{
    kl_tensor *value = weight ? kl_read_variable(ctx, weight) : NULL;
    return value && kl_tensor_dtype(value) != dtype ? kl_op_cast(value, dtype) : value;
}

static kl_tensor *cast_to(kl_tensor *x, kl_dtype dtype)
{
    return x && kl_tensor_dtype(x) != dtype ? kl_op_cast(x, dtype) : x;
}

static kl_tensors group_norm_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const group_norm_state *s = kl_layer_state(self);
    /* 2.15 casts its input. */
    kl_tensor *input = self->legacy ? cast_to(in.at[0], kl_layer_compute_dtype(self)) : in.at[0];
    if (!input)
        return kl_one(NULL);
    kl_dtype given = kl_tensor_dtype(input);
    /* At least float32: halves are too coarse to sum in. */
    kl_dtype dtype = given == KL_FLOAT64 ? KL_FLOAT64 : KL_FLOAT32;
    kl_tensor *x = cast_to(input, dtype), *mask = self->legacy ? kl_input_mask(ctx, 0) : NULL;
    kl_tensor *gamma = read_as(ctx, s->gamma, dtype), *beta = read_as(ctx, s->beta, dtype);
    if (!x || (s->gamma && !gamma) || (s->beta && !beta))
        return kl_one(NULL);
    kl_tensor *y = kl_op_group_norm(x, gamma, beta, (int)s->args.groups, (int)s->args.axis,
                                    s->args.epsilon, mask);
    /* By way of the input's dtype, whatever it was. */
    return kl_one(cast_to(cast_to(y, given), kl_layer_compute_dtype(self)));
}

const kl_layer_vtable kl_group_normalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GroupNormalization",
    .state_size = sizeof(group_norm_state),
    .args_size = sizeof(kl_group_normalization_args),
    .fields = group_norm_fields,
    .init = group_norm_init,
    .build = group_norm_build,
    .call = group_norm_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_NO_AUTOCAST,
};

KL_DEFINE_LAYER(kl_group_normalization)
