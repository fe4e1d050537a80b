#include <math.h>

#include "layers/preprocessing/image/color.h"

typedef struct erasing_state {
    kl_random_erasing_args args;
    double factor[2], scale[2], range[2];
} erasing_state;

#define ARGS kl_random_erasing_args
static const kl_field fields[] = {FACTOR_FIELD(ARGS, factor),
                                  FACTOR_FIELD(ARGS, scale),
                                  {"fill_value", KL_FIELD_FLOATS, offsetof(ARGS, fill_value),
                                   .doc = "of erased pixels, or of their channels; None: noise",
                                   .flags = KL_FIELD_OPTIONAL | KL_FIELD_LONE},
                                  VALUE_RANGE_FIELD(ARGS),
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    erasing_state *s = kl_layer_state(self);
    const double usual[2] = {0.02, 0.33};
    kl_status status = kl_probability("factor", &s->args.factor, s->factor);
    if (!status && !s->args.scale.count)
        status = kl_floats_set(&s->args.scale, 2, usual);
    if (!status)
        status = kl_factor_resolve("scale", &s->args.scale, KL_FACTOR_BASE, 0, 1, s->scale);
    if (!status && s->args.fill_value.count > 1 && s->args.fill_value.count != 3)
        status = kl_error(KL_ERROR_INVALID,
                          "the fill_value argument should be a number (or a list of three "
                          "numbers), got %zu",
                          s->args.fill_value.count);
    return status ? status : kl_value_range(&s->args.value_range, false, s->range);
}

/* What erased pixels become: broadcast to the images, or noise of their shape. */
static kl_tensor *filling(const erasing_state *s, const kl_image_input *in)
{
    const kl_floats fill = s->args.fill_value;
    kl_dtype dtype = (kl_dtype)in->x->dtype;
    kl_tensor *value;
    if (!fill.count) {
        value = kl_op_random_normal(dtype, 4, in->x->shape, 0, 1);
        value = kl_op_mul_scalar(value, s->range[1]);
    } else {
        /* Several values stand along the last axis. */
        const int64_t shape[4] = {1, 1, 1, (int64_t)fill.count};
        if (fill.count > 1 && in->x->shape[3] != (int64_t)fill.count) {
            kl_error(KL_ERROR_SHAPE, "fill_value has %zu values, the images' last axis %lld",
                     fill.count, (long long)in->x->shape[3]);
            return NULL;
        }
        value = kl_op_cast(kl_from_data(KL_FLOAT32, 4, shape, fill.at), dtype);
    }
    return kl_op_clip(value, s->range[0], s->range[1]);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const erasing_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    int64_t batch = in.size.batch;
    double *wide = kl_image_draw(&in, batch, s->scale[0], s->scale[1]);
    double *tall = kl_image_draw(&in, batch, s->scale[0], s->scale[1]);
    if (!wide || !tall)
        return kl_one(NULL);
    for (int64_t i = 0; i < batch; i++) {
        wide[i] = sqrt(wide[i]);
        tall[i] = sqrt(tall[i]);
    }
    kl_tensor *boxes = kl_image_boxes(&in, wide, tall, NULL);
    kl_tensor *chosen = kl_image_chosen(&in, s->factor);
    kl_tensor *fill = filling(s, &in);
    return kl_image_end(&in, kl_op_where(kl_op_logical_and(boxes, chosen), fill, in.x));
}

const kl_layer_vtable kl_random_erasing_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomErasing",
    .state_size = sizeof(erasing_state),
    .args_size = sizeof(kl_random_erasing_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_erasing)
