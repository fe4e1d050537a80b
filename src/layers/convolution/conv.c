/* Conv1D, Conv2D, Conv3D: one layer in three ranks. */
#include <string.h>

#include "klayers/layers/convolution.h"
#include "layers/convolution/fields.h"
#include "layers/fusion.h"
#include "layers/core/lora.h"

typedef struct conv_state {
    kl_conv_args args;
    kl_weight *kernel, *bias, *lora_a, *lora_b;
} conv_state;

static const kl_field conv1d_fields[] = {
    KL_CONV_FIELDS(kl_conv_args, 1, "valid|same|causal"),
    {"filters", KL_FIELD_INT, offsetof(kl_conv_args, filters), .doc = "number of output channels",
     .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"groups", KL_FIELD_INT, offsetof(kl_conv_args, groups), "1",
     .doc = "channel groups convolved apart", .min = 1, .max = 2147483647},
    KL_KERNEL_FIELDS(kl_conv_args, kernel),
    KL_LORA_FIELDS(kl_conv_args),
    {0}};

static const kl_field conv2d_fields[] = {
    KL_CONV_FIELDS(kl_conv_args, 2, "valid|same"),
    {"filters", KL_FIELD_INT, offsetof(kl_conv_args, filters), .doc = "number of output channels",
     .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"groups", KL_FIELD_INT, offsetof(kl_conv_args, groups), "1",
     .doc = "channel groups convolved apart", .min = 1, .max = 2147483647},
    KL_KERNEL_FIELDS(kl_conv_args, kernel),
    KL_LORA_FIELDS(kl_conv_args),
    {0}};

static const kl_field conv3d_fields[] = {
    KL_CONV_FIELDS(kl_conv_args, 3, "valid|same"),
    {"filters", KL_FIELD_INT, offsetof(kl_conv_args, filters), .doc = "number of output channels",
     .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"groups", KL_FIELD_INT, offsetof(kl_conv_args, groups), "1",
     .doc = "channel groups convolved apart", .min = 1, .max = 2147483647},
    KL_KERNEL_FIELDS(kl_conv_args, kernel),
    KL_LORA_FIELDS(kl_conv_args),
    {0}};

static kl_status conv_init(void *self, int rank)
{
    const conv_state *s = kl_layer_state(self);
    kl_status status = kl_conv_check_strides(rank, s->args.strides, s->args.dilation_rate);
    if (!status && s->args.filters % s->args.groups)
        status = kl_error(KL_ERROR_INVALID,
                          "the number of filters must be divisible by the number of groups, got "
                          "filters=%lld, groups=%lld",
                          (long long)s->args.filters, (long long)s->args.groups);
    if (!status && rank == 1 && s->args.padding && !strcmp(s->args.padding, "causal") &&
        kl_is_channels_first(s->args.data_format))
        status = kl_error(KL_ERROR_INVALID,
                          "causal padding is not supported with data_format='channels_first'");
    return status ? status : kl_set_input_spec(self, 0, (kl_input_spec){.ndim = rank + 2});
}

static kl_status conv_build(kl_layer *self, const kl_shape *in, int count)
{
    conv_state *s = kl_layer_state(self);
    int64_t channels = kl_conv_channels(self, in, s->args.data_format);
    if (channels < 0)
        return kl_last_status();
    if (channels % s->args.groups)
        return kl_error(KL_ERROR_SHAPE,
                        "the number of input channels must be divisible by the number of groups, "
                        "got channels=%lld, groups=%lld",
                        (long long)channels, (long long)s->args.groups);
    s->kernel =
        kl_conv_add_kernel(self, "kernel", in->rank - 2, s->args.kernel_size,
                           channels / s->args.groups, s->args.filters,
                           (kl_weight_plan){s->args.kernel_initializer, s->args.kernel_regularizer,
                                            s->args.kernel_constraint});
    if (!s->kernel)
        return kl_last_status();
    if (s->args.use_bias) {
        s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {s->args.filters},
                                .initializer = s->args.bias_initializer,
                                .regularizer = s->args.bias_regularizer,
                                .constraint = s->args.bias_constraint);
        if (!s->bias)
            return kl_last_status();
    }
    if (s->args.lora_rank == KL_NONE)
        return KL_OK;
    const kl_lora lora = {s->args.lora_rank, s->args.lora_alpha, s->args.kernel_regularizer};
    return kl_lora_build(self, "kernel", s->kernel, &lora, &s->lora_a, &s->lora_b);
}

static kl_status conv_get_config(const void *self, kl_config *config)
{
    const conv_state *s = kl_layer_state(self);
    return kl_lora_get_config(s->args.lora_rank, s->args.lora_alpha, config);
}

static kl_tensor *conv_apply(const kl_layer *self, kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                             const kl_activation *activation)
{
    const conv_state *s = kl_layer_state(self);
    kl_conv_options options = {.padding = s->args.padding,
                               .groups = s->args.groups,
                               .channels_first = kl_is_channels_first(s->args.data_format),
                               .activation = activation};
    memcpy(options.strides, s->args.strides, sizeof options.strides);
    memcpy(options.dilation, s->args.dilation_rate, sizeof options.dilation);
    return kl_op_conv(x, kernel, bias, &options);
}

static bool conv_linear(const kl_layer *self, kl_linear_parts *parts)
{
    const conv_state *s = kl_layer_state(self);
    if (!s->kernel || s->lora_a || !kl_activation_is_linear(s->args.activation))
        return false;
    int rank = kl_tensor_rank(kl_weight_value(s->kernel));
    *parts = (kl_linear_parts){s->kernel, s->bias, rank - 1, 1,
                               kl_channel_axis(s->args.data_format, rank)};
    return true;
}

static const kl_layer_fusion conv_fusion = {.linear = conv_linear, .apply = conv_apply};

static kl_tensors conv_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const conv_state *s = kl_layer_state(self);
    kl_tensor *kernel = kl_read(ctx, s->kernel);
    if (s->lora_a)
        kernel = kl_lora_apply(kernel, kl_lora_read(self, ctx, s->lora_a),
                               kl_lora_read(self, ctx, s->lora_b), s->args.lora_rank,
                               s->args.lora_alpha);
    return kl_one(conv_apply(self, in.at[0], kernel, s->bias ? kl_read(ctx, s->bias) : NULL,
                             s->args.activation));
}

static kl_status conv1d_init(void *self)
{
    return conv_init(self, 1);
}

const kl_layer_vtable kl_conv1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Conv1D",
    .names = "Convolution1D",
    .state_size = sizeof(conv_state),
    .args_size = sizeof(kl_conv_args),
    .fields = conv1d_fields,
    .init = conv1d_init,
    .get_config = conv_get_config,
    .build = conv_build,
    .call = conv_call,
    .fusion = &conv_fusion,
};
KL_DEFINE_LAYER(kl_conv1d)

static kl_status conv2d_init(void *self)
{
    return conv_init(self, 2);
}

const kl_layer_vtable kl_conv2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Conv2D",
    .names = "Convolution2D",
    .state_size = sizeof(conv_state),
    .args_size = sizeof(kl_conv_args),
    .fields = conv2d_fields,
    .init = conv2d_init,
    .get_config = conv_get_config,
    .build = conv_build,
    .call = conv_call,
    .fusion = &conv_fusion,
};
KL_DEFINE_LAYER(kl_conv2d)

static kl_status conv3d_init(void *self)
{
    return conv_init(self, 3);
}

const kl_layer_vtable kl_conv3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Conv3D",
    .names = "Convolution3D",
    .state_size = sizeof(conv_state),
    .args_size = sizeof(kl_conv_args),
    .fields = conv3d_fields,
    .init = conv3d_init,
    .get_config = conv_get_config,
    .build = conv_build,
    .call = conv_call,
    .fusion = &conv_fusion,
};
KL_DEFINE_LAYER(kl_conv3d)
