/*
 * Functions of one tensor, element by element: a row names an op, Keras's class, its kernel, what
 * backward keeps, and the derivative through ops (for gradients of higher order; the first order
 * uses the kernel's).
 */
#include <math.h>

#include "kernels/elementwise.h"
#include "ops/common.h"

typedef kl_tensor *slope_function(kl_tensor *x, kl_tensor *y, const kl_unary_params *p);

typedef struct unary_op {
    kl_op op;
    kl_unary kernel;
    slope_function *slope;
} unary_op;

#define S(a, v)  kl_op_mul_scalar(a, v)
#define A(a, v)  kl_op_add_scalar(a, v)
#define MUL      kl_op_mul
#define ADD      kl_op_add
#define SLOPE(n) static kl_tensor *n(kl_tensor *x, kl_tensor *y, const kl_unary_params *p)

/* 1 where the condition holds, else 0, in x's dtype: kinks have no derivative of their own. */
static kl_tensor *step(kl_tensor *condition, kl_tensor *x)
{
    return kl_op_cast(condition, (kl_dtype)x->dtype);
}

static kl_tensor *above(kl_tensor *x, double at)
{
    return step(kl_op_greater(x, kl_scalar((kl_dtype)x->dtype, at)), x);
}

static kl_tensor *below(kl_tensor *x, double at)
{
    return step(kl_op_less(x, kl_scalar((kl_dtype)x->dtype, at)), x);
}

static kl_tensor *between(kl_tensor *x, double low, double high)
{
    kl_tensor *a = kl_op_greater(x, kl_scalar((kl_dtype)x->dtype, low));
    kl_tensor *b = kl_op_less(x, kl_scalar((kl_dtype)x->dtype, high));
    return step(kl_op_logical_and(a, b), x);
}

static kl_tensor *within(kl_tensor *x, double low, double high)
{
    kl_tensor *a = kl_op_greater_equal(x, kl_scalar((kl_dtype)x->dtype, low));
    kl_tensor *b = kl_op_less_equal(x, kl_scalar((kl_dtype)x->dtype, high));
    return step(kl_op_logical_and(a, b), x);
}

static kl_tensor *constant(const kl_tensor *like, double value)
{
    return kl_full((kl_dtype)like->dtype, like->rank, like->shape, value);
}

/* a where x > 0, else b. */
static kl_tensor *by_sign(kl_tensor *x, kl_tensor *a, kl_tensor *b)
{
    return kl_op_where(kl_op_greater(x, kl_scalar((kl_dtype)x->dtype, 0)), a, b);
}

SLOPE(s_neg)
{
    return constant(x, -1);
}

SLOPE(s_one)
{
    return constant(x, 1);
}

SLOPE(s_zero)
{
    return constant(x, 0);
}

SLOPE(s_abs)
{
    return kl_op_sign(x);
}

SLOPE(s_square)
{
    return S(x, 2);
}

SLOPE(s_sqrt)
{
    return kl_op_rdiv_scalar(y, 0.5);
}

SLOPE(s_rsqrt)
{
    return S(kl_op_pow_scalar(y, 3), -0.5);
}

SLOPE(s_reciprocal)
{
    return kl_op_neg(kl_op_square(y));
}

SLOPE(s_out)
{
    return kl_op_reshape(y, y->rank, y->shape);
}

SLOPE(s_expm1)
{
    return A(y, 1);
}

SLOPE(s_log)
{
    return kl_op_reciprocal(x);
}

SLOPE(s_log1p)
{
    return kl_op_reciprocal(A(x, 1));
}

SLOPE(s_log2)
{
    return kl_op_rdiv_scalar(x, 1.4426950408889634);
}

SLOPE(s_log10)
{
    return kl_op_rdiv_scalar(x, 0.4342944819032518);
}

SLOPE(s_sin)
{
    return kl_op_cos(x);
}

SLOPE(s_cos)
{
    return kl_op_neg(kl_op_sin(x));
}

SLOPE(s_tan)
{
    return A(kl_op_square(y), 1);
}

SLOPE(s_asin)
{
    return kl_op_rsqrt(kl_op_rsub_scalar(kl_op_square(x), 1));
}

SLOPE(s_acos)
{
    return kl_op_neg(s_asin(x, y, p));
}

SLOPE(s_atan)
{
    return kl_op_reciprocal(A(kl_op_square(x), 1));
}

SLOPE(s_sinh)
{
    return kl_op_cosh(x);
}

SLOPE(s_cosh)
{
    return kl_op_sinh(x);
}

SLOPE(s_tanh)
{
    return kl_op_rsub_scalar(kl_op_square(y), 1);
}

SLOPE(s_asinh)
{
    return kl_op_rsqrt(A(kl_op_square(x), 1));
}

SLOPE(s_acosh)
{
    return kl_op_rsqrt(A(kl_op_square(x), -1));
}

SLOPE(s_atanh)
{
    return kl_op_reciprocal(kl_op_rsub_scalar(kl_op_square(x), 1));
}

SLOPE(s_erf)
{
    return S(kl_op_exp(kl_op_neg(kl_op_square(x))), 1.1283791670955126);
}

SLOPE(s_clip)
{
    return within(x, p->p, p->q);
}

SLOPE(s_sigmoid)
{
    return MUL(y, kl_op_rsub_scalar(y, 1));
}

SLOPE(s_relu)
{
    return above(y, 0);
}

SLOPE(s_relu6)
{
    return between(x, 0, 6);
}

SLOPE(s_relu_general)
{
    kl_tensor *high = isinf(p->q) ? NULL : above(x, p->q > p->r ? p->q : p->r);
    kl_tensor *slope = ADD(S(below(x, p->r), p->p), above(x, p->r));
    return high ? kl_op_sub(slope, high) : slope;
}
SLOPE(s_leaky_relu)
{
    return ADD(S(above(x, 0), 1 - p->p), constant(x, p->p));
}

SLOPE(s_elu)
{
    return by_sign(x, constant(x, 1), A(y, p->p));
}

SLOPE(s_selu)
{
    return by_sign(x, constant(x, 1.0507009873554805),
                   A(y, 1.0507009873554805 * 1.6732632423543772));
}
SLOPE(s_celu)
{
    return by_sign(x, constant(x, 1), A(S(y, 1 / p->p), 1));
}

SLOPE(s_gelu)
{
    /* As the kernel has it. */
    const double root = 0.7071067690849304;
    kl_tensor *cdf = S(A(kl_op_erf(S(x, root)), 1), 0.5);
    kl_tensor *pdf = S(kl_op_exp(S(kl_op_square(x), -root * root)), root * 0.5641895835477563);
    return ADD(cdf, MUL(x, pdf));
}
SLOPE(s_gelu_tanh)
{
    const double c = 0.7978845608028654;
    kl_tensor *t = kl_op_tanh(S(ADD(x, S(kl_op_pow_scalar(x, 3), 0.044715)), c));
    kl_tensor *inner = A(S(kl_op_square(x), 3 * 0.044715 * c), c);
    kl_tensor *rest = MUL(MUL(S(x, 0.5), kl_op_rsub_scalar(kl_op_square(t), 1)), inner);
    return ADD(S(A(t, 1), 0.5), rest);
}
SLOPE(s_softplus)
{
    return kl_op_sigmoid(x);
}

SLOPE(s_softsign)
{
    return kl_op_reciprocal(kl_op_square(A(kl_op_abs(x), 1)));
}

SLOPE(s_silu)
{
    kl_tensor *s = kl_op_sigmoid(x);
    return MUL(s, A(MUL(x, kl_op_rsub_scalar(s, 1)), 1));
}
SLOPE(s_mish)
{
    kl_tensor *t = kl_op_tanh(kl_op_softplus(x));
    return ADD(t, MUL(MUL(x, kl_op_sigmoid(x)), kl_op_rsub_scalar(kl_op_square(t), 1)));
}
SLOPE(s_hard_sigmoid)
{
    return S(between(x, -3, 3), 1.0 / 6);
}

SLOPE(s_hard_silu)
{
    return ADD(MUL(between(x, -3, 3), A(S(x, 1.0 / 3), 0.5)),
               step(kl_op_greater_equal(x, kl_scalar((kl_dtype)x->dtype, 3)), x));
}
SLOPE(s_hard_tanh)
{
    return within(x, -1, 1);
}

SLOPE(s_shrink)
{
    return above(kl_op_abs(x), p->p);
}

SLOPE(s_tanh_shrink)
{
    return kl_op_square(kl_op_tanh(x));
}

SLOPE(s_threshold)
{
    return above(x, p->p);
}

SLOPE(s_squareplus)
{
    return S(A(MUL(x, kl_op_rsqrt(A(kl_op_square(x), p->p))), 1), 0.5);
}
SLOPE(s_sparse_plus)
{
    return ADD(MUL(between(x, -1, 1), S(A(x, 1), 0.5)),
               step(kl_op_greater_equal(x, kl_scalar((kl_dtype)x->dtype, 1)), x));
}
SLOPE(s_sparse_sigmoid)
{
    return S(between(x, -1, 1), 0.5);
}

SLOPE(s_log_sigmoid)
{
    return kl_op_sigmoid(kl_op_neg(x));
}

SLOPE(s_times)
{
    return constant(x, p->p);
}

SLOPE(s_pow)
{
    return S(kl_op_pow_scalar(x, p->p - 1), p->p);
}

SLOPE(s_rdiv)
{
    return S(kl_op_square(kl_op_reciprocal(x)), -p->p);
}

SLOPE(s_max)
{
    return step(kl_op_greater_equal(x, kl_scalar((kl_dtype)x->dtype, p->p)), x);
}

SLOPE(s_min)
{
    return step(kl_op_less_equal(x, kl_scalar((kl_dtype)x->dtype, p->p)), x);
}

static kl_status unary_forward(kl_op_frame *f)
{
    const unary_op *row = (const unary_op *)f->op;
    kl_tensor *x = f->in[0];
    kl_tensor *y = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    if (!y || !y->buffer)
        return y ? KL_OK : kl_last_status();
    kl_tensor *from = kl_dense_values(x);
    if (!from)
        return kl_last_status();
    if (x->dtype == KL_FLOAT32)
        kl_unary_f32(row->kernel, f->attrs, x->size, (const float *)from->data, (float *)y->data);
    else if (x->dtype == KL_FLOAT64)
        kl_unary_f64(row->kernel, f->attrs, x->size, (const double *)from->data, (double *)y->data);
    else
        return kl_error(KL_ERROR_DTYPE, "expected numbers, got %s",
                        kl_dtype_name((kl_dtype)x->dtype));
    kl_drop_copy(from, x);
    return KL_OK;
}

static kl_status unary_backward(kl_op_frame *f)
{
    const unary_op *row = (const unary_op *)f->op;
    kl_tensor *x = f->in[0], *y = f->out[0];
    if (f->recording) {
        f->din[0] = kl_op_mul(f->dout[0], row->slope(x, y, f->attrs));
        return f->din[0] ? KL_OK : kl_last_status();
    }
    kl_tensor *dy = kl_dense_values(f->dout[0]);
    kl_tensor *cx = x->buffer ? kl_dense_values(x) : dy, *cy = y->buffer ? kl_dense_values(y) : dy;
    kl_tensor *dx = f->din[0] = kl_empty((kl_dtype)x->dtype, x->rank, x->shape);
    if (!dy || !cx || !cy || !dx)
        return kl_last_status();
    if (x->dtype == KL_FLOAT32)
        kl_unary_grad_f32(row->kernel, f->attrs, x->size, (const float *)cx->data,
                          (const float *)cy->data, (const float *)dy->data, (float *)dx->data);
    else
        kl_unary_grad_f64(row->kernel, f->attrs, x->size, (const double *)cx->data,
                          (const double *)cy->data, (const double *)dy->data, (double *)dx->data);
    return KL_OK;
}

/* Fields of the parameters, for saved graphs. */
#define P_FIELD(name, member)                                                                      \
    {                                                                                              \
        name, KL_FIELD_FLOAT, offsetof(kl_unary_params, member), .doc = "parameter"                \
    }
static const kl_field alpha_fields[] = {P_FIELD("alpha", p), {0}};
static const kl_field slope_fields[] = {P_FIELD("negative_slope", p), {0}};
static const kl_field threshold_fields[] = {P_FIELD("threshold", p), {0}};
static const kl_field threshold2_fields[] = {
    P_FIELD("threshold", p), P_FIELD("default_value", q), {0}};
static const kl_field b_fields[] = {P_FIELD("b", p), {0}};
static const kl_field clip_fields[] = {P_FIELD("x_min", p), P_FIELD("x_max", q), {0}};

#define ROW(id, text, cls, kern, kin, kout, slopes, table)                                         \
    static const unary_op id##_op = {{.size = sizeof(kl_op),                                       \
                                      .name = text,                                                \
                                      .class_name = cls,                                           \
                                      .attrs_size = sizeof(kl_unary_params),                       \
                                      .fields = table,                                             \
                                      .forward = unary_forward,                                    \
                                      .backward = unary_backward,                                  \
                                      .keeps_in = kin,                                             \
                                      .keeps_out = kout},                                          \
                                     KL_UNARY_##kern,                                              \
                                     slopes};
/* id, Keras's class, kernel, keeps input, keeps output, derivative, fields, integers stay */
// clang-format off
#define PLAIN_ROWS(X) \
    X(neg, "Negative", NEG, 0, 0, s_neg, true) \
    X(abs, "Absolute", ABS, 1, 0, s_abs, true) \
    X(sign, "Sign", SIGN, 0, 0, s_zero, true) \
    X(square, "Square", SQUARE, 1, 0, s_square, true) \
    X(sqrt, "Sqrt", SQRT, 0, 1, s_sqrt, false) \
    X(rsqrt, "Rsqrt", RSQRT, 0, 1, s_rsqrt, false) \
    X(reciprocal, "Reciprocal", RECIPROCAL, 0, 1, s_reciprocal, false) \
    X(exp, "Exp", EXP, 0, 1, s_out, false) \
    X(expm1, "Expm1", EXPM1, 0, 1, s_expm1, false) \
    X(log, "Log", LOG, 1, 0, s_log, false) \
    X(log1p, "Log1p", LOG1P, 1, 0, s_log1p, false) \
    X(log2, "Log2", LOG2, 1, 0, s_log2, false) \
    X(log10, "Log10", LOG10, 1, 0, s_log10, false) \
    X(sin, "Sin", SIN, 1, 0, s_sin, false) \
    X(cos, "Cos", COS, 1, 0, s_cos, false) \
    X(tan, "Tan", TAN, 0, 1, s_tan, false) \
    X(asin, "Arcsin", ASIN, 1, 0, s_asin, false) \
    X(acos, "Arccos", ACOS, 1, 0, s_acos, false) \
    X(atan, "Arctan", ATAN, 1, 0, s_atan, false) \
    X(sinh, "Sinh", SINH, 1, 0, s_sinh, false) \
    X(cosh, "Cosh", COSH, 1, 0, s_cosh, false) \
    X(tanh, "Tanh", TANH, 0, 1, s_tanh, false) \
    X(asinh, "Arcsinh", ASINH, 1, 0, s_asinh, false) \
    X(acosh, "Arccosh", ACOSH, 1, 0, s_acosh, false) \
    X(atanh, "Arctanh", ATANH, 1, 0, s_atanh, false) \
    X(erf, "Erf", ERF, 1, 0, s_erf, false) \
    X(floor, "Floor", FLOOR, 0, 0, s_zero, true) \
    X(ceil, "Ceil", CEIL, 0, 0, s_zero, true) \
    X(round, "Round", ROUND, 0, 0, s_zero, true) \
    X(sigmoid, "Sigmoid", SIGMOID, 0, 1, s_sigmoid, false) \
    X(relu, "Relu", RELU, 0, 1, s_relu, true) \
    X(relu6, "Relu6", RELU6, 1, 0, s_relu6, true) \
    X(selu, "Selu", SELU, 1, 1, s_selu, false) \
    X(softplus, "Softplus", SOFTPLUS, 1, 0, s_softplus, false) \
    X(softsign, "Softsign", SOFTSIGN, 1, 0, s_softsign, false) \
    X(silu, "Silu", SILU, 1, 0, s_silu, false) \
    X(mish, "Mish", MISH, 1, 0, s_mish, false) \
    X(hard_sigmoid, "HardSigmoid", HARD_SIGMOID, 1, 0, s_hard_sigmoid, false) \
    X(hard_silu, "HardSilu", HARD_SILU, 1, 0, s_hard_silu, false) \
    X(hard_tanh, "HardTanh", HARD_TANH, 1, 0, s_hard_tanh, false) \
    X(tanh_shrink, "TanhShrink", TANH_SHRINK, 1, 0, s_tanh_shrink, false) \
    X(sparse_plus, "SparsePlus", SPARSE_PLUS, 1, 0, s_sparse_plus, false) \
    X(sparse_sigmoid, "SparseSigmoid", SPARSE_SIGMOID, 1, 0, s_sparse_sigmoid, false) \
    X(log_sigmoid, "LogSigmoid", LOG_SIGMOID, 1, 0, s_log_sigmoid, false)
// clang-format on

static kl_tensor *run(const unary_op *row, const kl_unary_params *params, kl_tensor *x,
                      bool integers_stay)
{
    static const kl_unary_params none;
    if (!params)
        params = &none;
    if (!x || x->symbol || kl_dtype_is_float((kl_dtype)x->dtype))
        return kl_run1(&row->op, params, 1, &x, 0);
    if (!integers_stay) {
        kl_tensor *wide = kl_op_cast(x, KL_FLOAT32);
        kl_tensor *y = kl_run1(&row->op, params, 1, &wide, 0);
        kl_drop(wide);
        return y;
    }
    kl_dtype dtype = (kl_dtype)x->dtype == KL_BOOL ? KL_INT32 : (kl_dtype)x->dtype;
    kl_tensor *wide = kl_op_cast(x, KL_FLOAT64);
    kl_tensor *y = kl_run1(&row->op, params, 1, &wide, 0);
    kl_tensor *back = kl_op_cast(y, dtype);
    kl_drop(wide);
    kl_drop(y);
    return back;
}

#define DEFINE_PLAIN(id, cls, kern, kin, kout, slopes, stay)                                       \
    ROW(id, #id, cls, kern, kin, kout, slopes, NULL)                                               \
    kl_tensor *kl_op_##id(kl_tensor *a)                                                            \
    {                                                                                              \
        return run(&id##_op, NULL, a, stay);                                                       \
    }
PLAIN_ROWS(DEFINE_PLAIN)

ROW(clip, "clip", "Clip", CLIP, 1, 0, s_clip, clip_fields)
kl_tensor *kl_op_clip(kl_tensor *a, double low, double high)
{
    return run(&clip_op, &(kl_unary_params){low, high, 0}, a, true);
}

ROW(relu_general, "relu", NULL, RELU_GENERAL, 1, 0, s_relu_general, NULL)
kl_tensor *kl_op_relu_general(kl_tensor *a, double negative_slope, double max_value,
                              double threshold)
{
    if (isnan(max_value) && threshold == 0)
        return negative_slope == 0 ? kl_op_relu(a) : kl_op_leaky_relu(a, negative_slope);
    double most = isnan(max_value) ? INFINITY : max_value;
    return run(&relu_general_op, &(kl_unary_params){negative_slope, most, threshold}, a, true);
}

ROW(leaky_relu, "leaky_relu", "LeakyRelu", LEAKY_RELU, 1, 0, s_leaky_relu, slope_fields)
kl_tensor *kl_op_leaky_relu(kl_tensor *a, double negative_slope)
{
    /* Keras's slope is a float32, also for float64. */
    double slope = (double)(float)negative_slope;
    return run(&leaky_relu_op, &(kl_unary_params){slope, 0, 0}, a, false);
}

ROW(elu, "elu", "Elu", ELU, 1, 1, s_elu, alpha_fields)
kl_tensor *kl_op_elu(kl_tensor *a, double alpha)
{
    return run(&elu_op, &(kl_unary_params){alpha, 0, 0}, a, false);
}

ROW(celu, "celu", "Celu", CELU, 1, 1, s_celu, alpha_fields)
kl_tensor *kl_op_celu(kl_tensor *a, double alpha)
{
    return run(&celu_op, &(kl_unary_params){alpha, 0, 0}, a, false);
}

ROW(gelu, "gelu", "Gelu", GELU, 1, 0, s_gelu, NULL)
ROW(gelu_tanh, "gelu", NULL, GELU_TANH, 1, 0, s_gelu_tanh, NULL)
kl_tensor *kl_op_gelu(kl_tensor *a, bool approximate)
{
    return run(approximate ? &gelu_tanh_op : &gelu_op, NULL, a, false);
}

ROW(hard_shrink, "hard_shrink", "HardShrink", HARD_SHRINK, 1, 0, s_shrink, threshold_fields)
kl_tensor *kl_op_hard_shrink(kl_tensor *a, double threshold)
{
    return run(&hard_shrink_op, &(kl_unary_params){threshold, 0, 0}, a, false);
}

ROW(soft_shrink, "soft_shrink", "SoftShrink", SOFT_SHRINK, 1, 0, s_shrink, threshold_fields)
kl_tensor *kl_op_soft_shrink(kl_tensor *a, double threshold)
{
    return run(&soft_shrink_op, &(kl_unary_params){threshold, 0, 0}, a, false);
}

ROW(threshold, "threshold", "Threshold", THRESHOLD, 1, 0, s_threshold, threshold2_fields)
kl_tensor *kl_op_threshold(kl_tensor *a, double threshold, double default_value)
{
    return run(&threshold_op, &(kl_unary_params){threshold, default_value, 0}, a, false);
}

ROW(squareplus, "squareplus", "Squareplus", SQUAREPLUS, 1, 0, s_squareplus, b_fields)
kl_tensor *kl_op_squareplus(kl_tensor *a, double b)
{
    return run(&squareplus_op, &(kl_unary_params){b, 0, 0}, a, false);
}

ROW(add_scalar, "add_scalar", NULL, ADD_SCALAR, 0, 0, s_one, NULL)
ROW(mul_scalar, "mul_scalar", NULL, MUL_SCALAR, 0, 0, s_times, NULL)
ROW(pow_scalar, "pow_scalar", NULL, POW_SCALAR, 1, 0, s_pow, NULL)
ROW(rsub_scalar, "rsub_scalar", NULL, RSUB_SCALAR, 0, 0, s_neg, NULL)
ROW(rdiv_scalar, "rdiv_scalar", NULL, RDIV_SCALAR, 1, 1, s_rdiv, NULL)
ROW(maximum_scalar, "maximum_scalar", NULL, MAX_SCALAR, 1, 0, s_max, NULL)
ROW(minimum_scalar, "minimum_scalar", NULL, MIN_SCALAR, 1, 0, s_min, NULL)

/* With a symbolic tensor the operation with a constant is recorded, as Keras has it. */
typedef kl_tensor *binary_function(kl_tensor *a, kl_tensor *b);

static kl_tensor *with_scalar(const unary_op *row, kl_tensor *a, double b, bool stay,
                              binary_function *symbolic, bool scalar_first)
{
    if (!a || !a->symbol)
        return run(row, &(kl_unary_params){b, 0, 0}, a, stay && b == floor(b));
    kl_tensor *c = kl_scalar((kl_dtype)a->dtype, b);
    kl_tensor *y = scalar_first ? symbolic(c, a) : symbolic(a, c);
    kl_drop(c);
    return y;
}

kl_tensor *kl_op_add_scalar(kl_tensor *a, double b)
{
    return with_scalar(&add_scalar_op, a, b, true, kl_op_add, false);
}

kl_tensor *kl_op_mul_scalar(kl_tensor *a, double b)
{
    return with_scalar(&mul_scalar_op, a, b, true, kl_op_mul, false);
}

kl_tensor *kl_op_pow_scalar(kl_tensor *a, double b)
{
    if (b == 2 && a && !a->symbol)
        return kl_op_square(a);
    return with_scalar(&pow_scalar_op, a, b, true, kl_op_pow, false);
}

kl_tensor *kl_op_rsub_scalar(kl_tensor *a, double b)
{
    return with_scalar(&rsub_scalar_op, a, b, true, kl_op_sub, true);
}

kl_tensor *kl_op_rdiv_scalar(kl_tensor *a, double b)
{
    return with_scalar(&rdiv_scalar_op, a, b, false, kl_op_div, true);
}

kl_tensor *kl_op_maximum_scalar(kl_tensor *a, double b)
{
    return with_scalar(&maximum_scalar_op, a, b, true, kl_op_maximum, false);
}

kl_tensor *kl_op_minimum_scalar(kl_tensor *a, double b)
{
    return with_scalar(&minimum_scalar_op, a, b, true, kl_op_minimum, false);
}

#define LISTED(id, cls, kern, kin, kout, slopes, stay) &id##_op.op,
const kl_op *const kl_unary_ops[] = {PLAIN_ROWS(LISTED) & clip_op.op,
                                     &leaky_relu_op.op,
                                     &elu_op.op,
                                     &celu_op.op,
                                     &gelu_op.op,
                                     &hard_shrink_op.op,
                                     &soft_shrink_op.op,
                                     &threshold_op.op,
                                     &squareplus_op.op,
                                     NULL};
