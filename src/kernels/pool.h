/* Pooling over NHWC images with up to three spatial axes (leading ones of size 1). */
#ifndef KL_KERNELS_POOL_H
#define KL_KERNELS_POOL_H

#include "klayers/base.h"

typedef struct kl_pool_shape {
    int64_t batch, channels;
    int64_t in[3], out[3], window[3], stride[3], pad[3]; /* pad: before */
} kl_pool_shape;

/* Places outside the image don't count. The gradients overwrite dx; the maximum's goes to the
   first of equal places. False with KL_ERROR_MEMORY. */
void kl_max_pool_f32(const kl_pool_shape *s, const float *x, float *y);
void kl_average_pool_f32(const kl_pool_shape *s, const float *x, float *y);
bool kl_max_pool_grad_f32(const kl_pool_shape *s, const float *x, const float *y, const float *dy,
                          float *dx);
bool kl_average_pool_grad_f32(const kl_pool_shape *s, const float *dy, float *dx);
void kl_max_pool_f64(const kl_pool_shape *s, const double *x, double *y);
void kl_average_pool_f64(const kl_pool_shape *s, const double *x, double *y);
bool kl_max_pool_grad_f64(const kl_pool_shape *s, const double *x, const double *y,
                          const double *dy, double *dx);
bool kl_average_pool_grad_f64(const kl_pool_shape *s, const double *dy, double *dx);

#endif
