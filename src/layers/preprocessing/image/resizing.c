#include <string.h>

#include "layers/preprocessing/image/sizes.h"

typedef struct resizing_state {
    kl_resizing_args args;
    kl_resize_options options;
} resizing_state;

#define ARGS kl_resizing_args
static const kl_field fields[] = {
    SIZE_FIELDS(ARGS),
    {"interpolation", KL_FIELD_STRING, offsetof(ARGS, interpolation), "bilinear",
     .doc = "how pixels between pixels are made"},
    {"crop_to_aspect_ratio", KL_FIELD_BOOL, offsetof(ARGS, crop_to_aspect_ratio), "false",
     .doc = "cuts what the output's ratio leaves no room for"},
    {"pad_to_aspect_ratio", KL_FIELD_BOOL, offsetof(ARGS, pad_to_aspect_ratio), "false",
     .doc = "adds what the output's ratio lacks"},
    {"fill_mode", KL_FIELD_STRING, offsetof(ARGS, fill_mode), "constant", .doc = "of the padding"},
    {"fill_value", KL_FIELD_FLOAT, offsetof(ARGS, fill_value), "0", .doc = "of the padding"},
    {"antialias", KL_FIELD_BOOL, offsetof(ARGS, antialias), "false",
     .doc = "smooths when images shrink"},
    IMAGE_FIELDS(ARGS),
    {0}};
#undef ARGS

static kl_status init(void *self)
{
    resizing_state *s = kl_layer_state(self);
    const kl_resizing_args *a = &s->args;
    s->options = (kl_resize_options){.height = a->height,
                                     .width = a->width,
                                     .antialias = a->antialias,
                                     .channels_first = kl_is_channels_first(a->data_format)};
    if (!kl_resize_method_of(a->interpolation, &s->options.method))
        return kl_error(
            KL_ERROR_INVALID,
            "invalid value for argument interpolation: expected one of bilinear, "
            "nearest, bicubic, area, lanczos3, lanczos5, gaussian, mitchellcubic, got %s",
            a->interpolation);
    if (strcmp(a->fill_mode, "constant") != 0)
        return kl_error(KL_ERROR_INVALID,
                        "invalid value for argument fill_mode: only constant is supported, got %s",
                        a->fill_mode);
    if (a->crop_to_aspect_ratio && a->pad_to_aspect_ratio)
        return kl_error(KL_ERROR_INVALID,
                        "only one of pad_to_aspect_ratio and crop_to_aspect_ratio can be true");
    return KL_OK;
}

/* Equal borders on both sides, up to the output's ratio. */
static kl_tensor *pad_to_ratio(const kl_image_input *in, const kl_resizing_args *a)
{
    const int64_t tall = in->size.height, wide = in->size.width;
    int64_t rows = (int64_t)((float)(wide * a->height) / (float)a->width);
    int64_t columns = (int64_t)((float)(tall * a->width) / (float)a->height);
    int64_t above = rows > tall ? (rows - tall) / 2 : 0;
    int64_t before = columns > wide ? (columns - wide) / 2 : 0;
    int64_t pads[8] = {0};
    int axis = in->size.channels_first ? 2 : 1;
    pads[2 * axis] = pads[2 * axis + 1] = above;
    pads[2 * axis + 2] = pads[2 * axis + 3] = before;
    return above || before ? kl_op_pad(in->x, pads, "constant", a->fill_value) : in->x;
}

static kl_tensor *to_bytes(const kl_tensor *y)
{
    kl_tensor *out = kl_empty(KL_UINT8, y->rank, y->shape);
    if (out && out->buffer && y->buffer)
        kl_round_to_bytes(y->size, (const float *)(const void *)y->data, (uint8_t *)out->data);
    return out;
}

/* Integers are rounded and held within their type's range. */
static kl_tensor *back_to(kl_tensor *y, kl_dtype dtype)
{
    if (!y || (kl_dtype)y->dtype == dtype)
        return y;
    if (dtype == KL_UINT8 && y->dtype == KL_FLOAT32 && y->contiguous)
        return to_bytes(y);
    if (!kl_dtype_is_float(dtype))
        y = kl_op_round(y);
    return kl_op_cast(y, dtype);
}

/* The same in training and at inference. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const resizing_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin_raw(self, inputs.at[0], s->args.data_format);
    kl_tensor *x = in.x;
    if (x && s->args.crop_to_aspect_ratio)
        x = kl_image_crop_to_ratio(&in, s->args.height, s->args.width);
    else if (x && s->args.pad_to_aspect_ratio)
        x = pad_to_ratio(&in, &s->args);
    kl_tensor *y = x ? back_to(kl_op_resize(x, &s->options), (kl_dtype)in.x->dtype) : NULL;
    return kl_image_end(&in, y);
}

static kl_status output_shape(const kl_layer *self, const kl_shape *inputs, int count,
                              kl_shape *outputs, int *output_count)
{
    const kl_resizing_args *a = kl_layer_state(self);
    *output_count = 1;
    outputs->dtype = inputs->dtype;
    return kl_image_output_size(inputs, a->data_format, a->height, a->width, outputs);
}

const kl_layer_vtable kl_resizing_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Resizing",
    .state_size = sizeof(resizing_state),
    .args_size = sizeof(kl_resizing_args),
    .fields = fields,
    .init = init,
    .call = call,
    .output_shape = output_shape,
};

KL_DEFINE_LAYER(kl_resizing)
