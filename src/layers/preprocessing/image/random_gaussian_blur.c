#include <math.h>

#include "layers/preprocessing/image/color.h"

typedef struct blur_state {
    kl_random_gaussian_blur_args args;
    double factor[2], sigma[2], range[2];
} blur_state;

#define ARGS kl_random_gaussian_blur_args
static const kl_field fields[] = {FACTOR_FIELD(ARGS, factor),
                                  {"kernel_size", KL_FIELD_DIMS, offsetof(ARGS, kernel_size), "3",
                                   .doc = "odd", .min = 1, .max = 65535, .count = 2},
                                  FACTOR_FIELD(ARGS, sigma),
                                  VALUE_RANGE_FIELD(ARGS),
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    blur_state *s = kl_layer_state(self);
    const int64_t *size = s->args.kernel_size;
    if (size[0] % 2 == 0 || size[1] % 2 == 0)
        return kl_error(KL_ERROR_INVALID, "kernel_size must be odd, got (%lld, %lld)",
                        (long long)size[0], (long long)size[1]);
    kl_status status = kl_probability("factor", &s->args.factor, s->factor);
    if (!status)
        status = kl_probability("sigma", &s->args.sigma, s->sigma);
    return status ? status : kl_value_range(&s->args.value_range, false, s->range);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const blur_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    kl_tensor *chosen = kl_image_chosen(&in, s->factor);
    const double *sigma = kl_image_draw(&in, 2, s->sigma[0], s->sigma[1]);
    if (!chosen || !sigma)
        return kl_one(NULL);
    const double widths[2] = {sigma[0] + 1e-6, sigma[1] + 1e-6};
    kl_tensor *blurred =
        kl_image_gaussian_blur(in.x, s->args.kernel_size, widths, in.size.channels_first);
    kl_tensor *y = kl_op_where(chosen, blurred, in.x);
    return kl_image_end(&in, kl_op_clip(y, s->range[0], s->range[1]));
}

const kl_layer_vtable kl_random_gaussian_blur_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomGaussianBlur",
    .state_size = sizeof(blur_state),
    .args_size = sizeof(kl_random_gaussian_blur_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_gaussian_blur)
