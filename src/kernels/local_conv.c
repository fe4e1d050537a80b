#include "kernels/local_conv.h"

#include <stdatomic.h>
#include <string.h>

#include "base/thread_pool.h"
#include "kernels/conv_internal.h"

typedef enum local_map { FORWARD, INPUT_GRAD, KERNEL_GRAD } local_map;

typedef struct local_job {
    const kl_conv_shape *s;
    local_map map;
    size_t size; /* of an element */
    bool (*gemm)(const kl_gemm *g);
    char *x, *w, *y; /* two are read, the third is written */
    kl_split split;  /* of places or, for the input's gradient, of images */
    _Atomic bool failed;
} local_job;

/* The product of one row of taps at one place, for the images from `first` to `end`. */
static kl_gemm row_product(const local_job *j, int64_t first, int64_t end, int64_t image_at,
                           int64_t w_at, int64_t place, int64_t width)
{
    const kl_conv_shape *s = j->s;
    const int64_t image = s->in[0] * s->in[1] * s->in[2] * s->in_channels;
    const int64_t output = s->out[0] * s->out[1] * s->out[2] * s->out_channels;
    char *x = j->x + (size_t)(first * image + image_at) * j->size;
    char *w = j->w + (size_t)w_at * j->size;
    char *y = j->y + (size_t)(first * output + place * s->out_channels) * j->size;
    kl_gemm g = {.m = end - first, .n = s->out_channels, .k = width};
    switch (j->map) {
    case FORWARD:
        g.a = x, g.a_row = image, g.a_col = 1;
        g.b = w, g.b_row = s->out_channels, g.b_col = 1;
        g.c = y, g.c_row = output;
        break;
    case INPUT_GRAD:
        g.n = width, g.k = s->out_channels;
        g.a = y, g.a_row = output, g.a_col = 1;
        g.b = w, g.b_row = 1, g.b_col = s->out_channels;
        g.c = x, g.c_row = image;
        g.accumulate = true;
        break;
    default:
        g.m = width, g.k = end - first;
        g.a = x, g.a_row = 1, g.a_col = image;
        g.b = y, g.b_row = output, g.b_col = 1;
        g.c = w, g.c_row = s->out_channels;
        break;
    }
    return g;
}

/* All products of one place. The taps of a row lie together in image and kernel. */
static bool run_place(const local_job *j, int64_t place, int64_t first, int64_t end)
{
    const kl_conv_shape *s = j->s;
    const int64_t at[3] = {place / (s->out[1] * s->out[2]), place / s->out[2] % s->out[1],
                           place % s->out[2]};
    int64_t start[3], taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    for (int d = 0; d < 3; d++)
        start[d] = at[d] * s->stride[d] - s->pad[d];
    const int64_t from = kl_max64(0, -start[2]);
    const int64_t to = kl_min64(s->kernel[2], s->in[2] - start[2]);
    bool good = true, written = false;
    for (int64_t kd = 0; kd < s->kernel[0]; kd++)
        for (int64_t kh = 0; kh < s->kernel[1] && good; kh++) {
            const int64_t d = start[0] + kd, h = start[1] + kh;
            if (d < 0 || d >= s->in[0] || h < 0 || h >= s->in[1] || from >= to)
                continue;
            const int64_t image_at =
                ((d * s->in[1] + h) * s->in[2] + start[2] + from) * s->in_channels;
            const int64_t tap = place * taps + (kd * s->kernel[1] + kh) * s->kernel[2] + from;
            kl_gemm g = row_product(j, first, end, image_at, tap * s->in_channels * s->out_channels,
                                    place, (to - from) * s->in_channels);
            g.accumulate = g.accumulate || (j->map == FORWARD && written);
            good = j->gemm(&g);
            written = true;
        }
    return good;
}

/* Places write apart from each other but in the image, where their windows overlap: its gradient
   is split by images. */
static void local_chunk(void *arg, int64_t chunk)
{
    local_job *j = arg;
    const int64_t places = j->s->out[0] * j->s->out[1] * j->s->out[2];
    const int64_t begin = kl_split_begin(j->split, chunk);
    const int64_t end = kl_split_begin(j->split, chunk + 1);
    bool good = true;
    if (j->map == INPUT_GRAD)
        for (int64_t place = 0; place < places && good; place++)
            good = run_place(j, place, begin, end);
    else
        for (int64_t place = begin; place < end && good; place++)
            good = run_place(j, place, 0, j->s->batch);
    if (!good)
        j->failed = true;
}

static bool run(local_job *j)
{
    const kl_conv_shape *s = j->s;
    const int64_t places = s->out[0] * s->out[1] * s->out[2];
    const int64_t weights =
        s->kernel[0] * s->kernel[1] * s->kernel[2] * s->in_channels * s->out_channels;
    const int64_t image = s->in[0] * s->in[1] * s->in[2] * s->in_channels;
    if (j->map == INPUT_GRAD) {
        memset(j->x, 0, (size_t)(s->batch * image) * j->size);
        j->split = kl_split_make(s->batch, kl_max64(8, 1 + 65536 / (places * weights)));
    } else {
        /* Places without a tap in the image, and taps outside of it, write nothing. */
        if (j->map == KERNEL_GRAD)
            memset(j->w, 0, (size_t)(places * weights) * j->size);
        else
            memset(j->y, 0, (size_t)(s->batch * places * s->out_channels) * j->size);
        j->split = kl_split_make(places, 1 + 65536 / (1 + s->batch * weights));
    }
    kl_parallel_for(j->split.chunks, local_chunk, j);
    return !j->failed;
}

#define DEFINE_LOCAL(T, name)                                                                      \
    static bool run_##name(const kl_conv_shape *s, local_map map, const T *x, const T *w,          \
                           const T *y)                                                             \
    {                                                                                              \
        local_job j = {.s = s,                                                                     \
                       .map = map,                                                                 \
                       .size = sizeof(T),                                                          \
                       .gemm = kl_gemm_##name,                                                     \
                       .x = (char *)(uintptr_t)x,                                                  \
                       .w = (char *)(uintptr_t)w,                                                  \
                       .y = (char *)(uintptr_t)y};                                                 \
        return run(&j);                                                                            \
    }                                                                                              \
    bool kl_local_conv_##name(const kl_conv_shape *s, const T *x, const T *w, T *y)                \
    {                                                                                              \
        return run_##name(s, FORWARD, x, w, y);                                                    \
    }                                                                                              \
    bool kl_local_conv_input_grad_##name(const kl_conv_shape *s, const T *dy, const T *w, T *dx)   \
    {                                                                                              \
        return run_##name(s, INPUT_GRAD, dx, w, dy);                                               \
    }                                                                                              \
    bool kl_local_conv_kernel_grad_##name(const kl_conv_shape *s, const T *x, const T *dy, T *dw)  \
    {                                                                                              \
        return run_##name(s, KERNEL_GRAD, x, dw, dy);                                              \
    }

DEFINE_LOCAL(float, f32)
DEFINE_LOCAL(double, f64)
