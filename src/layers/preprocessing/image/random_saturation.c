#include "layers/preprocessing/image/color.h"

typedef struct saturation_state {
    kl_random_saturation_args args;
    double factor[2], range[2];
} saturation_state;

#define ARGS kl_random_saturation_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), VALUE_RANGE_FIELD(ARGS), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    saturation_state *s = kl_layer_state(self);
    kl_status status =
        kl_factor_resolve("factor", &s->args.factor, KL_FACTOR_BASE, -1, 1, s->factor);
    return status ? status : kl_value_range(&s->args.value_range, true, s->range);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const saturation_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    double *factors = in.x ? kl_image_draw(&in, in.size.batch, s->factor[0], s->factor[1]) : NULL;
    if (!factors)
        return kl_one(NULL);
    /* 0 takes all colour away, 0.5 changes nothing, 1 saturates fully. */
    for (int64_t i = 0; i < in.size.batch; i++)
        factors[i] /= 1 - factors[i] + 1e-7;
    return kl_image_end(&in, kl_image_adjust_colors(&in, NULL, factors, s->range));
}

const kl_layer_vtable kl_random_saturation_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomSaturation",
    .state_size = sizeof(saturation_state),
    .args_size = sizeof(kl_random_saturation_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_saturation)
