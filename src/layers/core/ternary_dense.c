#include "klayers/layers/core.h"
#include "layers/layer.h"

typedef struct ternary_state {
    kl_ternary_dense_args args;
    kl_weight *kernel, *bias;
} ternary_state;

static const kl_field ternary_fields[] = {
    {"units", KL_FIELD_INT, offsetof(kl_ternary_dense_args, units),
     .doc = "size of the output's last axis", .min = 1, .max = 2147483647,
     .flags = KL_FIELD_REQUIRED},
    {"threshold", KL_FIELD_FLOAT, offsetof(kl_ternary_dense_args, threshold),
     .doc = "weights up to it count as 0; None is half of the kernel's mean size, by which the "
            "product is scaled too",
     .min = 0, .max = INFINITY, .flags = KL_FIELD_OPTIONAL},
    {"activation", KL_FIELD_ACTIVATION, offsetof(kl_ternary_dense_args, activation),
     .doc = "applied to the product; None is linear", .flags = KL_FIELD_OPTIONAL},
    {"use_bias", KL_FIELD_BOOL, offsetof(kl_ternary_dense_args, use_bias), "true",
     .doc = "whether a bias is added"},
    {"kernel_initializer", KL_FIELD_INITIALIZER,
     offsetof(kl_ternary_dense_args, kernel_initializer), "glorot_uniform",
     .doc = "of the kernel [in, units]"},
    {"bias_initializer", KL_FIELD_INITIALIZER, offsetof(kl_ternary_dense_args, bias_initializer),
     "zeros", .doc = "of the bias [units]"},
    {"kernel_regularizer", KL_FIELD_REGULARIZER,
     offsetof(kl_ternary_dense_args, kernel_regularizer), .doc = "penalty on the kernel",
     .flags = KL_FIELD_OPTIONAL},
    {"bias_regularizer", KL_FIELD_REGULARIZER, offsetof(kl_ternary_dense_args, bias_regularizer),
     .doc = "penalty on the bias", .flags = KL_FIELD_OPTIONAL},
    {"activity_regularizer", KL_FIELD_REGULARIZER,
     offsetof(kl_ternary_dense_args, activity_regularizer), .doc = "penalty on the output",
     .flags = KL_FIELD_OPTIONAL},
    {"kernel_constraint", KL_FIELD_CONSTRAINT, offsetof(kl_ternary_dense_args, kernel_constraint),
     .doc = "projection of the kernel after updates", .flags = KL_FIELD_OPTIONAL},
    {"bias_constraint", KL_FIELD_CONSTRAINT, offsetof(kl_ternary_dense_args, bias_constraint),
     .doc = "projection of the bias after updates", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status ternary_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.min_ndim = 2});
}

static kl_status ternary_build(kl_layer *self, const kl_shape *in, int count)
{
    ternary_state *s = kl_layer_state(self);
    int64_t width = in[0].at[in[0].rank - 1];
    if (width < 0)
        return kl_error(KL_ERROR_SHAPE, "the last axis of the input must be known, got None");
    s->kernel = kl_add_weight(.layer = self, .name = "kernel", .shape = {width, s->args.units},
                              .initializer = s->args.kernel_initializer,
                              .regularizer = s->args.kernel_regularizer,
                              .constraint = s->args.kernel_constraint);
    s->bias = NULL;
    if (s->kernel && s->args.use_bias)
        s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {s->args.units},
                                .initializer = s->args.bias_initializer,
                                .regularizer = s->args.bias_regularizer,
                                .constraint = s->args.bias_constraint);
    if (!s->kernel || (s->args.use_bias && !s->bias))
        return kl_last_status();
    return kl_set_input_spec(self, 0, (kl_input_spec){.min_ndim = 2, .axis = -1, .dim = width});
}

/* -1, 0 and 1; the gradient goes past the rounding, as if the kernel itself were used. */
static kl_tensor *ternary_kernel(const ternary_state *s, kl_tensor *kernel, kl_tensor *size)
{
    kl_tensor *threshold =
        size ? kl_op_mul_scalar(kl_op_mean(size, KL_ALL_AXES, false), 0.5) : NULL;
    if (!isnan(s->args.threshold) && kernel)
        threshold = kl_scalar(kl_tensor_dtype(kernel), s->args.threshold);
    kl_tensor *large = kl_op_greater(size, threshold);
    if (!large)
        return NULL;
    kl_tensor *rounded = kl_op_mul(kl_op_sign(kernel), kl_op_cast(large, kl_tensor_dtype(kernel)));
    return kl_op_add(kernel, kl_op_stop_gradient(kl_op_sub(rounded, kernel)));
}

static kl_tensors ternary_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const ternary_state *s = kl_layer_state(self);
    kl_tensor *kernel = kl_read(ctx, s->kernel), *size = kl_op_abs(kernel);
    kl_tensor *y = kl_op_matmul(in.at[0], ternary_kernel(s, kernel, size));
    if (isnan(s->args.threshold))
        y = kl_op_mul(y, kl_op_mean(size, KL_ALL_AXES, false));
    if (s->bias)
        y = kl_op_add(y, kl_read(ctx, s->bias));
    if (s->args.activation)
        y = kl_activation_call(s->args.activation, y);
    return kl_one(y);
}

const kl_layer_vtable kl_ternary_dense_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "TernaryDense",
    .state_size = sizeof(ternary_state),
    .args_size = sizeof(kl_ternary_dense_args),
    .fields = ternary_fields,
    .init = ternary_init,
    .build = ternary_build,
    .call = ternary_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_ternary_dense)
