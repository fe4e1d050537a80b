#include <math.h>
#include <string.h>

#include "layers/preprocessing/image/image.h"

typedef struct perspective_state {
    kl_random_perspective_args args;
    double factor[2];
} perspective_state;

#define ARGS kl_random_perspective_args
static const kl_field random_perspective_fields[] = {
    FACTOR_FIELD(ARGS, factor),
    {"scale", KL_FIELD_FLOAT, offsetof(ARGS, scale), "1", .doc = "how far corners move", .min = 0,
     .max = 1},
    INTERPOLATION_FIELD(ARGS),
    FILL_VALUE_FIELD(ARGS),
    SEED_FIELD(ARGS),
    IMAGE_FIELDS(ARGS),
    {0}};
#undef ARGS

static kl_status random_perspective_init(void *self)
{
    perspective_state *s = kl_layer_state(self);
    return kl_probability("factor", &s->args.factor, s->factor);
}

/* Solves the 8 equations by elimination with pivoting; false if they have no solution. */
static bool solve(double a[8][9], float *map)
{
    for (int k = 0; k < 8; k++) {
        int pivot = k;
        for (int i = k + 1; i < 8; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k]))
                pivot = i;
        if (a[pivot][k] == 0)
            return false;
        for (int j = 0; j < 9; j++) {
            double t = a[k][j];
            a[k][j] = a[pivot][j];
            a[pivot][j] = t;
        }
        for (int i = k + 1; i < 8; i++) {
            double ratio = a[i][k] / a[k][k];
            for (int j = k; j < 9; j++)
                a[i][j] -= ratio * a[k][j];
        }
    }
    double x[8];
    for (int k = 7; k >= 0; k--) {
        x[k] = a[k][8];
        for (int j = k + 1; j < 8; j++)
            x[k] -= a[k][j] * x[j];
        x[k] /= a[k][k];
        map[k] = (float)x[k];
    }
    return true;
}

/* The projective map that takes each end point to its start point. */
static bool homography(float start[4][2], float end[4][2], float *map)
{
    double a[8][9];
    for (int i = 0; i < 4; i++) {
        double sx = start[i][0], sy = start[i][1], ex = end[i][0], ey = end[i][1];
        const double first[9] = {ex, ey, 1, 0, 0, 0, -sx * ex, -sx * ey, sx};
        const double second[9] = {0, 0, 0, ex, ey, 1, -sy * ex, -sy * ey, sy};
        memcpy(a[2 * i], first, sizeof first);
        memcpy(a[2 * i + 1], second, sizeof second);
    }
    return solve(a, map);
}

/* Corners move by a draw's part of their own coordinates, so the one at the origin stays. */
static bool perspective_maps(const perspective_state *s, const kl_image_input *in, float *maps)
{
    const float right = (float)(in->size.width - 1), bottom = (float)(in->size.height - 1);
    float start[4][2] = {{0, 0}, {right, 0}, {0, bottom}, {right, bottom}};
    const double *moves =
        kl_image_draw(in, 8 * in->size.batch, -0.5 * s->args.scale, 0.5 * s->args.scale);
    if (!moves)
        return false;
    for (int64_t i = 0; i < in->size.batch; i++) {
        float end[4][2];
        for (int k = 0; k < 8; k++)
            end[k / 2][k % 2] = start[k / 2][k % 2] + start[k / 2][k % 2] * (float)moves[8 * i + k];
        if (!homography(start, end, maps + 8 * i)) {
            kl_error(KL_ERROR_INVALID,
                     "the corners of an image of %lld x %lld pixels don't make a perspective",
                     (long long)in->size.height, (long long)in->size.width);
            return false;
        }
    }
    return true;
}

static kl_tensors random_perspective_call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const perspective_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    const double *limits = kl_image_draw(&in, in.size.batch, s->factor[0], s->factor[1]);
    const double *values = kl_image_draw(&in, in.size.batch, 0, 1);
    /* What is drawn below its limit moves; the rest is kept. */
    kl_tensor *keep = kl_image_not_below(&in, values, limits);
    const int64_t shape[2] = {in.size.batch, 8};
    kl_tensor *maps = kl_empty(KL_FLOAT32, 2, shape);
    if (!keep || !maps)
        return kl_one(NULL);
    if (maps->buffer && !perspective_maps(s, &in, (float *)(void *)maps->data))
        return kl_one(NULL);
    kl_warp_options options = {.channels_first = in.size.channels_first,
                               .nearest = !strcmp(s->args.interpolation, "nearest"),
                               .fill = KL_FILL_CONSTANT,
                               .fill_value = (float)s->args.fill_value};
    return kl_image_end(&in, kl_op_image_warp(in.x, maps, keep, &options));
}

const kl_layer_vtable kl_random_perspective_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomPerspective",
    .state_size = sizeof(perspective_state),
    .args_size = sizeof(kl_random_perspective_args),
    .fields = random_perspective_fields,
    .init = random_perspective_init,
    .call = random_perspective_call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_perspective)
