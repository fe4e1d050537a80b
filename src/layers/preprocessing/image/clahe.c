#include "kernels/image_color.h"
#include "layers/preprocessing/image/color.h"

typedef struct clahe_state {
    kl_contrast_limited_adaptive_histogram_equalization_args args;
    double range[2];
} clahe_state;

#define ARGS kl_contrast_limited_adaptive_histogram_equalization_args
static const kl_field fields[] = {VALUE_RANGE_FIELD(ARGS),
                                  {"clip_limit", KL_FIELD_FLOAT, offsetof(ARGS, clip_limit), "4",
                                   .doc = "the most a bin may have, in means; 0: any"},
                                  {"tile_grid_size", KL_FIELD_DIMS, offsetof(ARGS, tile_grid_size),
                                   "8, 8", .doc = "tiles along height and width", .min = 1,
                                   .max = 65536, .count = 2},
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    clahe_state *s = kl_layer_state(self);
    return kl_value_range(&s->args.value_range, false, s->range);
}

static kl_tensor *run(const kl_image_input *in, const clahe_state *s, kl_tensor *x)
{
    const int64_t *grid = s->args.tile_grid_size;
    kl_images size = in->size;
    size.channels_first = false;
    const int64_t tables[5] = {size.batch, grid[0], grid[1], size.channels, 256};
    x = kl_image_pack(kl_op_cast(x, KL_FLOAT32));
    kl_tensor *out = x ? kl_empty(KL_FLOAT32, 4, x->shape) : NULL;
    kl_tensor *table = out && in->real ? kl_empty(KL_FLOAT32, 5, tables) : NULL;
    if (table && table->buffer && x->size)
        kl_clahe(&size, grid, (float)s->args.clip_limit, (float *)(void *)table->data,
                 (const float *)(const void *)x->data, (float *)(void *)out->data);
    return in->real && !table ? NULL : out;
}

/* Also at inference, as in Keras; integers stay so. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    static const double bytes[2] = {0, 255};
    const clahe_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin_raw(self, inputs.at[0], s->args.data_format);
    if (!in.x)
        return kl_one(NULL);
    kl_tensor *x = in.size.channels_first ? kl_op_move_axis(in.x, 1, 3) : in.x;
    kl_tensor *y = x ? kl_image_rescale(x, s->range, bytes) : NULL;
    y = y ? run(&in, s, y) : NULL;
    y = y ? kl_op_cast(kl_image_rescale(y, bytes, s->range), (kl_dtype)in.x->dtype) : NULL;
    if (y && in.size.channels_first)
        y = kl_op_move_axis(y, 3, 1);
    return kl_image_end(&in, y);
}

const kl_layer_vtable kl_contrast_limited_adaptive_histogram_equalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ContrastLimitedAdaptiveHistogramEqualization",
    .state_size = sizeof(clahe_state),
    .args_size = sizeof(kl_contrast_limited_adaptive_histogram_equalization_args),
    .fields = fields,
    .init = init,
    .call = call,

};

KL_DEFINE_LAYER(kl_contrast_limited_adaptive_histogram_equalization)
