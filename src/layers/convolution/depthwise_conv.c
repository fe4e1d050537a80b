/* DepthwiseConv1D and DepthwiseConv2D. */
#include <string.h>

#include "klayers/layers/convolution.h"
#include "layers/convolution/fields.h"
#include "layers/fusion.h"

typedef struct depthwise_state {
    kl_depthwise_conv_args args;
    kl_weight *kernel, *bias;
} depthwise_state;

#define DEPTHWISE_FIELDS(rank)                                                                     \
    {                                                                                              \
        KL_CONV_FIELDS(kl_depthwise_conv_args, rank, "valid|same"),                                \
            KL_DEPTH_FIELD(kl_depthwise_conv_args), KL_LEGACY_FIELD("groups"),                     \
            KL_KERNEL_FIELDS(kl_depthwise_conv_args, depthwise),                                   \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const kl_field depthwise1d_fields[] = DEPTHWISE_FIELDS(1);
static const kl_field depthwise2d_fields[] = DEPTHWISE_FIELDS(2);

static kl_status depthwise_build(kl_layer *self, const kl_shape *in, int count)
{
    depthwise_state *s = kl_layer_state(self);
    int64_t channels = kl_conv_channels(self, in, s->args.data_format), outputs;
    if (channels < 0)
        return kl_last_status();
    if (__builtin_mul_overflow(channels, s->args.depth_multiplier, &outputs))
        return kl_error(KL_ERROR_SHAPE, "%lld channels times depth_multiplier %lld overflow",
                        (long long)channels, (long long)s->args.depth_multiplier);
    s->kernel = kl_conv_add_kernel(
        self, "kernel", in->rank - 2, s->args.kernel_size, channels, s->args.depth_multiplier,
        (kl_weight_plan){s->args.depthwise_initializer, s->args.depthwise_regularizer,
                         s->args.depthwise_constraint});
    if (s->kernel && s->args.use_bias)
        s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {outputs},
                                .initializer = s->args.bias_initializer,
                                .regularizer = s->args.bias_regularizer,
                                .constraint = s->args.bias_constraint);
    return s->kernel && (s->bias || !s->args.use_bias) ? KL_OK : kl_last_status();
}

static kl_tensor *depthwise_apply(const kl_layer *self, kl_tensor *x, kl_tensor *kernel,
                                  kl_tensor *bias, const kl_activation *activation)
{
    const depthwise_state *s = kl_layer_state(self);
    kl_conv_options options = {.padding = s->args.padding,
                               .channels_first = kl_is_channels_first(s->args.data_format),
                               .activation = activation};
    memcpy(options.strides, s->args.strides, sizeof s->args.strides);
    memcpy(options.dilation, s->args.dilation_rate, sizeof s->args.dilation_rate);
    return kl_op_depthwise_conv(x, kernel, bias, &options);
}

/* Outputs are channels times depth_multiplier, the kernel's last two axes. */
static bool depthwise_linear(const kl_layer *self, kl_linear_parts *parts)
{
    const depthwise_state *s = kl_layer_state(self);
    if (!s->kernel || !kl_activation_is_linear(s->args.activation))
        return false;
    int rank = kl_tensor_rank(kl_weight_value(s->kernel));
    *parts = (kl_linear_parts){s->kernel, s->bias, rank - 2, 2,
                               kl_channel_axis(s->args.data_format, rank)};
    return true;
}

static const kl_layer_fusion depthwise_fusion = {.linear = depthwise_linear,
                                                 .apply = depthwise_apply};

static kl_tensors depthwise_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const depthwise_state *s = kl_layer_state(self);
    return kl_one(depthwise_apply(self, in.at[0], kl_read(ctx, s->kernel),
                                  s->bias ? kl_read(ctx, s->bias) : NULL, s->args.activation));
}

static kl_status depthwise1d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

const kl_layer_vtable kl_depthwise_conv1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "DepthwiseConv1D",
    .state_size = sizeof(depthwise_state),
    .args_size = sizeof(kl_depthwise_conv_args),
    .fields = depthwise1d_fields,
    .init = depthwise1d_init,
    .build = depthwise_build,
    .call = depthwise_call,
    .fusion = &depthwise_fusion,
};
KL_DEFINE_LAYER(kl_depthwise_conv1d)

static kl_status depthwise2d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 4});
}

const kl_layer_vtable kl_depthwise_conv2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "DepthwiseConv2D",
    .state_size = sizeof(depthwise_state),
    .args_size = sizeof(kl_depthwise_conv_args),
    .fields = depthwise2d_fields,
    .init = depthwise2d_init,
    .build = depthwise_build,
    .call = depthwise_call,
    .fusion = &depthwise_fusion,
};
KL_DEFINE_LAYER(kl_depthwise_conv2d)
