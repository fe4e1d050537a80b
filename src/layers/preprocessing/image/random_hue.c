#include "layers/preprocessing/image/color.h"

typedef struct hue_state {
    kl_random_hue_args args;
    double factor[2], range[2];
} hue_state;

#define ARGS kl_random_hue_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), VALUE_RANGE_FIELD(ARGS), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    hue_state *s = kl_layer_state(self);
    kl_status status =
        kl_factor_resolve("factor", &s->args.factor, KL_FACTOR_BASE, 0, 1, s->factor);
    return status ? status : kl_value_range(&s->args.value_range, false, s->range);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const hue_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    const double *sides = in.x ? kl_image_draw(&in, in.size.batch, 0, 1) : NULL;
    double *hues = sides ? kl_image_draw(&in, in.size.batch, s->factor[0], s->factor[1]) : NULL;
    if (!hues)
        return kl_one(NULL);
    for (int64_t i = 0; i < in.size.batch; i++)
        hues[i] *= sides[i] > 0.5 ? -0.5 : 0.5;
    return kl_image_end(&in, kl_image_adjust_colors(&in, hues, NULL, s->range));
}

const kl_layer_vtable kl_random_hue_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomHue",
    .state_size = sizeof(hue_state),
    .args_size = sizeof(kl_random_hue_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_hue)
