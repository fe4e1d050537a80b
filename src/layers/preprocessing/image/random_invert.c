#include "layers/preprocessing/image/color.h"

typedef struct invert_state {
    kl_random_invert_args args;
    double factor[2], range[2];
} invert_state;

#define ARGS kl_random_invert_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), VALUE_RANGE_FIELD(ARGS), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    invert_state *s = kl_layer_state(self);
    kl_status status = kl_probability("factor", &s->args.factor, s->factor);
    return status ? status : kl_value_range(&s->args.value_range, false, s->range);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const invert_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x)
        return kl_one(NULL);
    kl_tensor *chosen = kl_image_chosen(&in, s->factor);
    kl_tensor *inverse = kl_op_rsub_scalar(in.x, s->range[1]);
    return kl_image_end(&in, kl_op_where(chosen, inverse, in.x));
}

const kl_layer_vtable kl_random_invert_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomInvert",
    .state_size = sizeof(invert_state),
    .args_size = sizeof(kl_random_invert_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_invert)
