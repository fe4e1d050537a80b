#include "layers/preprocessing/image/color.h"

typedef struct brightness_state {
    kl_random_brightness_args args;
    double factor[2], range[2];
} brightness_state;

#define ARGS kl_random_brightness_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), VALUE_RANGE_FIELD(ARGS), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    brightness_state *s = kl_layer_state(self);
    kl_status status =
        kl_factor_resolve("factor", &s->args.factor, KL_FACTOR_BASE, -1, 1, s->factor);
    return status ? status : kl_value_range(&s->args.value_range, true, s->range);
}

/* uint8 images stay so: Keras casts the difference to uint8 and adds modulo 256. */
static kl_tensor *brighten_bytes(const kl_image_input *in, const double *deltas,
                                 const double range[2])
{
    kl_tensor *x = in->x->buffer && !in->x->contiguous ? kl_contiguous(in->x) : in->x;
    kl_tensor *out = x ? kl_empty(KL_UINT8, 4, x->shape) : NULL;
    if (!out || !out->buffer || !in->real)
        return out;
    const uint8_t *from = (const uint8_t *)x->data;
    uint8_t *to = (uint8_t *)out->data;
    const uint8_t low = (uint8_t)range[0], high = (uint8_t)range[1];
    int64_t each = in->size.height * in->size.width * in->size.channels;
    for (int64_t i = 0; i < x->size; i++) {
        uint8_t v = (uint8_t)(from[i] + (uint8_t)(int)deltas[i / each]);
        to[i] = v < low ? low : v > high ? high : v;
    }
    return out;
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const brightness_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    bool bytes = inputs.at[0]->dtype == KL_UINT8;
    kl_image_input in = bytes ? kl_image_begin_raw(self, inputs.at[0], s->args.data_format)
                              : kl_image_begin(self, inputs.at[0], s->args.data_format);
    double *deltas = in.x ? kl_image_draw(&in, in.size.batch, s->factor[0], s->factor[1]) : NULL;
    if (!deltas)
        return kl_one(NULL);
    for (int64_t i = 0; i < in.size.batch; i++)
        deltas[i] *= s->range[1] - s->range[0];
    if (bytes)
        return kl_image_end(&in, brighten_bytes(&in, deltas, s->range));
    kl_tensor *y = kl_op_add(in.x, kl_image_values(&in, deltas));
    return kl_image_end(&in, kl_op_clip(y, s->range[0], s->range[1]));
}

const kl_layer_vtable kl_random_brightness_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomBrightness",
    .state_size = sizeof(brightness_state),
    .args_size = sizeof(kl_random_brightness_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_brightness)
