/* The functions that each instruction set has a version of. */
#ifndef KL_KERNELS_ELEMENTWISE_TABLE_H
#define KL_KERNELS_ELEMENTWISE_TABLE_H

#include "kernels/elementwise.h"

/* Constants of one Adam step (Kingma and Ba, https://arxiv.org/abs/1412.6980), the bias corrections
   in `rate`. */
typedef struct kl_adam_step {
    float one_minus_beta_1, one_minus_beta_2, rate, epsilon;
    float gradient_scale; /* of clipping */
    float decay;          /* weight decay times learning rate */
} kl_adam_step;

/* Elements that the float32 functions of kl_unary take a whole number of times (but for the scalar
   ones): a rest is given to them in a buffer filled up to it. */
enum { KL_UNARY_WHOLE = 16 };

/* Arguments up to which the float32 functions of sine and cosine are right. */
#define KL_UNARY_MOST_TURN 1e6f

/* Whether a function goes one by one through the C library, any number at a time. */
static inline bool kl_unary_is_scalar(kl_unary op)
{
    switch (op) {
    case KL_UNARY_TAN:
    case KL_UNARY_ASIN:
    case KL_UNARY_ACOS:
    case KL_UNARY_ATAN:
    case KL_UNARY_SINH:
    case KL_UNARY_COSH:
    case KL_UNARY_ASINH:
    case KL_UNARY_ACOSH:
    case KL_UNARY_ATANH:
        return true;
    default:
        return false;
    }
}

/* The same of functions of two numbers. */
static inline bool kl_binary_is_scalar(kl_binary op)
{
    return op == KL_BINARY_MOD || op == KL_BINARY_ATAN2;
}

/* The functions on float64 are in the portable table alone. */
typedef struct kl_elementwise_table {
    void (*unary_f32[KL_UNARY_COUNT])(const kl_unary_params *, int64_t, const float *, float *);
    void (*unary_f64[KL_UNARY_COUNT])(const kl_unary_params *, int64_t, const double *, double *);
    void (*grad_f32[KL_UNARY_COUNT])(const kl_unary_params *, int64_t, const float *, const float *,
                                     const float *, float *);
    void (*grad_f64[KL_UNARY_COUNT])(const kl_unary_params *, int64_t, const double *,
                                     const double *, const double *, double *);
    void (*binary_f32[KL_BINARY_COUNT])(int64_t, const float *, int64_t, const float *, int64_t,
                                        float *);
    void (*binary_f64[KL_BINARY_COUNT])(int64_t, const double *, int64_t, const double *, int64_t,
                                        double *);
    /* y[i] += x[i] */
    void (*accumulate_f32)(int64_t n, const float *x, float *y);
    void (*softmax_row_f32)(int64_t n, const float *x, float *y, bool logarithm);
    /* Sums of a contiguous row in fixed lanes. */
    float (*sum_f32)(int64_t n, const float *x);
    float (*sum_squares_f32)(int64_t n, const float *x);
    float (*dot_f32)(int64_t n, const float *x, const float *y);
    /* out[i] = sum of x[r * stride + i] over n rows, for i below width. */
    void (*column_sums_f32)(int64_t n, int64_t width, int64_t stride, const float *x, float *out);
    /* top: the largest v so far (amsgrad), or NULL. */
    void (*adam_f32)(int64_t n, const kl_adam_step *step, float *w, const float *grad, float *m,
                     float *v, float *top);
} kl_elementwise_table;

extern const kl_elementwise_table kl_elementwise_portable, kl_elementwise_neon, kl_elementwise_avx2,
    kl_elementwise_avx512;

/* The table of the instruction set in use. */
const kl_elementwise_table *kl_elementwise_kernels(void);

#endif
