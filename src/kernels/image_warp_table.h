/* The rows of image transforms that each instruction set has a version of. */
#ifndef KL_KERNELS_IMAGE_WARP_TABLE_H
#define KL_KERNELS_IMAGE_WARP_TABLE_H

#include "kernels/image_warp.h"

/* Row `row` of one image: `in` and `out` are its first elements; `readable` elements may be read
   from `in` on. */
typedef void kl_warp_row(const kl_warp *warp, const float *map, int64_t row, const void *in,
                         int64_t readable, void *out);

/* Adds what row `row` of dy gives to dx, the first elements of one image. */
typedef void kl_warp_row_grad(const kl_warp *warp, const float *map, int64_t row, const void *dy,
                              void *dx);

typedef struct kl_warp_table {
    kl_warp_row *rows[KL_PIXELS_COUNT];
    kl_warp_row_grad *grads[KL_PIXELS_COUNT];
} kl_warp_table;

extern const kl_warp_table kl_warp_portable, kl_warp_neon, kl_warp_avx2, kl_warp_avx512;

#endif
