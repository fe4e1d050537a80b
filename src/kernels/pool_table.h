/* The loops of pooling that each instruction set has a version of. */
#ifndef KL_KERNELS_POOL_TABLE_H
#define KL_KERNELS_POOL_TABLE_H

#include "klayers/base.h"

/*
 * Some pixels of an output row whose windows are alike, arrays being of the table's type: pixel p
 * has its channels at y and dy + p * y_step, and place (a, b, c) of its window at x and dx + p *
 * x_step + a * step[0] + b * step[1] + c * step[2].
 */
typedef struct kl_pool_pixels {
    int64_t pixels, channels;
    int64_t x_step, y_step;
    int64_t size[3], step[3]; /* sizes of at least 1 */
    int64_t skip;             /* so many leading places get no gradient, but may have the maximum */
    double count;             /* of the places averaged */
    const void *x, *y, *dy;
    void *out; /* y going forward, dx going back */
    bool add;  /* going back: to dx, where others may have added; else overwrite it */
} kl_pool_pixels;

typedef struct kl_pool_loops {
    void (*maximum)(const kl_pool_pixels *p);
    void (*average)(const kl_pool_pixels *p);
    void (*maximum_back)(const kl_pool_pixels *p);
    void (*average_back)(const kl_pool_pixels *p);
} kl_pool_loops;

typedef struct kl_pool_table {
    kl_pool_loops single, wide;
} kl_pool_table;

extern const kl_pool_table kl_pool_portable, kl_pool_neon, kl_pool_avx2, kl_pool_avx512;

#endif
