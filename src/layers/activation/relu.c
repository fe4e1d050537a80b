/* Activation layers of one formula: ReLU, LeakyReLU, ELU and 2.15's ThresholdedReLU. */
#include <math.h>

#include "klayers/layers/activation.h"
#include "layers/fusion.h"

static const kl_field relu_fields[] = {
    {"max_value", KL_FIELD_FLOAT, offsetof(kl_relu_args, max_value),
     .doc = "the largest output; None: no limit", .min = 0, .max = INFINITY,
     .flags = KL_FIELD_OPTIONAL},
    {"negative_slope", KL_FIELD_FLOAT, offsetof(kl_relu_args, negative_slope), "0",
     .doc = "slope below the threshold", .min = 0, .max = INFINITY},
    {"threshold", KL_FIELD_FLOAT, offsetof(kl_relu_args, threshold), "0",
     .doc = "values up to it count as small", .min = 0, .max = INFINITY},
    {0}};

static kl_tensors relu_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_relu_args *a = kl_layer_state(self);
    if (a->max_value == 6 && a->negative_slope == 0 && a->threshold == 0)
        return kl_one(kl_op_relu6(in.at[0]));
    return kl_one(kl_op_relu_general(in.at[0], a->negative_slope, a->max_value, a->threshold));
}

static bool is_plain_relu(const kl_layer *self)
{
    const kl_relu_args *a = kl_layer_state(self);
    return isnan(a->max_value) && a->negative_slope == 0 && a->threshold == 0;
}

static const kl_layer_fusion relu_fusion = {.relu = is_plain_relu};

const kl_layer_vtable kl_relu_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ReLU",
    .state_size = sizeof(kl_relu_args),
    .args_size = sizeof(kl_relu_args),
    .fields = relu_fields,
    .call = relu_call,
    .compute_mask = kl_pass_mask,
    .fusion = &relu_fusion,
};

KL_DEFINE_LAYER(kl_relu)

static const kl_field leaky_relu_fields[] = {{"negative_slope", KL_FIELD_FLOAT,
                                              offsetof(kl_leaky_relu_args, negative_slope), "0.3",
                                              .doc = "slope below 0", .alias = "alpha"},
                                             {0}};

/* 2.15 takes negative slopes too. */
static kl_status leaky_relu_init(void *self)
{
    const kl_leaky_relu_args *a = kl_layer_state(self);
    if (a->negative_slope >= 0 || ((const kl_layer *)self)->legacy)
        return KL_OK;
    return kl_error(KL_ERROR_RANGE, "LeakyReLU: negative_slope must be at least 0, got %g",
                    a->negative_slope);
}

static kl_tensors leaky_relu_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_leaky_relu_args *a = kl_layer_state(self);
    return kl_one(kl_op_leaky_relu(in.at[0], a->negative_slope));
}

const kl_layer_vtable kl_leaky_relu_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LeakyReLU",
    .state_size = sizeof(kl_leaky_relu_args),
    .args_size = sizeof(kl_leaky_relu_args),
    .fields = leaky_relu_fields,
    .init = leaky_relu_init,
    .call = leaky_relu_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_leaky_relu)

static const kl_field elu_fields[] = {{"alpha", KL_FIELD_FLOAT, offsetof(kl_elu_args, alpha), "1",
                                       .doc = "the output approaches -alpha"},
                                      {0}};

static kl_tensors elu_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_elu_args *a = kl_layer_state(self);
    return kl_one(kl_op_elu(in.at[0], a->alpha));
}

const kl_layer_vtable kl_elu_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ELU",
    .state_size = sizeof(kl_elu_args),
    .args_size = sizeof(kl_elu_args),
    .fields = elu_fields,
    .call = elu_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_elu)

static const kl_field thresholded_relu_fields[] = {
    {"theta", KL_FIELD_FLOAT, offsetof(kl_thresholded_relu_args, theta), "1",
     .doc = "values up to it become 0", .min = 0, .max = INFINITY},
    {0}};

static kl_tensors thresholded_relu_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_thresholded_relu_args *a = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    kl_tensor *large = kl_op_greater(x, kl_scalar(kl_tensor_dtype(x), a->theta));
    return kl_one(kl_op_mul(x, large ? kl_op_cast(large, kl_tensor_dtype(x)) : NULL));
}

const kl_layer_vtable kl_thresholded_relu_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ThresholdedReLU",
    .state_size = sizeof(kl_thresholded_relu_args),
    .args_size = sizeof(kl_thresholded_relu_args),
    .fields = thresholded_relu_fields,
    .call = thresholded_relu_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_thresholded_relu)
