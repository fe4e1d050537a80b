/* AdaptiveAveragePooling and AdaptiveMaxPooling in one, two and three dimensions. */
#include <string.h>

#include "klayers/layers/pooling.h"
#include "layers/layer.h"

#define ADAPTIVE_FIELDS(rank)                                                                      \
    {                                                                                              \
        {"output_size",                                                                            \
         KL_FIELD_DIMS,                                                                            \
         offsetof(kl_adaptive_pooling_args, output_size),                                          \
         .doc = "size of the spatial axes of the output",                                          \
         .min = 1,                                                                                 \
         .max = 2147483647,                                                                        \
         .count = rank,                                                                            \
         .flags = KL_FIELD_REQUIRED},                                                              \
            {"data_format",                                                                        \
             KL_FIELD_STRING,                                                                      \
             offsetof(kl_adaptive_pooling_args, data_format),                                      \
             "channels_last",                                                                      \
             .doc = "where the channels stand",                                                    \
             .choices = "channels_last|channels_first",                                            \
             .flags = KL_FIELD_OPTIONAL},                                                          \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const kl_field adaptive1d_fields[] = ADAPTIVE_FIELDS(1);
static const kl_field adaptive2d_fields[] = ADAPTIVE_FIELDS(2);
static const kl_field adaptive3d_fields[] = ADAPTIVE_FIELDS(3);

static kl_tensor *adaptive(const kl_layer *self, kl_tensor *x,
                           kl_tensor *pool(kl_tensor *x, const kl_pool_options *options))
{
    const kl_adaptive_pooling_args *args = kl_layer_state(self);
    kl_pool_options options = {.channels_first = kl_is_channels_first(args->data_format)};
    memcpy(options.output_size, args->output_size, sizeof options.output_size);
    return pool(x, &options);
}

static kl_tensors average_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(adaptive(self, in.at[0], kl_op_average_pool));
}

static kl_tensors max_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(adaptive(self, in.at[0], kl_op_max_pool));
}

static kl_status adaptive1d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

static kl_status adaptive2d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 4});
}

static kl_status adaptive3d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 5});
}

const kl_layer_vtable kl_adaptive_average_pooling1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AdaptiveAveragePooling1D",
    .state_size = sizeof(kl_adaptive_pooling_args),
    .args_size = sizeof(kl_adaptive_pooling_args),
    .fields = adaptive1d_fields,
    .init = adaptive1d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_adaptive_average_pooling1d)

const kl_layer_vtable kl_adaptive_average_pooling2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AdaptiveAveragePooling2D",
    .state_size = sizeof(kl_adaptive_pooling_args),
    .args_size = sizeof(kl_adaptive_pooling_args),
    .fields = adaptive2d_fields,
    .init = adaptive2d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_adaptive_average_pooling2d)

const kl_layer_vtable kl_adaptive_average_pooling3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AdaptiveAveragePooling3D",
    .state_size = sizeof(kl_adaptive_pooling_args),
    .args_size = sizeof(kl_adaptive_pooling_args),
    .fields = adaptive3d_fields,
    .init = adaptive3d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_adaptive_average_pooling3d)

const kl_layer_vtable kl_adaptive_max_pooling1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AdaptiveMaxPooling1D",
    .state_size = sizeof(kl_adaptive_pooling_args),
    .args_size = sizeof(kl_adaptive_pooling_args),
    .fields = adaptive1d_fields,
    .init = adaptive1d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_adaptive_max_pooling1d)

const kl_layer_vtable kl_adaptive_max_pooling2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AdaptiveMaxPooling2D",
    .state_size = sizeof(kl_adaptive_pooling_args),
    .args_size = sizeof(kl_adaptive_pooling_args),
    .fields = adaptive2d_fields,
    .init = adaptive2d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_adaptive_max_pooling2d)

const kl_layer_vtable kl_adaptive_max_pooling3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AdaptiveMaxPooling3D",
    .state_size = sizeof(kl_adaptive_pooling_args),
    .args_size = sizeof(kl_adaptive_pooling_args),
    .fields = adaptive3d_fields,
    .init = adaptive3d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_adaptive_max_pooling3d)
