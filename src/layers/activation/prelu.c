#include <string.h>

#include "klayers/layers/activation.h"
#include "layers/layer.h"

typedef struct prelu_state {
    kl_prelu_args args;
    kl_weight *alpha;
} prelu_state;

static const kl_field prelu_fields[] = {
    {"alpha_initializer", KL_FIELD_INITIALIZER, offsetof(kl_prelu_args, alpha_initializer), "zeros",
     .doc = "of the slopes below 0"},
    {"alpha_regularizer", KL_FIELD_REGULARIZER, offsetof(kl_prelu_args, alpha_regularizer),
     .doc = "penalty on the slopes", .flags = KL_FIELD_OPTIONAL},
    {"alpha_constraint", KL_FIELD_CONSTRAINT, offsetof(kl_prelu_args, alpha_constraint),
     .doc = "projection of the slopes after updates", .flags = KL_FIELD_OPTIONAL},
    {"shared_axes", KL_FIELD_INTS, offsetof(kl_prelu_args, shared_axes),
     .doc = "axes, from 1 behind the batch, that share a slope", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status prelu_build(kl_layer *self, const kl_shape *in, int count)
{
    prelu_state *s = kl_layer_state(self);
    kl_weight_args weight = kl_weight_defaults();
    int rank = in[0].rank > 0 ? in[0].rank - 1 : 0;
    memcpy(weight.shape, in[0].at + 1, (size_t)rank * sizeof *weight.shape);
    for (size_t i = 0; i < s->args.shared_axes.count; i++) {
        /* As Python indexes a list that lacks the batch: 0 is the last axis. */
        int64_t axis = s->args.shared_axes.at[i] - 1;
        axis += axis < 0 ? rank : 0;
        if (axis < 0 || axis >= rank)
            return kl_error(KL_ERROR_RANGE,
                            "shared_axes: axis %lld is out of bounds for an input of %d axes",
                            (long long)s->args.shared_axes.at[i], rank + 1);
        weight.shape[axis] = 1;
    }
    for (int i = 0; i < rank; i++)
        if (weight.shape[i] < 0)
            return kl_error(KL_ERROR_SHAPE,
                            "axis %d of the input must be known or shared, got None", i + 1);
    if (!rank)
        weight.shape[0] = KL_SCALAR;
    weight.layer = self;
    weight.name = "alpha";
    weight.initializer = s->args.alpha_initializer;
    weight.regularizer = s->args.alpha_regularizer;
    weight.constraint = s->args.alpha_constraint;
    s->alpha = kl_add_weight_with(&weight);
    return s->alpha ? kl_set_input_spec(self, 0, (kl_input_spec){.ndim = in[0].rank})
                    : kl_last_status();
}

static kl_tensors prelu_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const prelu_state *s = kl_layer_state(self);
    kl_tensor *x = in.at[0], *below = kl_op_relu(kl_op_neg(x));
    return kl_one(kl_op_sub(kl_op_relu(x), kl_op_mul(kl_read(ctx, s->alpha), below)));
}

const kl_layer_vtable kl_prelu_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "PReLU",
    .state_size = sizeof(prelu_state),
    .args_size = sizeof(kl_prelu_args),
    .fields = prelu_fields,
    .build = prelu_build,
    .call = prelu_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_prelu)
