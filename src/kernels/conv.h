/*
 * Convolutions on raw memory, channels last, over up to three spatial axes: with fewer axes the
 * leading ones have size, kernel, stride and dilation 1 and padding 0.
 *   x  [batch, in[0], in[1], in[2], in_channels]
 *   w  [kernel[0], kernel[1], kernel[2], in_channels / groups, out_channels]
 *   y  [batch, out[0], out[1], out[2], out_channels]
 *   y[n, o, c] = sum over taps k and channels i of its group of
 *                x[n, o * stride + k * dilation - pad, i] * w[k, i, c]
 * with zero outside of x. The caller states `out`, which may also leave input unused at the end or
 * read past it (padding after). A depthwise convolution is one with groups == in_channels, its
 * output channels being grouped by input channel.
 * Results are the same bit for bit on any number of threads.
 */
#ifndef KL_KERNELS_CONV_H
#define KL_KERNELS_CONV_H

#include "kernels/gemm.h"

typedef struct kl_conv_shape {
    int64_t batch;
    int64_t in[3];
    int64_t in_channels;
    int64_t out[3];
    int64_t out_channels;
    int64_t kernel[3];
    int64_t stride[3];
    int64_t dilation[3];
    int64_t pad[3]; /* before the first element; may be negative (cropping) */
    int64_t groups; /* divides both channel counts */
} kl_conv_shape;

/* All return false with KL_ERROR_MEMORY if memory for scratch ran out; the output is undefined
   then. The outputs are overwritten and overlap no input; bias is [out_channels] or NULL. */
bool kl_conv_f32(const kl_conv_shape *s, const float *x, const float *w, const float *bias,
                 kl_epilogue epilogue, float *y);
bool kl_conv_input_grad_f32(const kl_conv_shape *s, const float *dy, const float *w, float *dx);
bool kl_conv_kernel_grad_f32(const kl_conv_shape *s, const float *x, const float *dy, float *dw);
bool kl_conv_f64(const kl_conv_shape *s, const double *x, const double *w, const double *bias,
                 kl_epilogue epilogue, double *y);
bool kl_conv_input_grad_f64(const kl_conv_shape *s, const double *dy, const double *w, double *dx);
bool kl_conv_kernel_grad_f64(const kl_conv_shape *s, const double *x, const double *dy, double *dw);

#endif
