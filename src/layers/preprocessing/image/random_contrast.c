#include "layers/preprocessing/image/color.h"

typedef struct contrast_state {
    kl_random_contrast_args args;
    double factor[2], range[2];
} contrast_state;

#define ARGS kl_random_contrast_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), VALUE_RANGE_FIELD(ARGS), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    contrast_state *s = kl_layer_state(self);
    kl_status status =
        kl_factor_resolve("factor", &s->args.factor, KL_FACTOR_BASE, 0, 1, s->factor);
    return status ? status : kl_value_range(&s->args.value_range, false, s->range);
}

/* Away from, or toward, the mean of each channel. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const contrast_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x)
        return kl_one(NULL);
    const double *factors = kl_image_draw(&in, in.size.batch, 1 - s->factor[0], 1 + s->factor[1]);
    kl_tensor *mean = kl_image_channel_mean(&in);
    kl_tensor *away = kl_op_mul(kl_op_sub(in.x, mean), kl_image_values(&in, factors));
    return kl_image_end(&in, kl_op_clip(kl_op_add(away, mean), s->range[0], s->range[1]));
}

const kl_layer_vtable kl_random_contrast_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomContrast",
    .state_size = sizeof(contrast_state),
    .args_size = sizeof(kl_random_contrast_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_contrast)
