#include "kernels/image_color.h"
#include "layers/preprocessing/image/color.h"

typedef struct equalization_state {
    kl_equalization_args args;
    double range[2];
} equalization_state;

#define ARGS kl_equalization_args
static const kl_field fields[] = {VALUE_RANGE_FIELD(ARGS),
                                  {"bins", KL_FIELD_INT, offsetof(ARGS, bins), "256",
                                   .doc = "of the histogram", .min = 1, .max = 1 << 24},
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    equalization_state *s = kl_layer_state(self);
    return kl_value_range(&s->args.value_range, true, s->range);
}

/* From one range to another by scale and offset, rounded as Keras's layer does. */
static kl_tensor *scaled(kl_tensor *x, const double from[2], const double to[2])
{
    double scale = (to[1] - to[0]) / (from[1] - from[0]);
    if (scale == 1 && from[0] == to[0])
        return x;
    return kl_op_add_scalar(kl_op_mul_scalar(x, scale), to[0] - from[0] * scale);
}

static kl_tensor *equalize(const kl_image_input *in, kl_tensor *x, int64_t bins)
{
    x = kl_image_pack(x);
    size_t room = (size_t)(in->size.channels * bins + 1);
    int64_t *counts = kl_scope_alloc(room * sizeof *counts);
    double *table = kl_scope_alloc(room * sizeof *table);
    kl_tensor *out = x && counts && table ? kl_empty((kl_dtype)x->dtype, 4, x->shape) : NULL;
    if (out && out->buffer && in->real)
        kl_equalize(&in->size, x->dtype == KL_FLOAT64, bins, counts, table, x->data, out->data);
    return out;
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    static const double bytes[2] = {0, 255};
    const equalization_state *s = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    kl_tensor *y = in.x ? scaled(in.x, s->range, bytes) : NULL;
    y = y ? equalize(&in, y, s->args.bins) : NULL;
    y = y ? scaled(y, bytes, s->range) : NULL;
    return kl_image_end(&in, y ? kl_op_cast(y, self->compute_dtype) : NULL);
}

const kl_layer_vtable kl_equalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Equalization",
    .state_size = sizeof(equalization_state),
    .args_size = sizeof(kl_equalization_args),
    .fields = fields,
    .init = init,
    .call = call,

};

KL_DEFINE_LAYER(kl_equalization)
