/* GlobalMaxPooling and GlobalAveragePooling in one, two and three dimensions. */
#include "klayers/layers/pooling.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

static const kl_field global_fields[] = {
    {"data_format", KL_FIELD_STRING, offsetof(kl_global_pooling_args, data_format), "channels_last",
     .doc = "where the channels stand", .choices = "channels_last|channels_first",
     .flags = KL_FIELD_OPTIONAL},
    {"keepdims", KL_FIELD_BOOL, offsetof(kl_global_pooling_args, keepdims), "false",
     .doc = "whether the spatial axes stay with size 1"},
    {0}};

static kl_status global1d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

static kl_status global2d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 4});
}

static kl_status global3d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 5});
}

typedef kl_tensor *reduce_function(kl_tensor *a, int count, const int *axes, bool keepdims);

static kl_tensor *reduce_places(const kl_layer *self, kl_tensor *x, reduce_function *reduce)
{
    const kl_global_pooling_args *args = kl_layer_state(self);
    int first = kl_is_channels_first(args->data_format) ? 2 : 1, axes[3];
    int count = x->rank - 2;
    for (int i = 0; i < count; i++)
        axes[i] = first + i;
    return reduce(x, count, axes, args->keepdims);
}

static kl_tensors max_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(reduce_places(self, in.at[0], kl_op_max));
}

static kl_tensors average_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(reduce_places(self, in.at[0], kl_op_mean));
}

static kl_tensors masked_average_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_global_pooling_args *args = kl_layer_state(self);
    kl_tensor *mask = kl_input_mask(ctx, 0), *x = in.at[0];
    if (!mask)
        return average_call(self, ctx, in);
    bool first = kl_is_channels_first(args->data_format);
    mask = kl_op_expand_dims(kl_op_cast(mask, kl_tensor_dtype(x)), first ? 1 : 2);
    kl_tensor *sum = reduce_places(self, kl_op_mul(x, mask), kl_op_sum);
    return kl_one(kl_op_div(sum, reduce_places(self, mask, kl_op_sum)));
}

const kl_layer_vtable kl_global_max_pooling1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GlobalMaxPooling1D",
    .names = "GlobalMaxPool1D",
    .state_size = sizeof(kl_global_pooling_args),
    .args_size = sizeof(kl_global_pooling_args),
    .fields = global_fields,
    .init = global1d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_global_max_pooling1d)

const kl_layer_vtable kl_global_max_pooling2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GlobalMaxPooling2D",
    .names = "GlobalMaxPool2D",
    .state_size = sizeof(kl_global_pooling_args),
    .args_size = sizeof(kl_global_pooling_args),
    .fields = global_fields,
    .init = global2d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_global_max_pooling2d)

const kl_layer_vtable kl_global_max_pooling3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GlobalMaxPooling3D",
    .names = "GlobalMaxPool3D",
    .state_size = sizeof(kl_global_pooling_args),
    .args_size = sizeof(kl_global_pooling_args),
    .fields = global_fields,
    .init = global3d_init,
    .call = max_call,
};
KL_DEFINE_LAYER(kl_global_max_pooling3d)

const kl_layer_vtable kl_global_average_pooling1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GlobalAveragePooling1D",
    .names = "GlobalAvgPool1D",
    .state_size = sizeof(kl_global_pooling_args),
    .args_size = sizeof(kl_global_pooling_args),
    .fields = global_fields,
    .init = global1d_init,
    .call = masked_average_call,
};
KL_DEFINE_LAYER(kl_global_average_pooling1d)

const kl_layer_vtable kl_global_average_pooling2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GlobalAveragePooling2D",
    .names = "GlobalAvgPool2D",
    .state_size = sizeof(kl_global_pooling_args),
    .args_size = sizeof(kl_global_pooling_args),
    .fields = global_fields,
    .init = global2d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_global_average_pooling2d)

const kl_layer_vtable kl_global_average_pooling3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GlobalAveragePooling3D",
    .names = "GlobalAvgPool3D",
    .state_size = sizeof(kl_global_pooling_args),
    .args_size = sizeof(kl_global_pooling_args),
    .fields = global_fields,
    .init = global3d_init,
    .call = average_call,
};
KL_DEFINE_LAYER(kl_global_average_pooling3d)
