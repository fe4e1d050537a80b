/* Conv1DTranspose, Conv2DTranspose, Conv3DTranspose: one layer in three ranks. */
#include <string.h>

#include "base/alloc.h"
#include "klayers/layers/convolution.h"
#include "layers/convolution/fields.h"
#include "layers/fusion.h"

typedef struct transpose_state {
    kl_conv_transpose_args args;
    kl_weight *kernel, *bias;
} transpose_state;

#define TRANSPOSE_FIELDS(rank)                                                                     \
    {                                                                                              \
        KL_CONV_FIELDS(kl_conv_transpose_args, rank, "valid|same"),                                \
            {"filters",                                                                            \
             KL_FIELD_INT,                                                                         \
             offsetof(kl_conv_transpose_args, filters),                                            \
             .doc = "number of output channels",                                                   \
             .min = 1,                                                                             \
             .max = 2147483647,                                                                    \
             .flags = KL_FIELD_REQUIRED},                                                          \
            {"output_padding",                                                                     \
             KL_FIELD_INTS,                                                                        \
             offsetof(kl_conv_transpose_args, output_padding),                                     \
             .doc = "added to one side of the output; None: what the strides ask for",             \
             .min = 0,                                                                             \
             .max = 2147483647,                                                                    \
             .flags = KL_FIELD_OPTIONAL},                                                          \
            KL_LEGACY_FIELD("groups"), KL_KERNEL_FIELDS(kl_conv_transpose_args, kernel),           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const kl_field transpose1d_fields[] = TRANSPOSE_FIELDS(1);
static const kl_field transpose2d_fields[] = TRANSPOSE_FIELDS(2);
static const kl_field transpose3d_fields[] = TRANSPOSE_FIELDS(3);

/* One value stands for every axis; the state then holds it once an axis, as Keras's configs do. */
static kl_status spread_output_padding(kl_ints *list, int rank, const int64_t *strides)
{
    if (list->at && list->count == 1 && rank > 1) {
        int64_t *all = kl_calloc((size_t)rank + 1, sizeof *all);
        if (!all)
            return KL_ERROR_MEMORY;
        for (int i = 0; i < rank; i++)
            all[i] = list->at[0];
        kl_free((void *)(uintptr_t)list->at);
        *list = (kl_ints){all, (size_t)rank};
    }
    if (list->at && list->count != (size_t)rank)
        return kl_error(KL_ERROR_INVALID, "output_padding must be 1 or %d integers, got %zu", rank,
                        list->count);
    for (size_t i = 0; list->at && i < list->count; i++)
        if (list->at[i] < 0 || list->at[i] >= strides[i])
            return kl_error(KL_ERROR_INVALID,
                            "output_padding must be strictly less than strides in every axis; on "
                            "axis %zu output_padding is %lld and the stride is %lld",
                            i, (long long)list->at[i], (long long)strides[i]);
    return KL_OK;
}

static kl_status transpose_init(void *self, int rank)
{
    transpose_state *s = kl_layer_state(self);
    kl_status status = kl_conv_check_strides(rank, s->args.strides, s->args.dilation_rate);
    if (!status)
        status = spread_output_padding(&s->args.output_padding, rank, s->args.strides);
    return status ? status : kl_set_input_spec(self, 0, (kl_input_spec){.ndim = rank + 2});
}

static kl_status transpose_build(kl_layer *self, const kl_shape *in, int count)
{
    transpose_state *s = kl_layer_state(self);
    int64_t channels = kl_conv_channels(self, in, s->args.data_format);
    if (channels < 0)
        return kl_last_status();
    s->kernel = kl_conv_add_kernel(
        self, "kernel", in->rank - 2, s->args.kernel_size, s->args.filters, channels,
        (kl_weight_plan){s->args.kernel_initializer, s->args.kernel_regularizer,
                         s->args.kernel_constraint});
    if (s->kernel && s->args.use_bias)
        s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {s->args.filters},
                                .initializer = s->args.bias_initializer,
                                .regularizer = s->args.bias_regularizer,
                                .constraint = s->args.bias_constraint);
    return s->kernel && (s->bias || !s->args.use_bias) ? KL_OK : kl_last_status();
}

static kl_tensor *transpose_apply(const kl_layer *self, kl_tensor *x, kl_tensor *kernel,
                                  kl_tensor *bias, const kl_activation *activation)
{
    const transpose_state *s = kl_layer_state(self);
    kl_conv_options options = {.padding = s->args.padding,
                               .channels_first = kl_is_channels_first(s->args.data_format),
                               .activation = activation,
                               .has_output_padding = s->args.output_padding.at != NULL};
    memcpy(options.strides, s->args.strides, sizeof options.strides);
    memcpy(options.dilation, s->args.dilation_rate, sizeof options.dilation);
    const kl_ints *extra = &s->args.output_padding;
    for (size_t i = 0; extra->at && i < extra->count; i++)
        options.output_padding[i] = extra->at[i];
    return kl_op_conv_transpose(x, kernel, bias, &options);
}

static bool transpose_linear(const kl_layer *self, kl_linear_parts *parts)
{
    const transpose_state *s = kl_layer_state(self);
    if (!s->kernel || !kl_activation_is_linear(s->args.activation))
        return false;
    int rank = kl_tensor_rank(kl_weight_value(s->kernel));
    *parts = (kl_linear_parts){s->kernel, s->bias, rank - 2, 1,
                               kl_channel_axis(s->args.data_format, rank)};
    return true;
}

static const kl_layer_fusion transpose_fusion = {.linear = transpose_linear,
                                                 .apply = transpose_apply};

static kl_tensors transpose_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const transpose_state *s = kl_layer_state(self);
    return kl_one(transpose_apply(self, in.at[0], kl_read(ctx, s->kernel),
                                  s->bias ? kl_read(ctx, s->bias) : NULL, s->args.activation));
}

static kl_status transpose1d_init(void *self)
{
    return transpose_init(self, 1);
}

const kl_layer_vtable kl_conv1d_transpose_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Conv1DTranspose",
    .names = "Convolution1DTranspose",
    .state_size = sizeof(transpose_state),
    .args_size = sizeof(kl_conv_transpose_args),
    .fields = transpose1d_fields,
    .init = transpose1d_init,
    .build = transpose_build,
    .call = transpose_call,
    .fusion = &transpose_fusion,
};
KL_DEFINE_LAYER(kl_conv1d_transpose)

static kl_status transpose2d_init(void *self)
{
    return transpose_init(self, 2);
}

const kl_layer_vtable kl_conv2d_transpose_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Conv2DTranspose",
    .names = "Convolution2DTranspose",
    .state_size = sizeof(transpose_state),
    .args_size = sizeof(kl_conv_transpose_args),
    .fields = transpose2d_fields,
    .init = transpose2d_init,
    .build = transpose_build,
    .call = transpose_call,
    .fusion = &transpose_fusion,
};
KL_DEFINE_LAYER(kl_conv2d_transpose)

static kl_status transpose3d_init(void *self)
{
    return transpose_init(self, 3);
}

const kl_layer_vtable kl_conv3d_transpose_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Conv3DTranspose",
    .names = "Convolution3DTranspose",
    .state_size = sizeof(transpose_state),
    .args_size = sizeof(kl_conv_transpose_args),
    .fields = transpose3d_fields,
    .init = transpose3d_init,
    .build = transpose_build,
    .call = transpose_call,
    .fusion = &transpose_fusion,
};
KL_DEFINE_LAYER(kl_conv3d_transpose)
