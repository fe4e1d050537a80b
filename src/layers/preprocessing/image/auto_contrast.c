#include "layers/preprocessing/image/color.h"

typedef struct auto_contrast_state {
    kl_auto_contrast_args args;
    double range[2];
} auto_contrast_state;

#define ARGS kl_auto_contrast_args
static const kl_field fields[] = {VALUE_RANGE_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    auto_contrast_state *s = kl_layer_state(self);
    return kl_value_range(&s->args.value_range, true, s->range);
}

/* Axes 1 and 2 whatever the data format, as Keras has it. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    static const double bytes[2] = {0, 255};
    static const int axes[2] = {1, 2};
    const auto_contrast_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x)
        return kl_one(NULL);
    kl_tensor *x = kl_image_rescale(in.x, s->range, bytes);
    kl_tensor *low = kl_op_min(x, 2, axes, true), *high = kl_op_max(x, 2, axes, true);
    kl_tensor *span = kl_op_sub(high, low), *scale = kl_op_rdiv_scalar(span, 255);
    kl_tensor *offset = kl_op_mul(kl_op_neg(low), scale);
    kl_tensor *y = kl_op_clip(kl_op_add(kl_op_mul(x, scale), offset), 0, 255);
    y = kl_image_rescale(y, bytes, s->range);
    /* Channels of one value stay as they are. */
    kl_tensor *flat = kl_op_equal(low, high);
    return kl_image_end(&in, kl_op_where(flat, in.x, y));
}

const kl_layer_vtable kl_auto_contrast_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AutoContrast",
    .state_size = sizeof(auto_contrast_state),
    .args_size = sizeof(kl_auto_contrast_args),
    .fields = fields,
    .init = init,
    .call = call,

};

KL_DEFINE_LAYER(kl_auto_contrast)
