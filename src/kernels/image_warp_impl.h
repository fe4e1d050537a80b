/*
 * Rows of image transforms, once for every instruction set: included by a source that defines
 * KL_TABLE, the name of its table, and is compiled with that set's flags, without contraction to
 * fused operations: where a pixel is read from must not depend on the instruction set.
 *
 * A row goes in blocks: first where each pixel is read from, in vectors along the row; then the
 * pixels, in vectors along the channels, or along the row where channels lie apart.
 */
#include "kernels/image_load.h"
#include "kernels/image_warp_table.h"

#define BLOCK 64

/* Where the pixels of a block are read from: the upper left of the four and the weights of the
   others. x and y are positions in steps of one pixel. */
typedef struct block {
    float x[BLOCK], y[BLOCK];
    int32_t left[BLOCK], top[BLOCK];
    float right[BLOCK], below[BLOCK]; /* weights */
    uint8_t lost[BLOCK];              /* at infinity: the fill value */
    bool any_lost, any_outside;
} block;

/* Beyond this a float has no fraction left, and int32 is near its end. */
#define FAR 1e9F

static inline float within_far(float v)
{
    v = v > -FAR ? v : -FAR;
    return v < FAR ? v : FAR;
}

static void affine_positions(const float *map, float row, int64_t from, int count, block *b)
{
    for (int i = 0; i < count; i++) {
        float x = (float)(from + i);
        b->x[i] = within_far(map[0] * x + map[1] * row + map[2]);
        b->y[i] = within_far(map[3] * x + map[4] * row + map[5]);
    }
    b->any_lost = false;
}

static void projective_positions(const float *map, float row, int64_t from, int count, block *b)
{
    unsigned lost = 0;
    for (int i = 0; i < count; i++) {
        float x = (float)(from + i);
        float p = map[6] * x + map[7] * row + 1.F;
        b->x[i] = within_far((map[0] * x + map[1] * row + map[2]) / p);
        b->y[i] = within_far((map[3] * x + map[4] * row + map[5]) / p);
        b->lost[i] = p == 0.F;
        lost |= b->lost[i];
    }
    b->any_lost = lost;
}

/* TensorFlow's MapCoordinate. */
static void reflect_positions(float *at, int count, int32_t length)
{
    float last = (float)(length - 1), size = (float)length;
    int32_t period = 2 * length;
    float whole = (float)period;
    for (int i = 0; i < count; i++) {
        float v = at[i];
        float low = (float)(period * (int32_t)(-v / whole)) + v;
        low = low < -size ? low + whole : -low - 1.F;
        float high = v - (float)(period * (int32_t)(v / whole));
        high = high >= size ? whole - high - 1.F : high;
        float r = v < 0.F ? low : v > last ? high : v;
        r = r > 0.F ? r : 0.F;
        at[i] = r < last ? r : last;
    }
}

static void wrap_positions(float *at, int count, int32_t length)
{
    float last = (float)(length - 1), steps = length > 1 ? last : 1.F;
    for (int i = 0; i < count; i++) {
        float v = at[i];
        float low = v + (float)length * (float)((int32_t)(-v / steps) + 1);
        float high = v - (float)length * (float)(int32_t)(v / steps);
        float r = v < 0.F ? low : v > last ? high : v;
        r = r > 0.F ? r : 0.F;
        at[i] = r < last ? r : last;
    }
}

static void clamp_positions(float *at, int count, int32_t length)
{
    float last = (float)(length - 1);
    for (int i = 0; i < count; i++) {
        float r = at[i] > 0.F ? at[i] : 0.F;
        at[i] = r < last ? r : last;
    }
}

static void fold_positions(kl_fill_mode fill, float *at, int count, int32_t length)
{
    if (fill == KL_FILL_REFLECT)
        reflect_positions(at, count, length);
    else if (fill == KL_FILL_WRAP)
        wrap_positions(at, count, length);
    else if (fill == KL_FILL_NEAREST)
        clamp_positions(at, count, length);
}

/* Positions to the first of two neighbours and the weight of the second. Where the second would be
   beyond the end with weight 0, the pair is moved back by one. */
static bool pair_positions(const float *at, int count, int32_t length, bool inside, int32_t *first,
                           float *weight)
{
    int32_t limit = length > 1 ? length - 2 : 0, outside = 0;
    for (int i = 0; i < count; i++) {
        int32_t f = (int32_t)at[i];
        f -= (float)f > at[i];
        if (inside)
            f = f < limit ? f : limit;
        outside |= f | (limit - f);
        first[i] = f;
        weight[i] = at[i] - (float)f;
    }
    return outside < 0;
}

/* Positions to the pixel that they round to, halves away from zero. */
static bool round_positions(const float *at, int count, int32_t length, int32_t *first)
{
    int32_t outside = 0;
    for (int i = 0; i < count; i++) {
        int32_t f = (int32_t)at[i];
        float rest = at[i] - (float)f;
        f += (rest >= 0.5F) - (rest <= -0.5F);
        outside |= f | (length - 1 - f);
        first[i] = f;
    }
    return outside < 0;
}

static void place_block(const kl_warp *w, const float *map, int64_t row, int64_t from, int count,
                        block *b)
{
    int32_t height = (int32_t)w->images.height, width = (int32_t)w->images.width;
    if (map[6] == 0.F && map[7] == 0.F)
        affine_positions(map, (float)row, from, count, b);
    else
        projective_positions(map, (float)row, from, count, b);
    fold_positions(w->fill, b->x, count, width);
    fold_positions(w->fill, b->y, count, height);
    bool inside = w->fill != KL_FILL_CONSTANT;
    if (w->nearest) {
        b->any_outside = round_positions(b->x, count, width, b->left);
        b->any_outside |= round_positions(b->y, count, height, b->top);
    } else {
        b->any_outside = pair_positions(b->x, count, width, inside, b->left, b->right);
        b->any_outside |= pair_positions(b->y, count, height, inside, b->top, b->below);
    }
}

#define IN          float
#define OUT         float
#define MATH        float
#define TYPED(name) name##_float
#define LOAD4       load_floats
#define HAVE_VEC4_STORE
#define HAVE_GRAD
#include "kernels/image_warp_type.h"

#define IN          uint8_t
#define OUT         float
#define MATH        float
#define TYPED(name) name##_byte_float
#define LOAD4       load_bytes
#define HAVE_VEC4_STORE
#include "kernels/image_warp_type.h"

#define IN          double
#define OUT         double
#define MATH        double
#define TYPED(name) name##_double
#define HAVE_GRAD
#include "kernels/image_warp_type.h"

#define IN          uint8_t
#define OUT         uint8_t
#define MATH        float
#define TYPED(name) name##_byte
#include "kernels/image_warp_type.h"

const kl_warp_table KL_TABLE = {
    .rows = {row_float, row_double, row_byte, row_byte_float},
    .grads = {row_grad_float, row_grad_double},
};
