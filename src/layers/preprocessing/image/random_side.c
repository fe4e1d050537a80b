/* RandomHeight and RandomWidth of Keras 2.15: one side of the whole batch resized. */
#include "layers/preprocessing/image/sizes.h"
#include "objects/fields.h"

typedef struct side_state {
    kl_random_side_args args;
    double factor[2];
    kl_resize_method method;
} side_state;

#define ARGS kl_random_side_args
static const kl_field fields[] = {{"factor", KL_FIELD_FLOATS, offsetof(ARGS, factor),
                                   .doc = "by how much the side grows",
                                   .flags = KL_FIELD_REQUIRED | KL_FIELD_LONE},
                                  {"interpolation", KL_FIELD_STRING, offsetof(ARGS, interpolation),
                                   "bilinear", .doc = "how pixels between pixels are made",
                                   .choices = "bilinear|nearest|bicubic|area|lanczos3|lanczos5"},
                                  SEED_FIELD(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    side_state *s = kl_layer_state(self);
    kl_floats given = s->args.factor;
    if (given.count > 2)
        return kl_error(KL_ERROR_INVALID, "factor takes one number or two, got %zu", given.count);
    double a = kl_shortest_double(given.at[0]);
    s->factor[0] = given.count == 2 ? a : -a;
    s->factor[1] = given.count == 2 ? kl_shortest_double(given.at[1]) : a;
    if (s->factor[1] < s->factor[0])
        return kl_error(KL_ERROR_RANGE,
                        "the factor argument cannot have an upper bound less than the lower bound, "
                        "got (%g, %g)",
                        s->factor[0], s->factor[1]);
    if (s->factor[0] < -1 || s->factor[1] < -1)
        return kl_error(KL_ERROR_RANGE, "the factor argument must have values larger than -1");
    kl_resize_method_of(s->args.interpolation, &s->method);
    return KL_OK;
}

static kl_tensors side_call(const kl_layer *self, kl_context *ctx, kl_tensor *x, bool height)
{
    const side_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, x, NULL);
    const double *draw =
        in.x && kl_training(ctx) ? kl_image_draw(&in, 1, 1 + s->factor[0], 1 + s->factor[1]) : NULL;
    if (!draw)
        return kl_image_end(&in, in.x && kl_training(ctx) ? NULL : in.x);
    int64_t side = height ? in.size.height : in.size.width;
    side = (int64_t)((float)*draw * (float)side);
    const kl_resize_options options = {.height = height ? side : in.size.height,
                                       .width = height ? in.size.width : side,
                                       .method = s->method};
    kl_tensor *y = kl_op_resize(in.x, &options);
    return kl_image_end(&in, y ? kl_op_cast(y, self->compute_dtype) : NULL);
}

static kl_tensors height_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return side_call(self, ctx, in.at[0], true);
}

static kl_tensors width_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return side_call(self, ctx, in.at[0], false);
}

const kl_layer_vtable kl_random_height_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomHeight",
    .state_size = sizeof(side_state),
    .args_size = sizeof(kl_random_side_args),
    .fields = fields,
    .init = init,
    .call = height_call,
    .flags = KL_LAYER_RANDOM,
};

const kl_layer_vtable kl_random_width_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomWidth",
    .state_size = sizeof(side_state),
    .args_size = sizeof(kl_random_side_args),
    .fields = fields,
    .init = init,
    .call = width_call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_height)
KL_DEFINE_LAYER(kl_random_width)
