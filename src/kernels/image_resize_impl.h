/* The loops of resizing, once for every instruction set: included by a source that defines
   KL_TABLE and is compiled with that set's flags. */
#include "kernels/image_load.h"
#include "kernels/image_resize_table.h"

/* One channel, twice as many outputs: two inputs each, weights that repeat. */
static int64_t doubled(const kl_resize_axis *a, const float *restrict in, float *restrict out)
{
    const int64_t from = a->regular_from, count = (a->regular_to - from) / 2;
    const float w0 = a->weights[2 * from + 1], w1 = a->weights[2 * from + 3];
    const float *p = in + a->start[from], *q = in + a->start[from + 1];
    float *to = out + from;
    for (int64_t k = 0; k < count; k++) {
        to[2 * k] = p[k] + (p[k + 1] - p[k]) * w0;
        to[2 * k + 1] = q[k] + (q[k + 1] - q[k]) * w1;
    }
    return a->regular_to;
}

/* The same with four inputs each. */
static int64_t doubled_cubic(const kl_resize_axis *a, const float *restrict in, float *restrict out)
{
    const int64_t from = a->regular_from, count = (a->regular_to - from) / 2;
    const float *w = a->weights + 4 * from, *p = in + a->start[from], *q = in + a->start[from + 1];
    const float u0 = w[0], u1 = w[1], u2 = w[2], u3 = w[3];
    const float v0 = w[4], v1 = w[5], v2 = w[6], v3 = w[7];
    float *to = out + from;
    for (int64_t k = 0; k < count; k++) {
        to[2 * k] = u0 * p[k] + u1 * p[k + 1] + u2 * p[k + 2] + u3 * p[k + 3];
        to[2 * k + 1] = v0 * q[k] + v1 * q[k + 1] + v2 * q[k + 2] + v3 * q[k + 3];
    }
    return a->regular_to;
}

/* One channel, half as many outputs: four inputs each. */
static int64_t halved(const kl_resize_axis *a, const float *restrict in, float *restrict out)
{
    const int64_t from = a->regular_from, count = a->regular_to - from;
    const float *w = a->weights + 4 * from, *p = in + a->start[from];
    const float w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3];
    for (int64_t k = 0; k < count; k++)
        out[from + k] = w0 * p[2 * k] + w1 * p[2 * k + 1] + w2 * p[2 * k + 2] + w3 * p[2 * k + 3];
    return a->regular_to;
}

static void one_channel(const kl_resize_axis *a, const float *in, float *out)
{
    for (int64_t x = 0; x < a->out; x++) {
        if (x == a->regular_from && x < a->regular_to) {
            if (a->doubles && a->lerp)
                x = doubled(a, in, out);
            else if (a->doubles && a->taps == 4)
                x = doubled_cubic(a, in, out);
            else if (a->halves && a->taps == 4)
                x = halved(a, in, out);
            if (x == a->out)
                break;
        }
        const float *w = a->weights + x * a->taps, *p = in + a->start[x];
        float sum = a->lerp ? p[0] + (p[1] - p[0]) * w[1] : w[0] * p[0];
        for (int64_t t = 1; t < a->taps && !a->lerp; t++)
            sum += w[t] * p[t];
        out[x] = sum;
    }
}

/* Many channels: whole vectors of them. */
static void many_channels(const kl_resize_axis *a, int64_t channels, const float *in,
                          float *restrict out)
{
    for (int64_t x = 0; x < a->out; x++, out += channels) {
        const float *w = a->weights + x * a->taps, *restrict p = in + a->start[x] * channels;
        int64_t t = 1;
        if (a->lerp) {
            for (int64_t c = 0; c < channels; c++)
                out[c] = p[c] + (p[channels + c] - p[c]) * w[1];
            continue;
        }
        if (a->taps >= 4) {
            const float *restrict q = p + 2 * channels;
            for (int64_t c = 0; c < channels; c++)
                out[c] =
                    w[0] * p[c] + w[1] * p[channels + c] + w[2] * q[c] + w[3] * q[channels + c];
            t = 4;
        } else {
            for (int64_t c = 0; c < channels; c++)
                out[c] = w[0] * p[c];
        }
        for (; t < a->taps; t++)
            for (int64_t c = 0; c < channels; c++)
                out[c] += w[t] * p[t * channels + c];
    }
}

/* Pixels of 3 channels are stored as four; the next one covers the fourth. */
#define DEFINE_ROW(name, IN, LOAD4)                                                                \
    static inline void single_##name(const kl_resize_axis *a, const IN *in, float *out)            \
    {                                                                                              \
        const int64_t taps = a->taps;                                                              \
        for (int64_t x = 0; x < a->out; x++) {                                                     \
            const float *w = a->weights + x * taps;                                                \
            const IN *p = in + a->start[x];                                                        \
            float sum = 0;                                                                         \
            for (int64_t t = 0; t < taps; t++)                                                     \
                sum += w[t] * (float)p[t];                                                         \
            out[x] = sum;                                                                          \
        }                                                                                          \
    }                                                                                              \
    static inline void pair_##name(const kl_resize_axis *a, const IN *restrict in,                 \
                                   float *restrict out)                                            \
    {                                                                                              \
        for (int64_t x = 0; x < a->out; x++) {                                                     \
            int32_t at = a->start[x];                                                              \
            float a0 = (float)in[at], a1 = (float)in[at + 1];                                      \
            out[x] = a0 + (a1 - a0) * a->weights[2 * x + 1];                                       \
        }                                                                                          \
    }                                                                                              \
    static inline void pixel_##name(const kl_resize_axis *a, int64_t channels, int64_t x,          \
                                    int64_t c, const IN *in, float *out)                           \
    {                                                                                              \
        for (; c < channels; c++) {                                                                \
            const IN *p = in + a->start[x] * channels + c;                                         \
            float sum = 0;                                                                         \
            if (a->lerp) {                                                                         \
                float first = (float)p[0], second = (float)p[channels];                            \
                out[x * channels + c] = first + (second - first) * a->weights[2 * x + 1];          \
                continue;                                                                          \
            }                                                                                      \
            for (int64_t t = 0; t < a->taps; t++)                                                  \
                sum += a->weights[x * a->taps + t] * (float)p[t * channels];                       \
            out[x * channels + c] = sum;                                                           \
        }                                                                                          \
    }                                                                                              \
    static void row_##name(const kl_resize_axis *a, int64_t channels, const void *row,             \
                           int64_t readable, float *out)                                           \
    {                                                                                              \
        const IN *in = row;                                                                        \
        const int64_t taps = a->taps;                                                              \
        if (channels == 1) {                                                                       \
            if (a->lerp)                                                                           \
                pair_##name(a, in, out);                                                           \
            else                                                                                   \
                single_##name(a, in, out);                                                         \
            return;                                                                                \
        }                                                                                          \
        for (int64_t x = 0; x < a->out; x++) {                                                     \
            const float *w = a->weights + x * taps;                                                \
            const IN *p = in + a->start[x] * channels;                                             \
            int64_t c = 0;                                                                         \
            bool spare = channels != 3 || x + 1 < a->out;                                          \
            if (spare && (a->start[x] + taps) * channels + 1 <= readable)                          \
                for (; c + 4 <= channels || (channels == 3 && c == 0); c += 4) {                   \
                    if (a->lerp) {                                                                 \
                        vec4 p0 = LOAD4(p + c), p1 = LOAD4(p + channels + c);                      \
                        *(vec4_at *)(void *)(out + x * channels + c) = p0 + (p1 - p0) * w[1];      \
                        continue;                                                                  \
                    }                                                                              \
                    vec4 sum = {0};                                                                \
                    for (int64_t t = 0; t < taps; t++)                                             \
                        sum += w[t] * LOAD4(p + t * channels + c);                                 \
                    *(vec4_at *)(void *)(out + x * channels + c) = sum;                            \
                }                                                                                  \
            pixel_##name(a, channels, x, c, in, out);                                              \
        }                                                                                          \
    }

DEFINE_ROW(float, float, load_floats)
DEFINE_ROW(byte, uint8_t, load_bytes)

static void row_any_float(const kl_resize_axis *a, int64_t channels, const void *row,
                          int64_t readable, float *out)
{
    if (channels == 1)
        one_channel(a, row, out);
    else if (channels >= 8)
        many_channels(a, channels, row, out);
    else
        row_float(a, channels, row, readable, out);
}

static void blend(int64_t count, int64_t taps, const float *const *rows, const float *weights,
                  float *restrict out)
{
    const float *w = weights, *restrict a = rows[0], *restrict b = rows[taps > 1];
    int64_t t = taps < 2 ? 1 : 2;
    if (taps == 1) {
        for (int64_t i = 0; i < count; i++)
            out[i] = w[0] * a[i];
    } else if (taps < 4) {
        for (int64_t i = 0; i < count; i++)
            out[i] = w[0] * a[i] + w[1] * b[i];
    } else {
        const float *restrict c = rows[2], *restrict d = rows[3];
        for (int64_t i = 0; i < count; i++)
            out[i] = w[0] * a[i] + w[1] * b[i] + w[2] * c[i] + w[3] * d[i];
        t = 4;
    }
    for (; t < taps; t++) {
        a = rows[t];
        for (int64_t i = 0; i < count; i++)
            out[i] += w[t] * a[i];
    }
}

static void lerp(int64_t count, const float *first, const float *second, float weight,
                 float *restrict out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = first[i] + (second[i] - first[i]) * weight;
}

const kl_resize_table KL_TABLE = {row_any_float, row_byte, blend, lerp};
