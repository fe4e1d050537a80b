/* The loops of normalizations that each instruction set has a version of. */
#ifndef KL_KERNELS_NORM_TABLE_H
#define KL_KERNELS_NORM_TABLE_H

#include "klayers/base.h"

/* All arrays are of the table's type: [rows, width] or [width]. */
typedef struct kl_norm_loops {
    /* Each column's mean and sum of squares around it; few rows, as sums are of the type itself. */
    void (*moments)(int64_t rows, int64_t width, const void *x, void *mean, void *squares);
    /* Each column's sums of dy and of dy (x - mean). */
    void (*sums)(int64_t rows, int64_t width, const void *x, const void *mean, const void *dy,
                 void *sum, void *product);
    /* y = (x - mean) scale + shift */
    void (*apply)(int64_t rows, int64_t width, const void *x, const void *mean, const void *scale,
                  const void *shift, void *y);
    /* dx = dy a + (x - mean) b + c */
    void (*combine)(int64_t rows, int64_t width, const void *x, const void *mean, const void *dy,
                    const void *a, const void *b, const void *c, void *dx);
    /* The same of one line of n elements by numbers; few elements where they are summed. */
    void (*line_moments)(int64_t n, const void *x, double *mean, double *squares);
    void (*line_sums)(int64_t n, const void *x, double mean, const void *dy, double *sum,
                      double *product);
    void (*line_apply)(int64_t n, const void *x, double mean, double scale, double shift, void *y);
    void (*line_combine)(int64_t n, const void *x, double mean, const void *dy, double a, double b,
                         double c, void *dx);
    /* Each row by its own statistics; gamma and beta of [width]. */
    void (*rows_forward)(bool uncentered, int64_t rows, int64_t width, const void *x,
                         const void *gamma, const void *beta, double epsilon, void *mean,
                         void *inverse, void *y);
    /* Adds to dgamma and dbeta; few rows. */
    void (*rows_backward)(bool uncentered, int64_t rows, int64_t width, const void *x,
                          const void *gamma, const void *mean, const void *inverse, const void *dy,
                          void *dx, void *dgamma, void *dbeta);
} kl_norm_loops;

typedef struct kl_norm_table {
    kl_norm_loops single, wide;
} kl_norm_table;

extern const kl_norm_table kl_norm_portable, kl_norm_neon, kl_norm_avx2, kl_norm_avx512;

/* Those of the instruction set in use. */
const kl_norm_loops *kl_norm_loops_for(bool wide);

#endif
