/* RandomTranslation, RandomRotation, RandomZoom and RandomShear: an affine map an image. */
#include <math.h>
#include <string.h>

#include "layers/preprocessing/image/image.h"

/* What the four are alike in, after their own arguments. */
typedef struct affine {
    kl_warp_options options;
    double x[2], y[2]; /* ranges of the draws */
    bool joined;       /* zoom: the width's draw is the height's */
} affine;

/* Fills map[8] of each image. */
typedef bool map_fn(const affine *a, const kl_image_input *in, float *maps);

static affine affine_of(const char *fill_mode, const char *interpolation, double fill_value,
                        const char *data_format)
{
    affine a = {.options = {.channels_first = kl_is_channels_first(data_format),
                            .nearest = !strcmp(interpolation, "nearest"),
                            .fill_value = (float)fill_value,
                            .as_float = true}};
    a.options.fill = kl_fill_mode_of(fill_mode);
    return a;
}

static kl_tensors affine_call(const kl_layer *self, kl_context *ctx, kl_tensor *x,
                              const char *data_format, const affine *a, map_fn *fill_maps)
{
    if (!kl_training(ctx))
        return kl_image_identity(self, x);
    kl_warp_options options = a->options;
    bool bytes = x->dtype == KL_UINT8 &&
                 (self->compute_dtype == KL_FLOAT32 || self->compute_dtype == KL_UINT8);
    options.as_float = self->compute_dtype != KL_UINT8;
    kl_image_input in =
        bytes ? kl_image_begin_raw(self, x, data_format) : kl_image_begin(self, x, data_format);
    const int64_t shape[2] = {in.size.batch, 8};
    kl_tensor *maps = in.x ? kl_empty(KL_FLOAT32, 2, shape) : NULL;
    if (!maps || (maps->buffer && !fill_maps(a, &in, (float *)(void *)maps->data)))
        return kl_one(NULL);
    return kl_image_end(&in, kl_op_image_warp(in.x, maps, NULL, &options));
}

static void set_map(float *map, float a0, float a1, float a2, float b0, float b1, float b2)
{
    const float all[8] = {a0, a1, a2, b0, b1, b2, 0, 0};
    memcpy(map, all, sizeof all);
}

/* ---- RandomTranslation ---- */

typedef struct translation_state {
    kl_random_translation_args args;
    affine affine;
} translation_state;

#define ARGS kl_random_translation_args
static const kl_field translation_fields[] = {
    {"height_factor", KL_FIELD_FLOATS, offsetof(ARGS, height_factor),
     .doc = "of the height, downward", .flags = KL_FIELD_REQUIRED | KL_FIELD_LONE},
    {"width_factor", KL_FIELD_FLOATS, offsetof(ARGS, width_factor),
     .doc = "of the width, rightward", .flags = KL_FIELD_REQUIRED | KL_FIELD_LONE},
    FILL_MODE_FIELD(ARGS),
    INTERPOLATION_FIELD(ARGS),
    SEED_FIELD(ARGS),
    FILL_VALUE_FIELD(ARGS),
    IMAGE_FIELDS(ARGS),
    {0}};
#undef ARGS

static kl_status translation_init(void *self)
{
    translation_state *s = kl_layer_state(self);
    const kl_random_translation_args *a = &s->args;
    s->affine = affine_of(a->fill_mode, a->interpolation, a->fill_value, a->data_format);
    kl_status status =
        kl_factor_range("height_factor", a->height_factor, KL_FACTOR_SYMMETRIC, -1, 1, s->affine.y);
    return status ? status
                  : kl_factor_range("width_factor", a->width_factor, KL_FACTOR_SYMMETRIC, -1, 1,
                                    s->affine.x);
}

static bool translation_maps(const affine *a, const kl_image_input *in, float *maps)
{
    const double *down = kl_image_draw(in, in->size.batch, a->y[0], a->y[1]);
    const double *right = kl_image_draw(in, in->size.batch, a->x[0], a->x[1]);
    if (!down || !right)
        return false;
    for (int64_t i = 0; i < in->size.batch; i++)
        set_map(maps + 8 * i, 1, 0, -((float)right[i] * (float)in->size.width), 0, 1,
                -((float)down[i] * (float)in->size.height));
    return true;
}

static kl_tensors translation_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const translation_state *s = kl_layer_state(self);
    return affine_call(self, ctx, in.at[0], s->args.data_format, &s->affine, translation_maps);
}

const kl_layer_vtable kl_random_translation_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomTranslation",
    .state_size = sizeof(translation_state),
    .args_size = sizeof(kl_random_translation_args),
    .fields = translation_fields,
    .init = translation_init,
    .call = translation_call,
    .flags = KL_LAYER_RANDOM,
};
KL_DEFINE_LAYER(kl_random_translation)

/* ---- RandomRotation ---- */

typedef struct rotation_state {
    kl_random_rotation_args args;
    affine affine;
} rotation_state;

#define ARGS kl_random_rotation_args
static const kl_field rotation_fields[] = {{"factor", KL_FIELD_FLOATS, offsetof(ARGS, factor),
                                            .doc = "of a full turn, anticlockwise",
                                            .flags = KL_FIELD_REQUIRED | KL_FIELD_LONE},
                                           FILL_MODE_FIELD(ARGS),
                                           INTERPOLATION_FIELD(ARGS),
                                           SEED_FIELD(ARGS),
                                           FILL_VALUE_FIELD(ARGS),
                                           IMAGE_FIELDS(ARGS),
                                           {0}};
#undef ARGS

static kl_status rotation_init(void *self)
{
    rotation_state *s = kl_layer_state(self);
    kl_random_rotation_args *a = &s->args;
    s->affine = affine_of(a->fill_mode, a->interpolation, a->fill_value, a->data_format);
    return kl_factor_resolve("factor", &a->factor, KL_FACTOR_BASE, -1, 1, s->affine.x);
}

/* Around the image's middle; in float throughout, as Keras computes it. */
static bool rotation_maps(const affine *a, const kl_image_input *in, float *maps)
{
    const double *degrees = kl_image_draw(in, in->size.batch, a->x[0] * 360, a->x[1] * 360);
    if (!degrees)
        return false;
    const float to_radians = (float)(acos(-1.0) / 180);
    const float cx = 0.5F * (float)(in->size.width - 1), cy = 0.5F * (float)(in->size.height - 1);
    for (int64_t i = 0; i < in->size.batch; i++) {
        float angle = (float)degrees[i] * to_radians;
        float cosine = cosf(angle), sine = sinf(angle);
        set_map(maps + 8 * i, cosine, -sine, cx - cx * cosine - cy * -sine, sine, cosine,
                cy - cx * sine - cy * cosine);
    }
    return true;
}

static kl_tensors rotation_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const rotation_state *s = kl_layer_state(self);
    return affine_call(self, ctx, in.at[0], s->args.data_format, &s->affine, rotation_maps);
}

const kl_layer_vtable kl_random_rotation_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomRotation",
    .state_size = sizeof(rotation_state),
    .args_size = sizeof(kl_random_rotation_args),
    .fields = rotation_fields,
    .init = rotation_init,
    .call = rotation_call,
    .flags = KL_LAYER_RANDOM,
};
KL_DEFINE_LAYER(kl_random_rotation)

/* ---- RandomZoom ---- */

typedef struct zoom_state {
    kl_random_zoom_args args;
    affine affine;
} zoom_state;

#define ARGS kl_random_zoom_args
static const kl_field zoom_fields[] = {
    {"height_factor", KL_FIELD_FLOATS, offsetof(ARGS, height_factor),
     .doc = "of the height; above 0 zooms out", .flags = KL_FIELD_REQUIRED | KL_FIELD_LONE},
    {"width_factor", KL_FIELD_FLOATS, offsetof(ARGS, width_factor),
     .doc = "of the width; None: the height's draw", .flags = KL_FIELD_OPTIONAL | KL_FIELD_LONE},
    FILL_MODE_FIELD(ARGS),
    INTERPOLATION_FIELD(ARGS),
    SEED_FIELD(ARGS),
    FILL_VALUE_FIELD(ARGS),
    IMAGE_FIELDS(ARGS),
    {0}};
#undef ARGS

static kl_status zoom_init(void *self)
{
    zoom_state *s = kl_layer_state(self);
    const kl_random_zoom_args *a = &s->args;
    const double least = nextafter(-1, 0); /* -1 itself is left out */
    s->affine = affine_of(a->fill_mode, a->interpolation, a->fill_value, a->data_format);
    s->affine.joined = !a->width_factor.at;
    kl_status status = kl_factor_range("height_factor", a->height_factor, KL_FACTOR_SYMMETRIC,
                                       least, 1, s->affine.y);
    return status ? status
                  : kl_factor_range("width_factor", a->width_factor, KL_FACTOR_SYMMETRIC, least, 1,
                                    s->affine.x);
}

static bool zoom_maps(const affine *a, const kl_image_input *in, float *maps)
{
    const double *tall = kl_image_draw(in, in->size.batch, 1 + a->y[0], 1 + a->y[1]);
    const double *wide =
        a->joined ? tall : kl_image_draw(in, in->size.batch, 1 + a->x[0], 1 + a->x[1]);
    if (!tall || !wide)
        return false;
    for (int64_t i = 0; i < in->size.batch; i++) {
        float x = (float)wide[i], y = (float)tall[i];
        set_map(maps + 8 * i, x, 0, ((float)in->size.width - 1) / 2 * (1 - x), 0, y,
                ((float)in->size.height - 1) / 2 * (1 - y));
    }
    return true;
}

static kl_tensors zoom_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const zoom_state *s = kl_layer_state(self);
    return affine_call(self, ctx, in.at[0], s->args.data_format, &s->affine, zoom_maps);
}

const kl_layer_vtable kl_random_zoom_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomZoom",
    .state_size = sizeof(zoom_state),
    .args_size = sizeof(kl_random_zoom_args),
    .fields = zoom_fields,
    .init = zoom_init,
    .call = zoom_call,
    .flags = KL_LAYER_RANDOM,
};
KL_DEFINE_LAYER(kl_random_zoom)

/* ---- RandomShear ---- */

typedef struct shear_state {
    kl_random_shear_args args;
    affine affine;
} shear_state;

#define ARGS kl_random_shear_args
static const kl_field shear_fields[] = {FACTOR_FIELD(ARGS, x_factor), FACTOR_FIELD(ARGS, y_factor),
                                        INTERPOLATION_FIELD(ARGS),    FILL_MODE_FIELD(ARGS),
                                        FILL_VALUE_FIELD(ARGS),       SEED_FIELD(ARGS),
                                        IMAGE_FIELDS(ARGS),           {0}};
#undef ARGS

/* One number stays one: Keras writes the range that it makes, whose lower end it then refuses to
   read. Such a range is one number again. */
static kl_status shear_range(const char *name, kl_floats *given, double range[2])
{
    const double zero = 0;
    kl_status status = KL_OK;
    if (!given->count)
        status = kl_floats_set(given, 1, &zero);
    else if (given->count == 2 && given->at[0] < 0 && given->at[0] == -given->at[1])
        status = kl_floats_set(given, 1, &(double){(double)given->at[1]});
    return status ? status : kl_factor_range(name, *given, KL_FACTOR_SYMMETRIC, 0, 1, range);
}

static kl_status shear_init(void *self)
{
    shear_state *s = kl_layer_state(self);
    kl_random_shear_args *a = &s->args;
    s->affine = affine_of(a->fill_mode, a->interpolation, a->fill_value, a->data_format);
    kl_status status = shear_range("x_factor", &a->x_factor, s->affine.x);
    return status ? status : shear_range("y_factor", &a->y_factor, s->affine.y);
}

static bool shear_maps(const affine *a, const kl_image_input *in, float *maps)
{
    const double *side = kl_image_draw(in, in->size.batch, 0, 1);
    const double *y = kl_image_draw(in, in->size.batch, a->y[0], a->y[1]);
    const double *x = kl_image_draw(in, in->size.batch, a->x[0], a->x[1]);
    if (!side || !y || !x)
        return false;
    for (int64_t i = 0; i < in->size.batch; i++) {
        float sign = side[i] > 0.5 ? -1 : 1;
        set_map(maps + 8 * i, 1, (float)x[i] * sign, 0, (float)y[i] * sign, 1, 0);
    }
    return true;
}

static kl_tensors shear_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const shear_state *s = kl_layer_state(self);
    return affine_call(self, ctx, in.at[0], s->args.data_format, &s->affine, shear_maps);
}

const kl_layer_vtable kl_random_shear_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomShear",
    .state_size = sizeof(shear_state),
    .args_size = sizeof(kl_random_shear_args),
    .fields = shear_fields,
    .init = shear_init,
    .call = shear_call,
    .flags = KL_LAYER_RANDOM,
};
KL_DEFINE_LAYER(kl_random_shear)
