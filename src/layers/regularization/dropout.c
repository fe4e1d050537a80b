/* Dropout, of single elements or of whole feature maps. */
#include "klayers/layers/regularization.h"
#include "layers/regularization/noise.h"
#include "tensor/tensor.h"

kl_status kl_noise_sizes(const int64_t *noise_shape, const kl_tensor *x, int64_t *sizes)
{
    int given = 0;
    if (noise_shape[0] != KL_SCALAR)
        while (given < KL_MAX_RANK && noise_shape[given])
            given++;
    bool own = !given && noise_shape[0] != KL_SCALAR;
    if (given > x->rank)
        return kl_error(KL_ERROR_SHAPE, "noise_shape has %d dimensions, the input %d", given,
                        x->rank);
    for (int i = 0; i < x->rank; i++) {
        int at = i - (x->rank - given);
        sizes[i] = own ? x->shape[i] : at < 0 ? 1 : noise_shape[at];
        if (sizes[i] > 0)
            continue;
        if (given < x->rank)
            return kl_error(KL_ERROR_SHAPE,
                            "noise_shape has None and %d dimensions, the input %d: they must match",
                            given, x->rank);
        sizes[i] = x->shape[i];
    }
    return KL_OK;
}

kl_status kl_noise_float(const kl_tensor *x)
{
    if (kl_dtype_is_float((kl_dtype)x->dtype))
        return KL_OK;
    return kl_error(KL_ERROR_DTYPE, "noise is for floats, got an input of dtype %s",
                    kl_dtype_name((kl_dtype)x->dtype));
}

static const kl_field dropout_fields[] = {
    {"rate", KL_FIELD_FLOAT, offsetof(kl_dropout_args, rate),
     .doc = "fraction of the input to drop", .min = 0, .max = 1, .flags = KL_FIELD_REQUIRED},
    {"noise_shape", KL_FIELD_SHAPE, offsetof(kl_dropout_args, noise_shape),
     .doc = "sizes of the drawn mask: 1 where shared, None for the input's own",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_UNKNOWN_OK},
    {"seed", KL_FIELD_INT, offsetof(kl_dropout_args, seed), .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

/* Keras 3 takes a list of positive sizes and None alone; 2.15 doesn't check. */
static kl_status dropout_from_config(void *self, kl_config *config)
{
    const kl_config *shape = kl_config_get(config, "noise_shape");
    if (!shape || ((const kl_layer *)self)->legacy)
        return KL_OK;
    if (kl_config_typeof(shape) != KL_CONFIG_NULL && kl_config_typeof(shape) != KL_CONFIG_LIST)
        return kl_error(KL_ERROR_FORMAT, "noise_shape: expected a list of sizes");
    for (size_t i = 0; i < kl_config_count(shape); i++) {
        int64_t size;
        if (kl_config_as_int(kl_config_at(shape, i), &size) && size < 1)
            return kl_error(KL_ERROR_RANGE,
                            "noise_shape must have positive sizes or None, got %lld",
                            (long long)size);
    }
    return KL_OK;
}

static kl_tensors dropout_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_dropout_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    int64_t sizes[KL_MAX_RANK];
    if (!kl_training(ctx) || args->rate == 0)
        return kl_one(x);
    if (kl_noise_float(x) || kl_noise_sizes(args->noise_shape, x, sizes))
        return kl_one(NULL);
    return kl_one(kl_op_dropout(x, args->rate, args->noise_shape[0] ? sizes : NULL));
}

const kl_layer_vtable kl_dropout_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Dropout",
    .state_size = sizeof(kl_dropout_args),
    .args_size = sizeof(kl_dropout_args),
    .fields = dropout_fields,
    .from_config = dropout_from_config,
    .call = dropout_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_dropout)

// clang-format off
#define SPATIAL_FIELDS(type)                                                                       \
    {"rate", KL_FIELD_FLOAT, offsetof(type, rate), .doc = "fraction of the feature maps to drop",  \
     .min = 0, .max = 1, .flags = KL_FIELD_REQUIRED},                                              \
    {"seed", KL_FIELD_INT, offsetof(type, seed), .doc = "of the draws",                            \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
    {"noise_shape", KL_FIELD_IGNORED, .doc = "of 2.15's configs"}
// clang-format on

static const kl_field spatial1d_fields[] = {SPATIAL_FIELDS(kl_spatial_dropout1d_args), {0}};
static const kl_field spatial_fields[] = {
    SPATIAL_FIELDS(kl_spatial_dropout2d_args),
    {"data_format", KL_FIELD_STRING, offsetof(kl_spatial_dropout2d_args, data_format),
     "channels_last", .doc = "where the channels stand", .choices = "channels_last|channels_first",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status spatial1d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

static kl_status spatial2d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 4});
}

static kl_status spatial3d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 5});
}

/* Keras's constructors take neither of the two, and its configs have a dtype by name. */
static kl_status spatial_get_config(const void *self, kl_config *config)
{
    kl_config_free(kl_config_detach(config, "trainable"));
    kl_config_free(kl_config_detach(config, "activity_regularizer"));
    return kl_config_set_string(config, "dtype", kl_layer_dtype_policy(self));
}

/* As Keras 3's constructors; 2.15's took what Dropout's does. */
static kl_status spatial_from_config(void *self, kl_config *config)
{
    const kl_layer *layer = self;
    const char *extra = layer->activity_regularizer            ? "activity_regularizer"
                        : kl_config_get(config, "noise_shape") ? "noise_shape"
                                                               : NULL;
    if (layer->legacy || !extra)
        return KL_OK;
    return kl_error(KL_ERROR_FORMAT, "unknown argument '%s'", extra);
}

static kl_tensors drop_maps(kl_context *ctx, kl_tensor *x, double rate, const char *data_format)
{
    int64_t sizes[KL_MAX_RANK];
    if (!kl_training(ctx) || rate == 0)
        return kl_one(x);
    if (kl_noise_float(x))
        return kl_one(NULL);
    int channels = kl_channel_axis(data_format, x->rank);
    for (int i = 0; i < x->rank; i++)
        sizes[i] = !i || i == channels ? x->shape[i] : 1;
    return kl_one(kl_op_dropout(x, rate, sizes));
}

static kl_tensors spatial1d_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_spatial_dropout1d_args *args = kl_layer_state(self);
    return drop_maps(ctx, in.at[0], args->rate, NULL);
}

static kl_tensors spatial_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_spatial_dropout2d_args *args = kl_layer_state(self);
    return drop_maps(ctx, in.at[0], args->rate, args->data_format);
}

#define SPATIAL_CLASS(rank, name, with_fields, with_init, with_call)                               \
    const kl_layer_vtable kl_spatial_dropout##rank##_class = {                                     \
        .size = sizeof(kl_layer_vtable),                                                           \
        .class_name = name,                                                                        \
        .state_size = sizeof(kl_spatial_dropout##rank##_args),                                     \
        .args_size = sizeof(kl_spatial_dropout##rank##_args),                                      \
        .fields = with_fields,                                                                     \
        .init = with_init,                                                                         \
        .get_config = spatial_get_config,                                                          \
        .from_config = spatial_from_config,                                                        \
        .call = with_call,                                                                         \
        .compute_mask = kl_pass_mask,                                                              \
        .flags = KL_LAYER_RANDOM,                                                                  \
    };                                                                                             \
    KL_DEFINE_LAYER(kl_spatial_dropout##rank)

SPATIAL_CLASS(1d, "SpatialDropout1D", spatial1d_fields, spatial1d_init, spatial1d_call)
SPATIAL_CLASS(2d, "SpatialDropout2D", spatial_fields, spatial2d_init, spatial_call)
SPATIAL_CLASS(3d, "SpatialDropout3D", spatial_fields, spatial3d_init, spatial_call)
