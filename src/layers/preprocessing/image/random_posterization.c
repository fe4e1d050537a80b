#include "kernels/image_color.h"
#include "layers/preprocessing/image/color.h"

typedef struct posterization_state {
    kl_random_posterization_args args;
    int64_t low, high; /* bits that are kept: low to high - 1 */
    double range[2];
} posterization_state;

#define ARGS kl_random_posterization_args
static const kl_field fields[] = {{"factor", KL_FIELD_INTS, offsetof(ARGS, factor),
                                   .doc = "how many bits are kept, or fewest and most",
                                   .flags = KL_FIELD_REQUIRED},
                                  VALUE_RANGE_FIELD(ARGS),
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    posterization_state *s = kl_layer_state(self);
    kl_ints given = s->args.factor;
    int64_t a = given.at[0], b = given.count > 1 ? given.at[1] : a;
    if (given.count > 2 || (given.count == 2 ? a > 8 || b < 1 : a < 1 || a > 8))
        return kl_error(KL_ERROR_RANGE,
                        "the factor argument should be a number (or a list of two numbers) in the "
                        "range [1, 8], got %lld",
                        (long long)(a < 1 || a > 8 ? a : b));
    s->low = given.count == 2 ? a < b ? a : b : 1;
    s->high = a < b ? b : a;
    if (s->low < 0 || s->high > 8)
        return kl_error(KL_ERROR_RANGE, "the factor argument keeps 0 to 8 bits, got %lld to %lld",
                        (long long)s->low, (long long)s->high);
    kl_status status = kl_ints_set_pair(&s->args.factor, s->low, s->high);
    return status ? status : kl_value_range(&s->args.value_range, true, s->range);
}

static kl_tensor *posterize(const kl_image_input *in, kl_tensor *x, int64_t low, int64_t high)
{
    uint8_t *shifts = kl_scope_alloc((size_t)in->size.batch + 1);
    const double *bits = kl_image_draw(in, in->size.batch, (double)low, (double)high);
    x = kl_image_pack(x);
    kl_tensor *out = x && shifts && bits ? kl_empty((kl_dtype)x->dtype, 4, x->shape) : NULL;
    if (!out || !out->buffer || !in->real)
        return out;
    for (int64_t i = 0; i < in->size.batch; i++)
        shifts[i] = (uint8_t)(8 - (int)bits[i]);
    kl_posterize(&in->size, x->dtype == KL_FLOAT64, shifts, x->data, out->data);
    return out;
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    static const double bytes[2] = {0, 255};
    const posterization_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    kl_tensor *y = in.x ? kl_image_rescale(in.x, s->range, bytes) : NULL;
    y = y ? posterize(&in, y, s->low, s->high) : NULL;
    y = y ? kl_image_rescale(y, bytes, s->range) : NULL;
    return kl_image_end(&in, y ? kl_op_cast(y, self->compute_dtype) : NULL);
}

const kl_layer_vtable kl_random_posterization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomPosterization",
    .state_size = sizeof(posterization_state),
    .args_size = sizeof(kl_random_posterization_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_posterization)
