/* MaxPooling and AveragePooling in one, two and three dimensions. */
#include <string.h>

#include "klayers/layers/pooling.h"
#include "layers/layer.h"

#define POOLING_FIELDS(rank)                                                                       \
    {                                                                                              \
        {"pool_size",                                                                              \
         KL_FIELD_DIMS,                                                                            \
         offsetof(kl_pooling_args, pool_size),                                                     \
         "2",                                                                                      \
         .doc = "size of the window",                                                              \
         .min = 1,                                                                                 \
         .max = 2147483647,                                                                        \
         .count = rank},                                                                           \
            {"strides",                                                                            \
             KL_FIELD_DIMS,                                                                        \
             offsetof(kl_pooling_args, strides),                                                   \
             .doc = "step of the window; None: its size",                                          \
             .min = 1,                                                                             \
             .max = 2147483647,                                                                    \
             .count = rank,                                                                        \
             .flags = KL_FIELD_OPTIONAL},                                                          \
            {"padding",                                                                            \
             KL_FIELD_STRING,                                                                      \
             offsetof(kl_pooling_args, padding),                                                   \
             "valid",                                                                              \
             .doc = "valid: none; same: as many windows as strides fit",                           \
             .choices = "valid|same"},                                                             \
            {"data_format",                                                                        \
             KL_FIELD_STRING,                                                                      \
             offsetof(kl_pooling_args, data_format),                                               \
             "channels_last",                                                                      \
             .doc = "where the channels stand",                                                    \
             .choices = "channels_last|channels_first",                                            \
             .flags = KL_FIELD_OPTIONAL},                                                          \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const kl_field pooling1d_fields[] = POOLING_FIELDS(1);
static const kl_field pooling2d_fields[] = POOLING_FIELDS(2);
static const kl_field pooling3d_fields[] = POOLING_FIELDS(3);

static kl_status pooling_init(void *self, int rank)
{
    kl_pooling_args *args = kl_layer_state(self);
    if (!args->strides[0])
        memcpy(args->strides, args->pool_size, sizeof args->strides);
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = rank + 2});
}

static kl_status pooling1d_init(void *self)
{
    return pooling_init(self, 1);
}

static kl_status pooling2d_init(void *self)
{
    return pooling_init(self, 2);
}

static kl_status pooling3d_init(void *self)
{
    return pooling_init(self, 3);
}

static kl_pool_options options_of(const kl_layer *self)
{
    const kl_pooling_args *args = kl_layer_state(self);
    kl_pool_options options = {.padding = args->padding,
                               .channels_first = kl_is_channels_first(args->data_format)};
    memcpy(options.pool_size, args->pool_size, sizeof options.pool_size);
    memcpy(options.strides, args->strides, sizeof options.strides);
    return options;
}

static kl_tensors max_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_pool_options options = options_of(self);
    return kl_one(kl_op_max_pool(in.at[0], &options));
}

static kl_tensors average_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_pool_options options = options_of(self);
    return kl_one(kl_op_average_pool(in.at[0], &options));
}

const kl_layer_vtable kl_max_pooling1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "MaxPooling1D",
    .names = "MaxPool1D",
    .state_size = sizeof(kl_pooling_args),
    .args_size = sizeof(kl_pooling_args),
    .fields = pooling1d_fields,
    .init = pooling1d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_max_pooling1d)

const kl_layer_vtable kl_max_pooling2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "MaxPooling2D",
    .names = "MaxPool2D",
    .state_size = sizeof(kl_pooling_args),
    .args_size = sizeof(kl_pooling_args),
    .fields = pooling2d_fields,
    .init = pooling2d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_max_pooling2d)

const kl_layer_vtable kl_max_pooling3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "MaxPooling3D",
    .names = "MaxPool3D",
    .state_size = sizeof(kl_pooling_args),
    .args_size = sizeof(kl_pooling_args),
    .fields = pooling3d_fields,
    .init = pooling3d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_max_pooling3d)

const kl_layer_vtable kl_average_pooling1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AveragePooling1D",
    .names = "AvgPool1D",
    .state_size = sizeof(kl_pooling_args),
    .args_size = sizeof(kl_pooling_args),
    .fields = pooling1d_fields,
    .init = pooling1d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_average_pooling1d)

const kl_layer_vtable kl_average_pooling2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AveragePooling2D",
    .names = "AvgPool2D",
    .state_size = sizeof(kl_pooling_args),
    .args_size = sizeof(kl_pooling_args),
    .fields = pooling2d_fields,
    .init = pooling2d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_average_pooling2d)

const kl_layer_vtable kl_average_pooling3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AveragePooling3D",
    .names = "AvgPool3D",
    .state_size = sizeof(kl_pooling_args),
    .args_size = sizeof(kl_pooling_args),
    .fields = pooling3d_fields,
    .init = pooling3d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_average_pooling3d)
