/*
 * Normalization of [rows, n] arrays, over the rows (batch normalization) or within each (layer
 * normalization), forward and back, in few passes over memory. `wide`: double, otherwise float.
 * Results are the same on any number of threads.
 */
#ifndef KL_KERNELS_NORM_H
#define KL_KERNELS_NORM_H

#include "klayers/base.h"

typedef struct kl_norm {
    bool wide;
    int64_t rows, n;
    const void *x;            /* [rows, n] */
    const void *gamma, *beta; /* [n], or NULL for 1 and 0 */
    void *mean, *variance;    /* [n] */
    double epsilon;
} kl_norm;

/* Sets mean and variance, and y = gamma (x - mean) / sqrt(variance + epsilon) + beta. False with
   KL_ERROR_MEMORY. */
bool kl_batch_norm(const kl_norm *norm, void *y);

typedef struct kl_norm_grad {
    const void *dy;                /* [rows, n], or NULL */
    const void *dmean, *dvariance; /* [n], or NULL */
    void *dx;                      /* [rows, n] */
    void *dgamma, *dbeta;          /* [n] */
} kl_norm_grad;
/* The gradients, all of them; mean and variance are those of kl_batch_norm. */
bool kl_batch_norm_grad(const kl_norm *norm, const kl_norm_grad *grad);

typedef struct kl_row_norm {
    bool wide;
    int64_t rows, n;
    const void *x;            /* [rows, n] */
    const void *gamma, *beta; /* [n], or NULL for 1 and 0 */
    void *mean, *inverse;     /* [rows]: of 1 / sqrt(variance + epsilon) */
    double epsilon;
} kl_row_norm;

/* Sets mean and inverse, and y. False with KL_ERROR_MEMORY. */
bool kl_layer_norm(const kl_row_norm *norm, void *y);
/* The gradients dx [rows, n], dgamma and dbeta [n]; mean and inverse are those of kl_layer_norm. */
bool kl_layer_norm_grad(const kl_row_norm *norm, const void *dy, void *dx, void *dgamma,
                        void *dbeta);

#endif
