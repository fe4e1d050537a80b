/* The loops of resizing that each instruction set has a version of. */
#ifndef KL_KERNELS_IMAGE_RESIZE_TABLE_H
#define KL_KERNELS_IMAGE_RESIZE_TABLE_H

#include "kernels/image_resize.h"

typedef struct kl_resize_table {
    /* One row to the columns' size; `readable` elements may be read from `in` on. */
    void (*row_float)(const kl_resize_axis *columns, int64_t channels, const void *in,
                      int64_t readable, float *out);
    void (*row_byte)(const kl_resize_axis *columns, int64_t channels, const void *in,
                     int64_t readable, float *out);
    /* out = sum of weights[t] rows[t] */
    void (*blend)(int64_t count, int64_t taps, const float *const *rows, const float *weights,
                  float *out);
    /* out = first + weight (second - first) */
    void (*lerp)(int64_t count, const float *first, const float *second, float weight, float *out);
} kl_resize_table;

extern const kl_resize_table kl_resize_portable, kl_resize_neon, kl_resize_avx2, kl_resize_avx512;

#endif
