#include "layers/preprocessing/image/color.h"

typedef struct solarization_state {
    kl_solarization_args args;
    double addition[2], threshold[2], range[2];
} solarization_state;

#define ARGS kl_solarization_args
static const kl_field fields[] = {FACTOR_FIELD(ARGS, addition_factor),
                                  FACTOR_FIELD(ARGS, threshold_factor),
                                  VALUE_RANGE_FIELD(ARGS),
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    solarization_state *s = kl_layer_state(self);
    kl_status status = kl_factor_resolve("addition_factor", &s->args.addition_factor, KL_FACTOR_UP,
                                         0, 1, s->addition);
    if (!status)
        status = kl_factor_resolve("threshold_factor", &s->args.threshold_factor, KL_FACTOR_UP, 0,
                                   1, s->threshold);
    return status ? status : kl_value_range(&s->args.value_range, true, s->range);
}

/* Adds, then inverts what isn't below a threshold. The lower ends of the draws aren't scaled to
   0..255, as in Keras. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    static const double bytes[2] = {0, 255};
    const solarization_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    int64_t batch = in.size.batch;
    const double *more = kl_image_draw(&in, batch, s->addition[0], s->addition[1] * 255);
    const double *limit = kl_image_draw(&in, batch, s->threshold[0], s->threshold[1] * 255);
    kl_tensor *x = kl_image_rescale(in.x, s->range, bytes);
    x = kl_op_clip(kl_op_add(x, kl_image_values(&in, more)), 0, 255);
    kl_tensor *below = kl_op_less(x, kl_image_values(&in, limit));
    kl_tensor *y = kl_op_where(below, x, kl_op_rsub_scalar(x, 255));
    return kl_image_end(&in, y ? kl_image_rescale(y, bytes, s->range) : NULL);
}

const kl_layer_vtable kl_solarization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Solarization",
    .state_size = sizeof(solarization_state),
    .args_size = sizeof(kl_solarization_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_solarization)
