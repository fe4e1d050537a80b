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

/* x: [samples, before, channels, after]; statistics of each sample's every group of channels. With
   one sample and as many groups as channels it is batch normalization. */
typedef struct kl_group_norm {
    bool wide;
    int64_t samples, before, channels, after, groups;
    const void *x;
    const void *gamma, *beta; /* [channels], or NULL for 1 and 0 */
    void *mean, *variance;    /* [samples, groups] */
    double epsilon;
} kl_group_norm;

/* Sets mean and variance, and y. False with KL_ERROR_MEMORY. */
bool kl_groups_norm(const kl_group_norm *norm, void *y);
/* The gradients, all of them; dmean and dvariance are [samples, groups], dgamma and dbeta
   [channels]. */
bool kl_groups_norm_grad(const kl_group_norm *norm, const kl_norm_grad *grad);

/* y = x scale + shift, of x [before, channels, after]; shift may be NULL. False with
   KL_ERROR_MEMORY. */
bool kl_scale_shift(bool wide, int64_t before, int64_t channels, int64_t after, const void *x,
                    const void *scale, const void *shift, void *y);

typedef struct kl_row_norm {
    bool wide;
    bool uncentered; /* mean is 0, the variance the mean square */
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
