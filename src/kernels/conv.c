#include "kernels/conv.h"

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
        return kl_conv_forward_tiles(kl_tile_set_##name(), s, x, w, bias, epilogue, y);            \
    }                                                                                              \
    bool kl_conv_input_grad_##name(const kl_conv_shape *s, const T *dy, const T *w, T *dx)         \
    {                                                                                              \
        if (is_pointwise(s)) {                                                                     \
            kl_gemm g = pointwise(s, true, dy, w, dx);                                             \
            return kl_gemm_##name(&g);                                                             \
        }                                                                                          \
        return kl_conv_input_tiles(kl_tile_set_##name(), s, dy, w, dx);                            \
    }                                                                                              \
    bool kl_conv_kernel_grad_##name(const kl_conv_shape *s, const T *x, const T *dy, T *dw)        \
    {                                                                                              \
        return kl_conv_kernel_tiles(kl_tile_set_##name(), s, x, dy, dw);                           \
    }

DEFINE_CONV(float, f32)
DEFINE_CONV(double, f64)
