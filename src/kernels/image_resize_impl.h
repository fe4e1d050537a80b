/* The loops of resizing, once for every instruction set: included by a source that defines
   KL_TABLE and is compiled with that set's flags. */
#include "kernels/image_load.h"
#include "kernels/image_resize_table.h"

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

static void blend(int64_t count, int64_t taps, const float *const *rows, const float *weights,
                  float *restrict out)
{
    if (taps == 1) {
        for (int64_t i = 0; i < count; i++)
            out[i] = weights[0] * rows[0][i];
        return;
    }
    const float *a = rows[0], *b = rows[1];
    for (int64_t i = 0; i < count; i++)
        out[i] = weights[0] * a[i] + weights[1] * b[i];
    for (int64_t t = 2; t < taps; t++) {
        a = rows[t];
        for (int64_t i = 0; i < count; i++)
            out[i] += weights[t] * a[i];
    }
}

static void lerp(int64_t count, const float *first, const float *second, float weight,
                 float *restrict out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = first[i] + (second[i] - first[i]) * weight;
}

const kl_resize_table KL_TABLE = {row_float, row_byte, blend, lerp};
