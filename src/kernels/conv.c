#include "kernels/conv.h"

#include <stddef.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/conv_internal.h"

/* Whether the convolution is a product of pixels with one matrix. */
static bool is_pointwise(const kl_conv_shape *s)
{
    bool pointwise = s->groups == 1;
    for (int d = 0; d < 3; d++)
        pointwise = pointwise && s->kernel[d] == 1 && s->stride[d] == 1 && s->pad[d] == 0 &&
                    s->in[d] == s->out[d];
    return pointwise;
}

/* The product of the pixels in `a` with the matrix or, for the gradient, its transpose. */
static kl_gemm pointwise(const kl_conv_shape *s, bool gradient, const void *a, const void *w,
                         void *c)
{
    kl_gemm g = {.m = s->batch * s->in[0] * s->in[1] * s->in[2], .a = a, .b = w, .c = c};
    g.n = gradient ? s->in_channels : s->out_channels;
    g.k = gradient ? s->out_channels : s->in_channels;
    g.a_row = g.k;
    g.a_col = 1;
    g.b_row = gradient ? 1 : s->out_channels;
    g.b_col = gradient ? s->out_channels : 1;
    g.c_row = g.n;
    return g;
}

/*
 * A depthwise convolution of several outputs a channel is one of a single output a channel, on
 * channels repeated so often.
 */
static bool is_repeated(const kl_conv_shape *s)
{
    return s->groups > 1 && s->in_channels == s->groups && s->out_channels > s->groups;
}

static kl_conv_shape repeated(const kl_conv_shape *s)
{
    kl_conv_shape r = *s;
    r.in_channels = r.groups = s->out_channels;
    return r;
}

typedef struct repeat_job {
    const void *from;
    void *to;
    int64_t times;
    kl_split split;
} repeat_job;

#define DEFINE_REPEAT(T, name)                                                                     \
    static void repeat_##name(void *arg, int64_t chunk)                                            \
    {                                                                                              \
        const repeat_job *j = arg;                                                                 \
        const T *from = j->from;                                                                   \
        T *to = j->to;                                                                             \
        int64_t end = kl_split_begin(j->split, chunk + 1);                                         \
        for (int64_t i = kl_split_begin(j->split, chunk); i < end; i++)                            \
            for (int64_t r = 0; r < j->times; r++)                                                 \
                to[i * j->times + r] = from[i];                                                    \
    }                                                                                              \
    static void add_repeats_##name(void *arg, int64_t chunk)                                       \
    {                                                                                              \
        const repeat_job *j = arg;                                                                 \
        const T *from = j->from;                                                                   \
        T *to = j->to;                                                                             \
        int64_t end = kl_split_begin(j->split, chunk + 1);                                         \
        for (int64_t i = kl_split_begin(j->split, chunk); i < end; i++) {                          \
            T sum = from[i * j->times];                                                            \
            for (int64_t r = 1; r < j->times; r++)                                                 \
                sum += from[i * j->times + r];                                                     \
            to[i] = sum;                                                                           \
        }                                                                                          \
    }                                                                                              \
    /* The image with every channel repeated; x NULL: only room for it. */                         \
    static T *repeat_image_##name(const kl_conv_shape *s, const T *x)                              \
    {                                                                                              \
        int64_t count = s->batch * s->in[0] * s->in[1] * s->in[2];                                 \
        T *image = kl_block_alloc((size_t)(count * s->out_channels) * sizeof(T));                  \
        repeat_job j = {x, image, s->out_channels / s->groups,                                     \
                        kl_split_make(count * s->in_channels, 8192)};                              \
        if (image && x)                                                                            \
            kl_parallel_for(j.split.chunks, repeat_##name, &j);                                    \
        return image;                                                                              \
    }

DEFINE_REPEAT(float, f32)
DEFINE_REPEAT(double, f64)

#define DEFINE_CONV(T, name)                                                                       \
    bool kl_conv_##name(const kl_conv_shape *s, const T *x, const T *w, const T *bias,             \
                        kl_epilogue epilogue, T *y)                                                \
    {                                                                                              \
        if (is_pointwise(s)) {                                                                     \
            kl_gemm g = pointwise(s, false, x, w, y);                                              \
            g.bias = bias;                                                                         \
            g.epilogue = epilogue;                                                                 \
            return kl_gemm_##name(&g);                                                             \
        }                                                                                          \
        if (is_repeated(s)) {                                                                      \
            kl_conv_shape r = repeated(s);                                                         \
            T *image = repeat_image_##name(s, x);                                                  \
            bool done = image && kl_conv_forward_tiles(kl_tile_set_##name(), &r, image, w, bias,   \
                                                       epilogue, y);                               \
            kl_block_free(image);                                                                  \
            return done;                                                                           \
        }                                                                                          \
        return kl_conv_forward_tiles(kl_tile_set_##name(), s, x, w, bias, epilogue, y);            \
    }                                                                                              \
    bool kl_conv_input_grad_##name(const kl_conv_shape *s, const T *dy, const T *w, T *dx)         \
    {                                                                                              \
        if (is_pointwise(s)) {                                                                     \
            kl_gemm g = pointwise(s, true, dy, w, dx);                                             \
            return kl_gemm_##name(&g);                                                             \
        }                                                                                          \
        if (is_repeated(s)) {                                                                      \
            kl_conv_shape r = repeated(s);                                                         \
            T *image = repeat_image_##name(s, NULL);                                               \
            bool done = image && kl_conv_input_tiles(kl_tile_set_##name(), &r, dy, w, image);      \
            int64_t count = s->batch * s->in[0] * s->in[1] * s->in[2] * s->in_channels;            \
            repeat_job j = {image, dx, s->out_channels / s->groups, kl_split_make(count, 8192)};   \
            if (done)                                                                              \
                kl_parallel_for(j.split.chunks, add_repeats_##name, &j);                           \
            kl_block_free(image);                                                                  \
            return done;                                                                           \
        }                                                                                          \
        return kl_conv_input_tiles(kl_tile_set_##name(), s, dy, w, dx);                            \
    }                                                                                              \
    bool kl_conv_kernel_grad_##name(const kl_conv_shape *s, const T *x, const T *dy, T *dw)        \
    {                                                                                              \
        if (is_repeated(s)) {                                                                      \
            kl_conv_shape r = repeated(s);                                                         \
            T *image = repeat_image_##name(s, x);                                                  \
            bool done = image && kl_conv_kernel_tiles(kl_tile_set_##name(), &r, image, dy, dw);    \
            kl_block_free(image);                                                                  \
            return done;                                                                           \
        }                                                                                          \
        return kl_conv_kernel_tiles(kl_tile_set_##name(), s, x, dy, dw);                           \
    }

DEFINE_CONV(float, f32)
DEFINE_CONV(double, f64)
