#include "klayers/layers/core.h"
#include "layers/core/lora.h"
#include "layers/fusion.h"

typedef struct dense_state {
    kl_dense_args args;
    kl_weight *kernel, *bias, *lora_a, *lora_b;
} dense_state;

static const kl_field dense_fields[] = {
    {"units", KL_FIELD_INT, offsetof(kl_dense_args, units), .doc = "size of the output's last axis",
     .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"activation", KL_FIELD_ACTIVATION, offsetof(kl_dense_args, activation),
     .doc = "applied to the product; None is linear", .flags = KL_FIELD_OPTIONAL},
    {"use_bias", KL_FIELD_BOOL, offsetof(kl_dense_args, use_bias), "true",
     .doc = "whether a bias is added"},
    {"kernel_initializer", KL_FIELD_INITIALIZER, offsetof(kl_dense_args, kernel_initializer),
     "glorot_uniform", .doc = "of the kernel [in, units]"},
    {"bias_initializer", KL_FIELD_INITIALIZER, offsetof(kl_dense_args, bias_initializer), "zeros",
     .doc = "of the bias [units]"},
    {"kernel_regularizer", KL_FIELD_REGULARIZER, offsetof(kl_dense_args, kernel_regularizer),
     .doc = "penalty on the kernel", .flags = KL_FIELD_OPTIONAL},
    {"bias_regularizer", KL_FIELD_REGULARIZER, offsetof(kl_dense_args, bias_regularizer),
     .doc = "penalty on the bias", .flags = KL_FIELD_OPTIONAL},
    {"activity_regularizer", KL_FIELD_REGULARIZER, offsetof(kl_dense_args, activity_regularizer),
     .doc = "penalty on the output", .flags = KL_FIELD_OPTIONAL},
    {"kernel_constraint", KL_FIELD_CONSTRAINT, offsetof(kl_dense_args, kernel_constraint),
     .doc = "projection of the kernel after updates", .flags = KL_FIELD_OPTIONAL},
    {"bias_constraint", KL_FIELD_CONSTRAINT, offsetof(kl_dense_args, bias_constraint),
     .doc = "projection of the bias after updates", .flags = KL_FIELD_OPTIONAL},
    KL_LORA_FIELDS(kl_dense_args),
    {0}};

static kl_status dense_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.min_ndim = 2});
}

static kl_status dense_build(kl_layer *self, const kl_shape *in, int count)
{
    dense_state *s = kl_layer_state(self);
    int64_t width = in[0].at[in[0].rank - 1];
    if (width < 0)
        return kl_error(KL_ERROR_SHAPE, "the last axis of the input must be known, got None");
    s->kernel = kl_add_weight(.layer = self, .name = "kernel", .shape = {width, s->args.units},
                              .initializer = s->args.kernel_initializer,
                              .regularizer = s->args.kernel_regularizer,
                              .constraint = s->args.kernel_constraint);
    if (!s->kernel)
        return kl_last_status();
    if (s->args.use_bias) {
        s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {s->args.units},
                                .initializer = s->args.bias_initializer,
                                .regularizer = s->args.bias_regularizer,
                                .constraint = s->args.bias_constraint);
        if (!s->bias)
            return kl_last_status();
    }
    if (s->args.lora_rank != KL_NONE) {
        /* As Keras 3.15, whose Dense forgets alpha when it is built. */
        s->args.lora_alpha = s->args.lora_rank;
        const kl_lora lora = {s->args.lora_rank, s->args.lora_alpha, s->args.kernel_regularizer};
        kl_status status = kl_lora_build(self, "kernel", s->kernel, &lora, &s->lora_a, &s->lora_b);
        if (status)
            return status;
    }
    return kl_set_input_spec(self, 0, (kl_input_spec){.min_ndim = 2, .axis = -1, .dim = width});
}

static kl_status dense_get_config(const void *self, kl_config *config)
{
    const dense_state *s = kl_layer_state(self);
    return kl_lora_get_config(s->args.lora_rank, s->args.lora_alpha, config);
}

static kl_tensors dense_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const dense_state *s = kl_layer_state(self);
    kl_tensor *kernel = kl_read(ctx, s->kernel);
    if (s->lora_a)
        kernel = kl_lora_apply(kernel, kl_lora_read(self, ctx, s->lora_a),
                               kl_lora_read(self, ctx, s->lora_b), s->args.lora_rank,
                               s->args.lora_alpha);
    return kl_one(
        kl_op_dense(in.at[0], kernel, s->bias ? kl_read(ctx, s->bias) : NULL, s->args.activation));
}

static bool dense_linear(const kl_layer *self, kl_linear_parts *parts)
{
    const dense_state *s = kl_layer_state(self);
    if (!s->kernel || s->lora_a || !kl_activation_is_linear(s->args.activation))
        return false;
    *parts = (kl_linear_parts){s->kernel, s->bias, 1, 1, -1};
    return true;
}

static kl_tensor *dense_apply(const kl_layer *self, kl_tensor *x, kl_tensor *kernel,
                              kl_tensor *bias, const kl_activation *activation)
{
    return kl_op_dense(x, kernel, bias, activation);
}

static const kl_layer_fusion dense_fusion = {.linear = dense_linear, .apply = dense_apply};

/* As Keras states it: also with an activation such as glu, which halves the last axis. */
static kl_status dense_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                             int *output_count)
{
    const dense_state *s = kl_layer_state(self);
    kl_dtype dtype = out[0].dtype;
    out[0] = in[0];
    out[0].at[in[0].rank - 1] = s->args.units;
    out[0].dtype = dtype;
    return KL_OK;
}

const kl_layer_vtable kl_dense_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Dense",
    .state_size = sizeof(dense_state),
    .args_size = sizeof(kl_dense_args),
    .fields = dense_fields,
    .init = dense_init,
    .get_config = dense_get_config,
    .build = dense_build,
    .call = dense_call,
    .output_shape = dense_shape,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_STATES_LESS,
    .fusion = &dense_fusion,
};

KL_DEFINE_LAYER(kl_dense)
