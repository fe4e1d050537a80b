#include <string.h>

#include "layers/preprocessing/image/color.h"

typedef struct elastic_state {
    kl_random_elastic_transform_args args;
    double factor[2], scale[2], range[2];
    kl_warp_options options;
} elastic_state;

#define ARGS kl_random_elastic_transform_args
static const kl_field fields[] = {FACTOR_FIELD(ARGS, factor),
                                  FACTOR_FIELD(ARGS, scale),
                                  INTERPOLATION_FIELD(ARGS),
                                  {"fill_mode", KL_FIELD_STRING, offsetof(ARGS, fill_mode),
                                   "reflect", .doc = "what lies outside the image",
                                   .choices = "reflect|wrap|constant|nearest|mirror"},
                                  FILL_VALUE_FIELD(ARGS),
                                  VALUE_RANGE_FIELD(ARGS),
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    elastic_state *s = kl_layer_state(self);
    const kl_random_elastic_transform_args *a = &s->args;
    s->options = (kl_warp_options){.channels_first = kl_is_channels_first(a->data_format),
                                   .nearest = !strcmp(a->interpolation, "nearest"),
                                   .fill = kl_fill_mode_of(a->fill_mode),
                                   .fill_value = (float)a->fill_value};
    kl_status status = kl_probability("factor", &s->args.factor, s->factor);
    if (!status)
        status = kl_probability("scale", &s->args.scale, s->scale);
    return status ? status : kl_value_range(&s->args.value_range, false, s->range);
}

/* Noise smoothed into a field: how far each pixel moves along one axis. */
static kl_tensor *field(const kl_image_input *in, double alpha, double sigma)
{
    const int64_t shape[4] = {in->size.batch, in->size.height, in->size.width, 1};
    const int64_t window[2] = {6 * (int64_t)sigma | 1, 6 * (int64_t)sigma | 1};
    const double widths[2] = {sigma, sigma};
    kl_dtype dtype = in->x->dtype == KL_FLOAT64 ? KL_FLOAT64 : KL_FLOAT32;
    kl_tensor *noise = kl_op_random_normal(dtype, 4, shape, 0, 1);
    noise = kl_op_mul_scalar(noise, sigma);
    kl_tensor *smooth = kl_image_gaussian_blur(noise, window, widths, false);
    return kl_op_reshape(kl_op_mul_scalar(smooth, alpha), 3, shape);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const elastic_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !kl_training(ctx) || s->scale[1] == 0 || s->factor[1] == 0)
        return kl_image_end(&in, in.x);
    if (!strcmp(s->args.fill_mode, "mirror")) {
        kl_error(KL_ERROR_INVALID, "fill_mode mirror can't be used: expected one of constant, "
                                   "nearest, wrap, reflect");
        return kl_one(NULL);
    }
    const double *limits = kl_image_draw(&in, in.size.batch, s->factor[0], s->factor[1]);
    const double *values = kl_image_draw(&in, in.size.batch, 0, 1);
    const double *strength = kl_image_draw(&in, 1, s->scale[0], s->scale[1]);
    if (!limits || !values || !strength)
        return kl_one(NULL);
    const double tall = (double)in.size.height, wide = (double)in.size.width;
    const double alpha = (tall > wide ? tall : wide) * 0.1 * *strength;
    const double sigma = (tall < wide ? tall : wide) * 0.05 * *strength;
    kl_tensor *keep = kl_image_not_below(&in, values, limits);
    kl_tensor *dx = sigma > 0 ? field(&in, alpha, sigma) : NULL;
    kl_tensor *dy = sigma > 0 ? field(&in, alpha, sigma) : NULL;
    kl_tensor *y = sigma > 0 ? kl_op_image_displace(in.x, dx, dy, keep, &s->options) : in.x;
    return kl_image_end(&in, kl_op_clip(y, s->range[0], s->range[1]));
}

const kl_layer_vtable kl_random_elastic_transform_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomElasticTransform",
    .state_size = sizeof(elastic_state),
    .args_size = sizeof(kl_random_elastic_transform_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_elastic_transform)
