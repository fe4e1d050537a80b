/* UpSampling in one, two and three dimensions. */
#include <string.h>

#include "klayers/layers/reshaping.h"
#include "layers/layer.h"
#include "layers/reshaping/spatial.h"
#include "ops/resize.h"
#include "tensor/tensor.h"

#define LARGEST 1048576

static const kl_field up_sampling1d_fields[] = {
    {"size", KL_FIELD_INT, offsetof(kl_up_sampling1d_args, factor), "2",
     .doc = "how often each step stands in the output", .min = 1, .max = LARGEST},
    {0}};

static const kl_field up_sampling2d_fields[] = {
    {"size", KL_FIELD_DIMS, offsetof(kl_up_sampling2d_args, factor), "2, 2",
     .doc = "how many times as many rows and columns", .min = 1, .max = LARGEST, .count = 2},
    DATA_FORMAT_FIELD(kl_up_sampling2d_args),
    {"interpolation", KL_FIELD_STRING, offsetof(kl_up_sampling2d_args, interpolation), "nearest",
     .doc = "how pixels between pixels are made",
     .choices = "nearest|bilinear|bicubic|lanczos3|lanczos5|area|gaussian|mitchellcubic"},
    {0}};

static const kl_field up_sampling3d_fields[] = {
    {"size", KL_FIELD_DIMS, offsetof(kl_up_sampling3d_args, factor), "2, 2, 2",
     .doc = "how often each place stands along each axis", .min = 1, .max = LARGEST, .count = 3},
    DATA_FORMAT_FIELD(kl_up_sampling3d_args),
    {0}};

static kl_status up_sampling1d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

static kl_status up_sampling2d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 4});
}

static kl_status up_sampling3d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 5});
}

static kl_tensors repeat(kl_tensor *x, const int64_t *size, bool channels_first)
{
    int64_t factors[KL_MAX_RANK] = {1, 1, 1, 1, 1};
    memcpy(factors + (channels_first ? 2 : 1), size, (size_t)(x->rank - 2) * sizeof *size);
    return kl_one(kl_op_repeat_each(x, factors));
}

static kl_tensors up_sampling1d_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_up_sampling1d_args *args = kl_layer_state(self);
    return repeat(in.at[0], &args->factor, false);
}

static kl_tensors up_sampling2d_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_up_sampling2d_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    kl_resize_options options = {.channels_first = kl_is_channels_first(args->data_format)};
    kl_resize_method_of(args->interpolation, &options.method);
    if (options.method == KL_RESIZE_NEAREST)
        return repeat(x, args->factor, options.channels_first);
    const int64_t *places = x->shape + (options.channels_first ? 2 : 1);
    if (__builtin_mul_overflow(places[0], args->factor[0], &options.height) ||
        __builtin_mul_overflow(places[1], args->factor[1], &options.width)) {
        kl_error(KL_ERROR_SHAPE, "the output has too many pixels");
        return kl_one(NULL);
    }
    kl_tensor *y = kl_op_resize(x, &options);
    if (!kl_dtype_is_float((kl_dtype)x->dtype))
        y = kl_op_round(y);
    return kl_one(y && y->dtype == x->dtype ? y : kl_op_cast(y, (kl_dtype)x->dtype));
}

static kl_tensors up_sampling3d_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_up_sampling3d_args *args = kl_layer_state(self);
    return repeat(in.at[0], args->factor, kl_is_channels_first(args->data_format));
}

const kl_layer_vtable kl_up_sampling1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "UpSampling1D",
    .state_size = sizeof(kl_up_sampling1d_args),
    .args_size = sizeof(kl_up_sampling1d_args),
    .fields = up_sampling1d_fields,
    .init = up_sampling1d_init,
    .call = up_sampling1d_call,
};
KL_DEFINE_LAYER(kl_up_sampling1d)

const kl_layer_vtable kl_up_sampling2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "UpSampling2D",
    .state_size = sizeof(kl_up_sampling2d_args),
    .args_size = sizeof(kl_up_sampling2d_args),
    .fields = up_sampling2d_fields,
    .init = up_sampling2d_init,
    .call = up_sampling2d_call,
};
KL_DEFINE_LAYER(kl_up_sampling2d)

const kl_layer_vtable kl_up_sampling3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "UpSampling3D",
    .state_size = sizeof(kl_up_sampling3d_args),
    .args_size = sizeof(kl_up_sampling3d_args),
    .fields = up_sampling3d_fields,
    .init = up_sampling3d_init,
    .call = up_sampling3d_call,
};
KL_DEFINE_LAYER(kl_up_sampling3d)
