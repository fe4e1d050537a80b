/* SeparableConv1D and SeparableConv2D. */
#include <string.h>

#include "klayers/layers/convolution.h"
#include "layers/convolution/fields.h"
#include "layers/layer.h"

typedef struct separable_state {
    kl_separable_conv_args args;
    kl_weight *depthwise, *pointwise, *bias;
} separable_state;

#define SEPARABLE_FIELDS(rank, paddings)                                                           \
    {                                                                                              \
        KL_CONV_FIELDS(kl_separable_conv_args, rank, paddings),                                    \
            {"filters",                                                                            \
             KL_FIELD_INT,                                                                         \
             offsetof(kl_separable_conv_args, filters),                                            \
             .doc = "number of output channels",                                                   \
             .min = 1,                                                                             \
             .max = 2147483647,                                                                    \
             .flags = KL_FIELD_REQUIRED},                                                          \
            KL_DEPTH_FIELD(kl_separable_conv_args), KL_LEGACY_FIELD("groups"),                     \
            KL_LEGACY_FIELD("kernel_initializer"), KL_LEGACY_FIELD("kernel_regularizer"),          \
            KL_LEGACY_FIELD("kernel_constraint"),                                                  \
            KL_KERNEL_FIELDS(kl_separable_conv_args, depthwise),                                   \
            KL_POINTWISE_FIELDS(kl_separable_conv_args),                                           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const kl_field separable1d_fields[] = SEPARABLE_FIELDS(1, "valid|same|causal");
static const kl_field separable2d_fields[] = SEPARABLE_FIELDS(2, "valid|same");

static kl_status separable_init(void *self, int rank)
{
    const separable_state *s = kl_layer_state(self);
    if (s->args.padding && !strcmp(s->args.padding, "causal") &&
        kl_is_channels_first(s->args.data_format))
        return kl_error(KL_ERROR_INVALID,
                        "causal padding is not supported with data_format='channels_first'");
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = rank + 2});
}

static kl_status separable_build(kl_layer *self, const kl_shape *in, int count)
{
    separable_state *s = kl_layer_state(self);
    static const int64_t ones[2] = {1, 1};
    int rank = in->rank - 2;
    int64_t channels = kl_conv_channels(self, in, s->args.data_format), inner;
    if (channels < 0)
        return kl_last_status();
    if (__builtin_mul_overflow(channels, s->args.depth_multiplier, &inner))
        return kl_error(KL_ERROR_SHAPE, "%lld channels times depth_multiplier %lld overflow",
                        (long long)channels, (long long)s->args.depth_multiplier);
    s->depthwise = kl_conv_add_kernel(
        self, "depthwise_kernel", rank, s->args.kernel_size, channels, s->args.depth_multiplier,
        (kl_weight_plan){s->args.depthwise_initializer, s->args.depthwise_regularizer,
                         s->args.depthwise_constraint});
    if (s->depthwise)
        s->pointwise = kl_conv_add_kernel(
            self, "pointwise_kernel", rank, ones, inner, s->args.filters,
            (kl_weight_plan){s->args.pointwise_initializer, s->args.pointwise_regularizer,
                             s->args.pointwise_constraint});
    if (s->pointwise && s->args.use_bias)
        s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {s->args.filters},
                                .initializer = s->args.bias_initializer,
                                .regularizer = s->args.bias_regularizer,
                                .constraint = s->args.bias_constraint);
    return s->pointwise && (s->bias || !s->args.use_bias) ? KL_OK : kl_last_status();
}

/* Channels stand last between the two convolutions, whatever the data format. */
static kl_tensors separable_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const separable_state *s = kl_layer_state(self);
    bool first = kl_is_channels_first(s->args.data_format);
    kl_conv_options depthwise = {.padding = s->args.padding};
    memcpy(depthwise.strides, s->args.strides, sizeof s->args.strides);
    memcpy(depthwise.dilation, s->args.dilation_rate, sizeof s->args.dilation_rate);
    kl_conv_options pointwise = {.activation = first ? NULL : s->args.activation};
    kl_tensor *x = first ? kl_op_move_axis(in.at[0], 1, -1) : in.at[0];
    kl_tensor *y = kl_op_depthwise_conv(x, kl_read(ctx, s->depthwise), NULL, &depthwise);
    y = kl_op_conv(y, kl_read(ctx, s->pointwise), s->bias ? kl_read(ctx, s->bias) : NULL,
                   &pointwise);
    if (y && first) {
        y = kl_op_move_axis(y, -1, 1);
        if (y && s->args.activation)
            y = kl_activation_call(s->args.activation, y);
    }
    return kl_one(y);
}

static kl_status separable1d_init(void *self)
{
    return separable_init(self, 1);
}

const kl_layer_vtable kl_separable_conv1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "SeparableConv1D",
    .names = "SeparableConvolution1D",
    .state_size = sizeof(separable_state),
    .args_size = sizeof(kl_separable_conv_args),
    .fields = separable1d_fields,
    .init = separable1d_init,
    .build = separable_build,
    .call = separable_call,
};
KL_DEFINE_LAYER(kl_separable_conv1d)

static kl_status separable2d_init(void *self)
{
    return separable_init(self, 2);
}

const kl_layer_vtable kl_separable_conv2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "SeparableConv2D",
    .names = "SeparableConvolution2D",
    .state_size = sizeof(separable_state),
    .args_size = sizeof(kl_separable_conv_args),
    .fields = separable2d_fields,
    .init = separable2d_init,
    .build = separable_build,
    .call = separable_call,
};
KL_DEFINE_LAYER(kl_separable_conv2d)
