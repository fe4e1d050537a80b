/* Pooling over NHWC images with up to three spatial axes (leading ones of size 1). */
#ifndef KL_KERNELS_POOL_H
#define KL_KERNELS_POOL_H

#include "klayers/base.h"

typedef struct kl_pool_shape {
    int64_t batch, channels;
    int64_t in[3], out[3], window[3], stride[3], pad[3]; /* pad: before */
    bool adaptive; /* window i of an axis goes from floor(i * in / out) to ceil((i + 1) * in / out);
                      window, stride and pad don't count */
} kl_pool_shape;

/* The part of window o on one axis that lies in the image: from *begin up to *end. */
static inline void kl_pool_window(const kl_pool_shape *s, int axis, int64_t o, int64_t *begin,
                                  int64_t *end)
{
    if (s->adaptive) {
        *begin = o * s->in[axis] / s->out[axis];
        *end = ((o + 1) * s->in[axis] + s->out[axis] - 1) / s->out[axis];
        return;
    }
    int64_t at = o * s->stride[axis] - s->pad[axis];
    *begin = at < 0 ? 0 : at;
    *end = at + s->window[axis] < s->in[axis] ? at + s->window[axis] : s->in[axis];
}

/* Places outside the image don't count, and no window lies wholly there. The gradients overwrite
   dx; the maximum's goes to the first of equal places. Results are the same bit for bit on any
   number of threads. */
void kl_max_pool_f32(const kl_pool_shape *s, const float *x, float *y);
void kl_average_pool_f32(const kl_pool_shape *s, const float *x, float *y);
void kl_max_pool_grad_f32(const kl_pool_shape *s, const float *x, const float *y, const float *dy,
                          float *dx);
void kl_average_pool_grad_f32(const kl_pool_shape *s, const float *dy, float *dx);
void kl_max_pool_f64(const kl_pool_shape *s, const double *x, double *y);
void kl_average_pool_f64(const kl_pool_shape *s, const double *x, double *y);
void kl_max_pool_grad_f64(const kl_pool_shape *s, const double *x, const double *y,
                          const double *dy, double *dx);
void kl_average_pool_grad_f64(const kl_pool_shape *s, const double *dy, double *dx);

#endif
