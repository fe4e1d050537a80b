#include "layers/preprocessing/image/color.h"

typedef struct degeneration_state {
    kl_random_color_degeneration_args args;
    double factor[2], range[2];
} degeneration_state;

#define ARGS kl_random_color_degeneration_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), VALUE_RANGE_FIELD(ARGS), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    degeneration_state *s = kl_layer_state(self);
    kl_status status =
        kl_factor_resolve("factor", &s->args.factor, KL_FACTOR_BASE, -1, 1, s->factor);
    return status ? status : kl_value_range(&s->args.value_range, true, s->range);
}

/* Toward grey: 0 changes nothing, 1 takes all colour away. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const degeneration_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    kl_tensor *gray = in.x ? kl_image_gray(&in) : NULL;
    if (!gray)
        return kl_one(NULL);
    const double *factors = kl_image_draw(&in, in.size.batch, s->factor[0], s->factor[1]);
    kl_tensor *y = kl_image_blend(in.x, gray, kl_image_values(&in, factors));
    return kl_image_end(&in, kl_op_clip(y, s->range[0], s->range[1]));
}

const kl_layer_vtable kl_random_color_degeneration_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomColorDegeneration",
    .state_size = sizeof(degeneration_state),
    .args_size = sizeof(kl_random_color_degeneration_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_color_degeneration)
