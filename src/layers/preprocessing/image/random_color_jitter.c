#include "layers/preprocessing/image/augment.h"

typedef struct jitter_state {
    kl_random_color_jitter_args args;
    double range[2];
} jitter_state;

#define ARGS kl_random_color_jitter_args
static const kl_field fields[] = {VALUE_RANGE_FIELD(ARGS),
                                  FACTOR_FIELD(ARGS, brightness_factor),
                                  FACTOR_FIELD(ARGS, contrast_factor),
                                  FACTOR_FIELD(ARGS, saturation_factor),
                                  FACTOR_FIELD(ARGS, hue_factor),
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

#define ADD(attribute, constructor, given, place)                                                  \
    (!(given).count ||                                                                             \
     kl_add_sublayer(self, attribute,                                                              \
                     constructor(.factor = (given), .value_range = a->value_range,                 \
                                 .seed = kl_augment_seed(a->seed, place),                          \
                                 .data_format = a->data_format, .dtype = layer->policy)))

static kl_status init(void *self)
{
    kl_layer *layer = self;
    jitter_state *s = kl_layer_state(self);
    const kl_random_color_jitter_args *a = &s->args;
    kl_status status = kl_value_range(&s->args.value_range, false, s->range);
    if (status)
        return status;
    bool good = ADD("random_brightness", kl_random_brightness, a->brightness_factor, 1) &&
                ADD("random_contrast", kl_random_contrast, a->contrast_factor, 2) &&
                ADD("random_saturation", kl_random_saturation, a->saturation_factor, 3) &&
                ADD("random_hue", kl_random_hue, a->hue_factor, 4);
    return good ? KL_OK : kl_last_status();
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const jitter_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    kl_tensor *x = in.x;
    for (int i = 0; x && i < self->sublayer_count; i++)
        x = kl_call(self->sublayers[i].layer, x);
    return kl_image_end(&in, x ? kl_op_cast(x, self->compute_dtype) : NULL);
}

const kl_layer_vtable kl_random_color_jitter_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomColorJitter",
    .state_size = sizeof(jitter_state),
    .args_size = sizeof(kl_random_color_jitter_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_color_jitter)
