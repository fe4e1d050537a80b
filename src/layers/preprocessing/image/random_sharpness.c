#include "layers/preprocessing/image/color.h"

typedef struct sharpness_state {
    kl_random_sharpness_args args;
    double factor[2], range[2];
} sharpness_state;

#define ARGS kl_random_sharpness_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), VALUE_RANGE_FIELD(ARGS), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    sharpness_state *s = kl_layer_state(self);
    kl_status status =
        kl_factor_resolve("factor", &s->args.factor, KL_FACTOR_BASE, 0, 1, s->factor);
    return status ? status : kl_value_range(&s->args.value_range, true, s->range);
}

/* The kernel that smooths: 3 x 3 for each channel, its middle weighing five times its rim. */
static kl_tensor *smoothing_kernel(kl_dtype dtype, int64_t channels)
{
    const int64_t shape[4] = {3, 3, channels, 1};
    kl_tensor *kernel = kl_full(KL_FLOAT64, 4, shape, 1.0 / 13);
    for (int64_t c = 0; kernel && kernel->buffer && c < channels; c++)
        ((double *)(void *)kernel->data)[4 * channels + c] = 5.0 / 13;
    return kl_op_cast(kernel, dtype);
}

/* Images against their smoothed selves: 0 smooths, 0.5 changes nothing, 1 sharpens. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const sharpness_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    double *factors = kl_image_draw(&in, in.size.batch, s->factor[0], s->factor[1]);
    if (!factors)
        return kl_one(NULL);
    for (int64_t i = 0; i < in.size.batch; i++)
        factors[i] = 1 - 2 * factors[i];
    const kl_conv_options options = {.padding = "same", .channels_first = in.size.channels_first};
    kl_tensor *kernel = smoothing_kernel((kl_dtype)in.x->dtype, in.size.channels);
    kl_tensor *smooth = kl_op_depthwise_conv(in.x, kernel, NULL, &options);
    kl_tensor *y = kl_image_blend(in.x, smooth, kl_image_values(&in, factors));
    return kl_image_end(&in, kl_op_clip(y, s->range[0], s->range[1]));
}

const kl_layer_vtable kl_random_sharpness_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomSharpness",
    .state_size = sizeof(sharpness_state),
    .args_size = sizeof(kl_random_sharpness_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_sharpness)
