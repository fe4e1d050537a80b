/*
 * Convolutions whose kernel differs from place to place, channels last: shapes as in conv.h but
 *   w [places of the output, kernel taps * in_channels, out_channels]
 * with groups and dilation of 1. Taps that fall outside of x are left out; their kernel gradient
 * is 0. Results are the same bit for bit on any number of threads.
 */
#ifndef KL_KERNELS_LOCAL_CONV_H
#define KL_KERNELS_LOCAL_CONV_H

#include "kernels/conv.h"

/* All return false with KL_ERROR_MEMORY if memory for scratch ran out. */
bool kl_local_conv_f32(const kl_conv_shape *s, const float *x, const float *w, float *y);
bool kl_local_conv_input_grad_f32(const kl_conv_shape *s, const float *dy, const float *w,
                                  float *dx);
bool kl_local_conv_kernel_grad_f32(const kl_conv_shape *s, const float *x, const float *dy,
                                   float *dw);
bool kl_local_conv_f64(const kl_conv_shape *s, const double *x, const double *w, double *y);
bool kl_local_conv_input_grad_f64(const kl_conv_shape *s, const double *dy, const double *w,
                                  double *dx);
bool kl_local_conv_kernel_grad_f64(const kl_conv_shape *s, const double *x, const double *dy,
                                   double *dw);

#endif
