/*
 * The element-wise kernels, once for every instruction set: included by a source that defines
 * KL_TABLE, the name of its table, and is compiled with that set's flags.
 */
#include <math.h>
#include <stdint.h>

#include "kernels/each_impl.h"
#include "kernels/elementwise_table.h"
#include "kernels/vmath_impl.h"

#define SQRT_2_PI 0.7978845608028654
/* The square root of a half as TensorFlow has it in gelu: rounded to float32 in every dtype. */
#define GELU_ROOT  0.7071067690849304
#define SELU_ALPHA 1.6732632423543772
#define SELU_SCALE 1.0507009873554805

/* The math that the formulas use, in both precisions. */
#define F(name) name##_f
#define D(name) name##_d
#define MATH(name, single, wide)                                                                   \
    V_INLINE float name##_f(float x)                                                               \
    {                                                                                              \
        return single(x);                                                                          \
    }                                                                                              \
    V_INLINE double name##_d(double x)                                                             \
    {                                                                                              \
        return wide(x);                                                                            \
    }
V_INLINE double sigmoid_of(double x)
{
    return 1 / (1 + exp(-x));
}
V_INLINE double softplus_of(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}
MATH(m_sigmoid, v_sigmoid, sigmoid_of)
MATH(m_softplus, v_softplus, softplus_of)
MATH(m_abs, v_abs, fabs)
MATH(m_round, rintf, rint)
MATH(m_exp, v_exp, exp)
MATH(m_expm1, v_expm1, expm1)
MATH(m_log, v_log, log)
MATH(m_log1p, v_log1p, log1p)
MATH(m_tanh, v_tanh, tanh)
MATH(m_erf, v_erf, erf)
MATH(m_sqrt, sqrtf, sqrt)
MATH(m_sin, v_sin, sin)
MATH(m_cos, v_cos, cos)
MATH(m_tan, tanf, tan)
MATH(m_asin, asinf, asin)
MATH(m_acos, acosf, acos)
MATH(m_atan, atanf, atan)
MATH(m_sinh, sinhf, sinh)
MATH(m_cosh, coshf, cosh)
MATH(m_asinh, asinhf, asinh)
MATH(m_acosh, acoshf, acosh)
MATH(m_atanh, atanhf, atanh)
MATH(m_floor, floorf, floor)
MATH(m_ceil, ceilf, ceil)

V_INLINE float m_pow_f(float x, float y)
{
    return v_pow(x, y);
}
V_INLINE double m_pow_d(double x, double y)
{
    return pow(x, y);
}
V_INLINE float m_mod_f(float x, float y)
{
    float m = fmodf(x, y);
    return m != 0 && (m < 0) != (y < 0) ? m + y : m;
}
V_INLINE double m_mod_d(double x, double y)
{
    double m = fmod(x, y);
    return m != 0 && (m < 0) != (y < 0) ? m + y : m;
}
V_INLINE float m_atan2_f(float x, float y)
{
    return atan2f(x, y);
}
V_INLINE double m_atan2_d(double x, double y)
{
    return atan2(x, y);
}
#define DEFINE_SLOPES(T, M)                                                                        \
    V_INLINE T M(gelu_tanh_slope)(T x)                                                             \
    {                                                                                              \
        T t = M(m_tanh)((T)SQRT_2_PI * (x + (T)0.044715 * x * x * x));                             \
        T inner = (T)SQRT_2_PI * (1 + (T)(3 * 0.044715) * x * x);                                  \
        return (T)0.5 * (1 + t) + (T)0.5 * x * (1 - t * t) * inner;                                \
    }                                                                                              \
    V_INLINE T M(mish_slope)(T x)                                                                  \
    {                                                                                              \
        T t = M(m_tanh)(M(m_softplus)(x));                                                         \
        return t + x * M(m_sigmoid)(x) * (1 - t * t);                                              \
    }
DEFINE_SLOPES(float, F)
DEFINE_SLOPES(double, D)

/*
 * Every function beside its derivative: X(T, M, name, f(x), f'(x) from x and y = f(x)). T is the
 * type, M its math, p q r the parameters, g the gradient that f'(x) multiplies. Sides of kinks are
 * TensorFlow's: relu'(0) = 0; and a gradient of 0 stays 0 where a root has none.
 */
// clang-format off
#define UNARY_FORMULAS(X, T, M) \
    X(T, M, NEG, -x, (T)-1) \
    X(T, M, ABS, M(m_abs)(x), (T)((x > 0) - (x < 0))) \
    X(T, M, SIGN, (x != x ? x : (T)((x > 0) - (x < 0))), (T)0) \
    X(T, M, SQUARE, x * x, 2 * x) \
    X(T, M, SQRT, M(m_sqrt)(x), (g == 0 ? (T)0 : (T)0.5 / y)) \
    X(T, M, RSQRT, 1 / M(m_sqrt)(x), (g == 0 ? (T)0 : (T)-0.5 * y * y * y)) \
    X(T, M, RECIPROCAL, 1 / x, -y * y) \
    X(T, M, EXP, M(m_exp)(x), y) \
    X(T, M, EXPM1, M(m_expm1)(x), y + 1) \
    X(T, M, LOG, M(m_log)(x), 1 / x) \
    X(T, M, LOG1P, M(m_log1p)(x), 1 / (1 + x)) \
    X(T, M, LOG2, M(m_log)(x) * (T)1.4426950408889634, (T)1.4426950408889634 / x) \
    X(T, M, LOG10, M(m_log)(x) * (T)0.4342944819032518, (T)0.4342944819032518 / x) \
    X(T, M, SIN, M(m_sin)(x), M(m_cos)(x)) \
    X(T, M, COS, M(m_cos)(x), -M(m_sin)(x)) \
    X(T, M, TAN, M(m_tan)(x), 1 + y * y) \
    X(T, M, ASIN, M(m_asin)(x), 1 / M(m_sqrt)(1 - x * x)) \
    X(T, M, ACOS, M(m_acos)(x), -1 / M(m_sqrt)(1 - x * x)) \
    X(T, M, ATAN, M(m_atan)(x), 1 / (1 + x * x)) \
    X(T, M, SINH, M(m_sinh)(x), M(m_cosh)(x)) \
    X(T, M, COSH, M(m_cosh)(x), M(m_sinh)(x)) \
    X(T, M, TANH, M(m_tanh)(x), 1 - y * y) \
    X(T, M, ASINH, M(m_asinh)(x), 1 / M(m_sqrt)(x * x + 1)) \
    X(T, M, ACOSH, M(m_acosh)(x), 1 / M(m_sqrt)(x * x - 1)) \
    X(T, M, ATANH, M(m_atanh)(x), 1 / (1 - x * x)) \
    X(T, M, ERF, M(m_erf)(x), (T)1.1283791670955126 * M(m_exp)(-x * x)) \
    X(T, M, FLOOR, M(m_floor)(x), (T)0) \
    X(T, M, CEIL, M(m_ceil)(x), (T)0) \
    X(T, M, ROUND, M(m_round)(x), (T)0) \
    X(T, M, CLIP, (x < p ? p : x > q ? q : x), (x >= p && x <= q ? (T)1 : (T)0)) \
    X(T, M, SIGMOID, M(m_sigmoid)(x), y * (1 - y)) \
    X(T, M, RELU, (x > 0 ? x : x != x ? x : (T)0), (y > 0 ? (T)1 : (T)0)) \
    X(T, M, RELU6, (x < 0 ? (T)0 : x > 6 ? (T)6 : x), (x > 0 && x < 6 ? (T)1 : (T)0)) \
    X(T, M, RELU_GENERAL, (x <= r ? (p != 0 ? p * (x - r) : (T)0) : x >= q ? q : x), (x > r ? (x > q ? (T)0 : (T)1) : x < r ? p : (T)0)) \
    X(T, M, LEAKY_RELU, (x > 0 ? x : p * x), (x > 0 ? (T)1 : p)) \
    X(T, M, ELU, (x > 0 ? x : p * M(m_expm1)(x)), (x > 0 ? (T)1 : y + p)) \
    X(T, M, SELU, (x > 0 ? (T)SELU_SCALE * x : (T)(SELU_SCALE * SELU_ALPHA) * M(m_expm1)(x)), (x > 0 ? (T)SELU_SCALE : y + (T)(SELU_SCALE * SELU_ALPHA))) \
    X(T, M, CELU, (x > 0 ? x : p * M(m_expm1)(x / p)), (x > 0 ? (T)1 : y / p + 1)) \
    X(T, M, GELU, (T)0.5 * x * (1 + M(m_erf)(x * (T)GELU_ROOT)), (T)0.5 * (1 + M(m_erf)(x * (T)GELU_ROOT)) + x * (T)(GELU_ROOT * 0.5641895835477563) * M(m_exp)((T)-(GELU_ROOT * GELU_ROOT) * x * x)) \
    X(T, M, GELU_TANH, (T)0.5 * x * (1 + M(m_tanh)((T)SQRT_2_PI * (x + (T)0.044715 * x * x * x))), M(gelu_tanh_slope)(x)) \
    X(T, M, SOFTPLUS, M(m_softplus)(x), M(m_sigmoid)(x)) \
    X(T, M, SOFTSIGN, x / (1 + M(m_abs)(x)), 1 / ((1 + M(m_abs)(x)) * (1 + M(m_abs)(x)))) \
    X(T, M, SILU, x * M(m_sigmoid)(x), M(m_sigmoid)(x) * (1 + x * (1 - M(m_sigmoid)(x)))) \
    X(T, M, MISH, x * M(m_tanh)(M(m_softplus)(x)), M(mish_slope)(x)) \
    X(T, M, HARD_SIGMOID, (x <= -3 ? (T)0 : x >= 3 ? (T)1 : x * (T)(1.0 / 6) + (T)0.5), (x > -3 && x < 3 ? (T)(1.0 / 6) : (T)0)) \
    X(T, M, HARD_SILU, x * (x <= -3 ? (T)0 : x >= 3 ? (T)1 : x * (T)(1.0 / 6) + (T)0.5), (x <= -3 ? (T)0 : x >= 3 ? (T)1 : x * (T)(1.0 / 3) + (T)0.5)) \
    X(T, M, HARD_TANH, (x < -1 ? (T)-1 : x > 1 ? (T)1 : x), (x >= -1 && x <= 1 ? (T)1 : (T)0)) \
    X(T, M, HARD_SHRINK, (M(m_abs)(x) > p ? x : (T)0), (M(m_abs)(x) > p ? (T)1 : (T)0)) \
    X(T, M, SOFT_SHRINK, (x > p ? x - p : x < -p ? x + p : (T)0), (x > p || x < -p ? (T)1 : (T)0)) \
    X(T, M, TANH_SHRINK, x - M(m_tanh)(x), M(m_tanh)(x) * M(m_tanh)(x)) \
    X(T, M, THRESHOLD, (x > p ? x : q), (x > p ? (T)1 : (T)0)) \
    X(T, M, SQUAREPLUS, (x + M(m_sqrt)(x * x + p)) / 2, (1 + x / M(m_sqrt)(x * x + p)) / 2) \
    X(T, M, SPARSE_PLUS, (x <= -1 ? (T)0 : x >= 1 ? x : (T)0.25 * (x + 1) * (x + 1)), (x <= -1 ? (T)0 : x >= 1 ? (T)1 : (T)0.5 * (x + 1))) \
    X(T, M, SPARSE_SIGMOID, (x <= -1 ? (T)0 : x >= 1 ? (T)1 : (T)0.5 * (x + 1)), (x > -1 && x < 1 ? (T)0.5 : (T)0)) \
    X(T, M, LOG_SIGMOID, -M(m_softplus)(-x), M(m_sigmoid)(-x)) \
    X(T, M, ADD_SCALAR, x + p, (T)1) \
    X(T, M, MUL_SCALAR, x * p, p) \
    X(T, M, POW_SCALAR, M(m_pow)(x, p), p * M(m_pow)(x, p - 1)) \
    X(T, M, RSUB_SCALAR, p - x, (T)-1) \
    X(T, M, RDIV_SCALAR, p / x, -y / x) \
    X(T, M, MAX_SCALAR, (x > p ? x : x != x ? x : p), (x >= p ? (T)1 : (T)0)) \
    X(T, M, MIN_SCALAR, (x < p ? x : x != x ? x : p), (x <= p ? (T)1 : (T)0))
// clang-format on

#define DEFINE_UNARY(T, M, name, f, slope)                                                         \
    static void M(unary_##name)(const kl_unary_params *params, int64_t n, const T *in, T *out)     \
    {                                                                                              \
        const T p = (T)params->p, q = (T)params->q, r = (T)params->r;                              \
        (void)p, (void)q, (void)r;                                                                 \
        if (kl_unary_is_scalar(KL_UNARY_##name))                                                   \
            EACH_double(i, n, {                                                                    \
                const T x = in[i];                                                                 \
                out[i] = (f);                                                                      \
            }) else EACH_WHOLE_##T(i, n, {                                                         \
                const T x = in[i];                                                                 \
                out[i] = (f);                                                                      \
            });                                                                                    \
    }                                                                                              \
    static void M(grad_##name)(const kl_unary_params *params, int64_t n, const T *in,              \
                               const T *value, const T *dy, T *dx)                                 \
    {                                                                                              \
        const T p = (T)params->p, q = (T)params->q, r = (T)params->r;                              \
        (void)p, (void)q, (void)r;                                                                 \
        if (kl_unary_is_scalar(KL_UNARY_##name))                                                   \
            EACH_double(i, n, {                                                                    \
                const T x = in[i], y = value[i], g = dy[i];                                        \
                (void)x, (void)y;                                                                  \
                dx[i] = g * (slope);                                                               \
            }) else EACH_WHOLE_##T(i, n, {                                                         \
                const T x = in[i], y = value[i], g = dy[i];                                        \
                (void)x, (void)y;                                                                  \
                dx[i] = g * (slope);                                                               \
            });                                                                                    \
    }
UNARY_FORMULAS(DEFINE_UNARY, float, F)
#ifdef KL_TABLE_HAS_F64
UNARY_FORMULAS(DEFINE_UNARY, double, D)
#endif

#define BINARY_LOOP(T, f, xi, yi)                                                                  \
    EACH_##T(i, n, {                                                                               \
        const T x = xi, y = yi;                                                                    \
        out[i] = (f);                                                                              \
    });
#define DEFINE_BINARY(T, M, name, f)                                                               \
    static void M(binary_##name)(int64_t n, const T *a, int64_t sa, const T *b, int64_t sb,        \
                                 T *out)                                                           \
    {                                                                                              \
        const bool scalar = kl_binary_is_scalar(KL_BINARY_##name);                                 \
        if (!scalar && sa == 1 && sb == 1) {                                                       \
            BINARY_LOOP(T, f, a[i], b[i])                                                          \
        } else if (!scalar && sa == 1 && sb == 0) {                                                \
            const T fixed = b[0];                                                                  \
            BINARY_LOOP(T, f, a[i], fixed)                                                         \
        } else if (!scalar && sa == 0 && sb == 1) {                                                \
            const T fixed = a[0];                                                                  \
            BINARY_LOOP(T, f, fixed, b[i])                                                         \
        } else {                                                                                   \
            for (int64_t i = 0; i < n; i++) {                                                      \
                ONE_BY_ONE;                                                                        \
                const T x = a[i * sa], y = b[i * sb];                                              \
                out[i] = (f);                                                                      \
            }                                                                                      \
        }                                                                                          \
    }
#define BINARY_FORMULAS(X, T, M)                                                                   \
    X(T, M, ADD, x + y)                                                                            \
    X(T, M, SUB, x - y)                                                                            \
    X(T, M, MUL, x *y)                                                                             \
    X(T, M, DIV, x / y)                                                                            \
    X(T, M, FLOOR_DIV, M(m_floor)(x / y))                                                          \
    X(T, M, MOD, M(m_mod)(x, y))                                                                   \
    X(T, M, POW, M(m_pow)(x, y))                                                                   \
    X(T, M, MAX, (x > y || x != x ? x : y))                                                        \
    X(T, M, MIN, (x < y || x != x ? x : y))                                                        \
    X(T, M, SQUARED_DIFFERENCE, (x - y) * (x - y))                                                 \
    X(T, M, ATAN2, M(m_atan2)(x, y))
BINARY_FORMULAS(DEFINE_BINARY, float, F)
#ifdef KL_TABLE_HAS_F64
BINARY_FORMULAS(DEFINE_BINARY, double, D)
#endif

static void accumulate(int64_t n, const float *x, float *y)
{
    EACH(i, n, { y[i] += x[i]; });
}

/* Lanes of partial results, so that sums don't wait for each other; their order is fixed. */
#define LANES 16

static float join_lanes(float *part)
{
    for (int step = LANES / 2; step; step /= 2)
        for (int l = 0; l < step; l++)
            part[l] += part[l + step];
    return part[0];
}

#define LANE_SUM(term)                                                                             \
    float part[LANES] = {0};                                                                       \
    int64_t even = n / LANES * LANES;                                                              \
    for (int64_t at = 0; at < even; at += LANES) {                                                 \
        WHOLE_VECTORS                                                                              \
        for (int l = 0; l < LANES; l++) {                                                          \
            const int64_t i = at + l;                                                              \
            part[l] += (term);                                                                     \
        }                                                                                          \
    }                                                                                              \
    for (int64_t i = even; i < n; i++)                                                             \
        part[i - even] += (term);

static float sum(int64_t n, const float *x)
{
    LANE_SUM(x[i])
    return join_lanes(part);
}

static float sum_squares(int64_t n, const float *x)
{
    LANE_SUM(x[i] * x[i])
    return join_lanes(part);
}

static float dot(int64_t n, const float *x, const float *y)
{
    LANE_SUM(x[i] * y[i])
    return join_lanes(part);
}

/* Columns at a time, and rows that are summed apart so that long sums stay accurate. */
#define STRIP      64
#define STRIP_ROWS 128

static void column_sums(int64_t n, int64_t width, int64_t stride, const float *x, float *out)
{
    for (int64_t c = 0; c < width; c += STRIP) {
        const int64_t w = width - c < STRIP ? width - c : STRIP;
        float total[STRIP] = {0};
        for (int64_t r = 0; r < n; r += STRIP_ROWS) {
            const int64_t rows = n - r < STRIP_ROWS ? n - r : STRIP_ROWS;
            const float *row = x + r * stride + c;
            float part[STRIP] = {0};
            if (w == STRIP) {
                for (int64_t k = 0; k < rows; k++, row += stride) {
                    WHOLE_VECTORS
                    for (int i = 0; i < STRIP; i++)
                        part[i] += row[i];
                }
            } else
                for (int64_t k = 0; k < rows; k++, row += stride)
                    for (int64_t i = 0; i < w; i++)
                        part[i] += row[i];
            WHOLE_VECTORS
            for (int i = 0; i < STRIP; i++)
                total[i] += part[i];
        }
        for (int64_t i = 0; i < w; i++)
            out[c + i] = total[i];
    }
}

static float row_max(int64_t n, const float *x)
{
    float top[LANES];
    int64_t even = n / LANES * LANES;
    for (int l = 0; l < LANES; l++)
        top[l] = -INFINITY;
    for (int64_t i = 0; i < even; i += LANES) {
        WHOLE_VECTORS
        for (int l = 0; l < LANES; l++)
            top[l] = x[i + l] > top[l] ? x[i + l] : top[l];
    }
    for (int64_t i = even; i < n; i++)
        top[i - even] = x[i] > top[i - even] ? x[i] : top[i - even];
    for (int l = 1; l < LANES; l++)
        top[0] = top[l] > top[0] ? top[l] : top[0];
    return top[0];
}

static void softmax_row(int64_t n, const float *x, float *y, bool logarithm)
{
    float most = row_max(n, x);
    if (logarithm) {
        LANE_SUM(v_exp(x[i] - most))
        /* One after the other: the logarithm is lost in a large maximum. */
        float rest = v_log(join_lanes(part));
        EACH(i, n, { y[i] = (x[i] - most) - rest; });
        return;
    }
    EACH(i, n, { y[i] = v_exp(x[i] - most); });
    float scale = 1.f / sum(n, y);
    EACH(i, n, { y[i] *= scale; });
}

static void adam(int64_t n, const kl_adam_step *s, float *w, const float *grad, float *m, float *v,
                 float *top)
{
    const float a1 = s->one_minus_beta_1, a2 = s->one_minus_beta_2, rate = s->rate;
    const float eps = s->epsilon, scale = s->gradient_scale, decay = s->decay;
    if (top) {
        EACH(i, n, {
            float g = grad[i] * scale;
            m[i] += (g - m[i]) * a1;
            v[i] += (g * g - v[i]) * a2;
            top[i] = v[i] > top[i] ? v[i] : top[i];
            w[i] = w[i] - decay * w[i] - m[i] * rate / (sqrtf(top[i]) + eps);
        });
        return;
    }
    EACH(i, n, {
        float g = grad[i] * scale;
        m[i] += (g - m[i]) * a1;
        v[i] += (g * g - v[i]) * a2;
        w[i] = w[i] - decay * w[i] - m[i] * rate / (sqrtf(v[i]) + eps);
    });
}

#define UNARY_ROW_F(name)  [KL_UNARY_##name] = F(unary_##name),
#define UNARY_ROW_D(name)  [KL_UNARY_##name] = D(unary_##name),
#define GRAD_ROW_F(name)   [KL_UNARY_##name] = F(grad_##name),
#define GRAD_ROW_D(name)   [KL_UNARY_##name] = D(grad_##name),
#define BINARY_ROW_F(name) [KL_BINARY_##name] = F(binary_##name),
#define BINARY_ROW_D(name) [KL_BINARY_##name] = D(binary_##name),
const kl_elementwise_table KL_TABLE = {
    .unary_f32 = {KL_UNARY_LIST(UNARY_ROW_F)},
#ifdef KL_TABLE_HAS_F64
    .unary_f64 = {KL_UNARY_LIST(UNARY_ROW_D)},
#endif
    .grad_f32 = {KL_UNARY_LIST(GRAD_ROW_F)},
#ifdef KL_TABLE_HAS_F64
    .grad_f64 = {KL_UNARY_LIST(GRAD_ROW_D)},
#endif
    .binary_f32 = {KL_BINARY_LIST(BINARY_ROW_F)},
#ifdef KL_TABLE_HAS_F64
    .binary_f64 = {KL_BINARY_LIST(BINARY_ROW_D)},
#endif
    .accumulate_f32 = accumulate,
    .softmax_row_f32 = softmax_row,
    .sum_f32 = sum,
    .sum_squares_f32 = sum_squares,
    .dot_f32 = dot,
    .column_sums_f32 = column_sums,
    .adam_f32 = adam,
};
