#include "layers/preprocessing/image/color.h"

#define ARGS kl_random_grayscale_args
static const kl_field fields[] = {{"factor", KL_FIELD_FLOAT, offsetof(ARGS, factor), "0.5",
                                   .doc = "how likely an image is greyed", .min = 0, .max = 1},
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const kl_random_grayscale_args *args = kl_layer_state(self);
    kl_tensor *x = inputs.at[0];
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_dtype dtype = (kl_dtype)x->dtype; /* integers stay so */
    kl_image_input in = kl_image_begin(self, x, args->data_format);
    const double *values = in.x ? kl_image_draw(&in, in.size.batch, 0, 1) : NULL;
    const double limit[2] = {args->factor, args->factor};
    const double *limits = in.x ? kl_image_draw(&in, in.size.batch, limit[0], limit[1]) : NULL;
    const int64_t shape[4] = {in.size.batch, 1, 1, 1};
    kl_tensor *gray = in.x ? kl_image_gray(&in) : NULL;
    if (!gray || !values || !limits)
        return kl_one(NULL);
    kl_tensor *chosen = kl_op_reshape(kl_image_below(&in, values, limits), 4, shape);
    kl_tensor *y = kl_op_where(kl_op_cast(chosen, KL_BOOL), gray, in.x);
    return kl_image_end(&in, kl_dtype_is_float(dtype) ? y : kl_op_cast(y, dtype));
}

const kl_layer_vtable kl_random_grayscale_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomGrayscale",
    .state_size = sizeof(kl_random_grayscale_args),
    .args_size = sizeof(kl_random_grayscale_args),
    .fields = fields,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_grayscale)
