/*
 * Element by element: functions of one and two operands with their gradients, on raw arrays.
 * float32 runs in vectors of the chosen instruction set by own polynomials (1 to 2 ulp), tails by
 * the same formulas, so a value never depends on its place; float64 uses libm.
 */
#ifndef KL_KERNELS_ELEMENTWISE_H
#define KL_KERNELS_ELEMENTWISE_H

#include "klayers/base.h"

/* Unary functions; p, q, r are the parameters that some have. */
// clang-format off
#define KL_UNARY_LIST(X) \
    X(NEG) X(ABS) X(SIGN) X(SQUARE) X(SQRT) X(RSQRT) X(RECIPROCAL) X(EXP) \
    X(EXPM1) X(LOG) X(LOG1P) X(LOG2) X(LOG10) X(SIN) X(COS) X(TAN) \
    X(ASIN) X(ACOS) X(ATAN) X(SINH) X(COSH) X(TANH) X(ASINH) X(ACOSH) \
    X(ATANH) X(ERF) X(FLOOR) X(CEIL) X(ROUND) X(CLIP) X(SIGMOID) X(RELU) \
    X(RELU6) X(RELU_GENERAL) X(LEAKY_RELU) X(ELU) X(SELU) X(CELU) X(GELU) X(GELU_TANH) \
    X(SOFTPLUS) X(SOFTSIGN) X(SILU) X(MISH) X(HARD_SIGMOID) X(HARD_SILU) X(HARD_TANH) X(HARD_SHRINK) \
    X(SOFT_SHRINK) X(TANH_SHRINK) X(THRESHOLD) X(SQUAREPLUS) X(SPARSE_PLUS) X(SPARSE_SIGMOID) X(LOG_SIGMOID) X(ADD_SCALAR) \
    X(MUL_SCALAR) X(POW_SCALAR) X(RSUB_SCALAR) X(RDIV_SCALAR) X(MAX_SCALAR) X(MIN_SCALAR)
// clang-format on
typedef enum kl_unary {
#define KL_UNARY_ENUM_(name) KL_UNARY_##name,
    KL_UNARY_LIST(KL_UNARY_ENUM_)
#undef KL_UNARY_ENUM_
        KL_UNARY_COUNT
} kl_unary;

#define KL_BINARY_LIST(X)                                                                          \
    X(ADD)                                                                                         \
    X(SUB) X(MUL) X(DIV) X(FLOOR_DIV) X(MOD) X(POW) X(MAX) X(MIN) X(SQUARED_DIFFERENCE) X(ATAN2)
typedef enum kl_binary {
#define KL_BINARY_ENUM_(name) KL_BINARY_##name,
    KL_BINARY_LIST(KL_BINARY_ENUM_)
#undef KL_BINARY_ENUM_
        KL_BINARY_COUNT
} kl_binary;

typedef enum kl_compare {
    KL_COMPARE_EQUAL,
    KL_COMPARE_NOT_EQUAL,
    KL_COMPARE_LESS,
    KL_COMPARE_LESS_EQUAL,
    KL_COMPARE_GREATER,
    KL_COMPARE_GREATER_EQUAL
} kl_compare;

typedef struct kl_unary_params {
    double p, q, r;
} kl_unary_params;

/* y[i] = f(x[i]); y may be x. params may be NULL for functions without parameters. */
void kl_unary_f32(kl_unary op, const kl_unary_params *params, int64_t n, const float *x, float *y);
void kl_unary_f64(kl_unary op, const kl_unary_params *params, int64_t n, const double *x,
                  double *y);
/* dx[i] = dy[i] * f'(x[i]), where y = f(x); dx may be dy. */
void kl_unary_grad_f32(kl_unary op, const kl_unary_params *params, int64_t n, const float *x,
                       const float *y, const float *dy, float *dx);
void kl_unary_grad_f64(kl_unary op, const kl_unary_params *params, int64_t n, const double *x,
                       const double *y, const double *dy, double *dx);

/* out[i] = f(a[i * sa], b[i * sb]); strides 0 and 1 are fast, others right. */
void kl_binary_f32(kl_binary op, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb,
                   float *out);
void kl_binary_f64(kl_binary op, int64_t n, const double *a, int64_t sa, const double *b,
                   int64_t sb, double *out);
void kl_binary_i64(kl_binary op, int64_t n, const int64_t *a, int64_t sa, const int64_t *b,
                   int64_t sb, int64_t *out);
void kl_binary_i32(kl_binary op, int64_t n, const int32_t *a, int64_t sa, const int32_t *b,
                   int64_t sb, int32_t *out);
void kl_compare_f32(kl_compare op, int64_t n, const float *a, int64_t sa, const float *b,
                    int64_t sb, uint8_t *out);
void kl_compare_f64(kl_compare op, int64_t n, const double *a, int64_t sa, const double *b,
                    int64_t sb, uint8_t *out);
void kl_compare_i64(kl_compare op, int64_t n, const int64_t *a, int64_t sa, const int64_t *b,
                    int64_t sb, uint8_t *out);

/* Softmax, or its logarithm, of each of `rows` rows of n; y may be x. */
void kl_softmax_rows_f32(int64_t rows, int64_t n, const float *x, float *y, bool logarithm);
void kl_softmax_rows_f64(int64_t rows, int64_t n, const double *x, double *y, bool logarithm);

#endif
