/* Derivatives of the ops that work element by element, and of their broadcasting. */
#include "ops/gradcheck.h"

/* name, expression of x, range of the [3, 5] input, flags */
// clang-format off
#define UNARY(X) \
    X(neg, kl_op_neg(x), -2, 2) \
    X(abs, kl_op_abs(x), -2, 2) \
    X(square, kl_op_square(x), -2, 2) \
    X(sqrt, kl_op_sqrt(x), 0.3, 3) \
    X(rsqrt, kl_op_rsqrt(x), 0.3, 3) \
    X(reciprocal, kl_op_reciprocal(x), 0.4, 3) \
    X(exp, kl_op_exp(x), -2, 2) \
    X(expm1, kl_op_expm1(x), -2, 2) \
    X(log, kl_op_log(x), 0.3, 3) \
    X(log1p, kl_op_log1p(x), -0.6, 3) \
    X(log2, kl_op_log2(x), 0.3, 3) \
    X(log10, kl_op_log10(x), 0.3, 3) \
    X(sin, kl_op_sin(x), -3, 3) \
    X(cos, kl_op_cos(x), -3, 3) \
    X(tan, kl_op_tan(x), -1, 1) \
    X(asin, kl_op_asin(x), -0.8, 0.8) \
    X(acos, kl_op_acos(x), -0.8, 0.8) \
    X(atan, kl_op_atan(x), -3, 3) \
    X(sinh, kl_op_sinh(x), -2, 2) \
    X(cosh, kl_op_cosh(x), -2, 2) \
    X(tanh, kl_op_tanh(x), -2, 2) \
    X(asinh, kl_op_asinh(x), -3, 3) \
    X(acosh, kl_op_acosh(x), 1.5, 4) \
    X(atanh, kl_op_atanh(x), -0.8, 0.8) \
    X(erf, kl_op_erf(x), -2, 2) \
    X(clip, kl_op_clip(x, -0.7, 0.9), -2, 2) \
    X(sigmoid, kl_op_sigmoid(x), -4, 4) \
    X(relu, kl_op_relu(x), -2, 2) \
    X(relu_general, kl_op_relu_general(x, 0.2, 1.5, 0.4), -3, 3) \
    X(relu_unbounded, kl_op_relu_general(x, 0.2, NAN, 0.4), -3, 3) \
    X(relu_capped, kl_op_relu_general(x, 0, 1.5, 0), -3, 3) \
    X(relu6, kl_op_relu6(x), -4, 10) \
    X(leaky_relu, kl_op_leaky_relu(x, 0.3), -2, 2) \
    X(elu, kl_op_elu(x, 0.7), -2, 2) \
    X(selu, kl_op_selu(x), -2, 2) \
    X(celu, kl_op_celu(x, 1.3), -2, 2) \
    X(gelu, kl_op_gelu(x, false), -3, 3) \
    X(gelu_tanh, kl_op_gelu(x, true), -3, 3) \
    X(softplus, kl_op_softplus(x), -4, 4) \
    X(softsign, kl_op_softsign(x), -4, 4) \
    X(silu, kl_op_silu(x), -4, 4) \
    X(mish, kl_op_mish(x), -4, 4) \
    X(hard_sigmoid, kl_op_hard_sigmoid(x), -5, 5) \
    X(hard_silu, kl_op_hard_silu(x), -5, 5) \
    X(hard_tanh, kl_op_hard_tanh(x), -2, 2) \
    X(hard_shrink, kl_op_hard_shrink(x, 0.6), -2, 2) \
    X(soft_shrink, kl_op_soft_shrink(x, 0.6), -2, 2) \
    X(tanh_shrink, kl_op_tanh_shrink(x), -2, 2) \
    X(threshold, kl_op_threshold(x, 0.3, -1.5), -2, 2) \
    X(squareplus, kl_op_squareplus(x, 4), -3, 3) \
    X(sparse_plus, kl_op_sparse_plus(x), -3, 3) \
    X(sparse_sigmoid, kl_op_sparse_sigmoid(x), -3, 3) \
    X(log_sigmoid, kl_op_log_sigmoid(x), -4, 4) \
    X(softmax, kl_op_softmax(x, -1), -3, 3) \
    X(softmax_first, kl_op_softmax(x, 0), -3, 3) \
    X(log_softmax, kl_op_log_softmax(x, -1), -3, 3) \
    X(log_softmax_first, kl_op_log_softmax(x, 0), -3, 3) \
    X(sparsemax, kl_op_sparsemax(x, -1), -1.5, 1.5) \
    X(sparsemax_first, kl_op_sparsemax(x, 0), -1.5, 1.5) \
    X(add_scalar, kl_op_add_scalar(x, 1.7), -2, 2) \
    X(mul_scalar, kl_op_mul_scalar(x, -1.7), -2, 2) \
    X(pow_scalar, kl_op_pow_scalar(x, 2.5), 0.3, 2) \
    X(pow_cube, kl_op_pow_scalar(x, 3), -2, 2) \
    X(pow_inverse, kl_op_pow_scalar(x, -1), 0.5, 2) \
    X(rsub_scalar, kl_op_rsub_scalar(x, 1.7), -2, 2) \
    X(rdiv_scalar, kl_op_rdiv_scalar(x, 1.7), 0.5, 2) \
    X(maximum_scalar, kl_op_maximum_scalar(x, 0.4), -2, 2) \
    X(minimum_scalar, kl_op_minimum_scalar(x, 0.4), -2, 2) \
    X(used_twice, kl_op_mul(kl_op_sin(x), kl_op_exp(x)), -2, 2) \
    X(squared_by_mul, kl_op_mul(x, x), -2, 2)

/* name, expression of a and b, range of a, range of b */
#define BINARY(X) \
    X(add, kl_op_add(a, b), -2, 2, -2, 2) \
    X(sub, kl_op_sub(a, b), -2, 2, -2, 2) \
    X(mul, kl_op_mul(a, b), -2, 2, -2, 2) \
    X(div, kl_op_div(a, b), -2, 2, 0.4, 2) \
    X(mod, kl_op_mod(a, b), -5, 5, 1.2, 1.9) \
    X(pow, kl_op_pow(a, b), 0.4, 2, -2, 2) \
    X(maximum, kl_op_maximum(a, b), -2, 2, -2, 2) \
    X(minimum, kl_op_minimum(a, b), -2, 2, -2, 2) \
    X(squared_difference, kl_op_squared_difference(a, b), -2, 2, -2, 2) \
    X(atan2, kl_op_atan2(a, b), 0.3, 2, -2, 2) \
    X(where, kl_op_where(kl_op_greater(a, b), a, kl_op_mul(a, b)), -2, 2, -2, 2)
// clang-format on

#define UNARY_FUNCTION(name, expression, low, high)                                                \
    static kl_tensor *unary_##name(kl_tensor *const *in)                                           \
    {                                                                                              \
        kl_tensor *x = in[0];                                                                      \
        return expression;                                                                         \
    }
UNARY(UNARY_FUNCTION)
#define BINARY_FUNCTION(name, expression, al, ah, bl, bh)                                          \
    static kl_tensor *binary_##name(kl_tensor *const *in)                                          \
    {                                                                                              \
        kl_tensor *a = in[0], *b = in[1];                                                          \
        return expression;                                                                         \
    }
BINARY(BINARY_FUNCTION)

/* 19 elements pass a whole vector of any instruction set and leave a tail. */
#define UNARY_ROW(name, expression, low, high) {#name, unary_##name, 0, {{2, {2, 19}, low, high}}},
static const gradcheck_case unary_cases[] = {UNARY(UNARY_ROW)};

#define SAME_ROW(name, expression, al, ah, bl, bh)                                                 \
    {#name, binary_##name, 0, {{2, {3, 5}, al, ah}, {2, {3, 5}, bl, bh}}},
static const gradcheck_case same_cases[] = {BINARY(SAME_ROW)};
#define ROW_ROW(name, expression, al, ah, bl, bh)                                                  \
    {#name " by a row", binary_##name, 0, {{3, {2, 3, 4}, al, ah}, {1, {4}, bl, bh}}},
#define COLUMN_ROW(name, expression, al, ah, bl, bh)                                               \
    {#name " of a column", binary_##name, 0, {{2, {3, 1}, al, ah}, {3, {2, 1, 4}, bl, bh}}},
#define SCALAR_ROW(name, expression, al, ah, bl, bh)                                               \
    {#name " by a scalar", binary_##name, 0, {{2, {3, 4}, al, ah}, {0, {0}, bl, bh}}},
static const gradcheck_case broadcast_cases[] = {BINARY(ROW_ROW) BINARY(COLUMN_ROW)
                                                     BINARY(SCALAR_ROW)};

static void run_all(const gradcheck_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gradcheck_run(&cases[i]);
}

static void unary_ops(void **state)
{
    (void)state;
    run_all(unary_cases, sizeof unary_cases / sizeof *unary_cases);
}

static void binary_ops(void **state)
{
    (void)state;
    run_all(same_cases, sizeof same_cases / sizeof *same_cases);
}

static void broadcast_ops(void **state)
{
    (void)state;
    run_all(broadcast_cases, sizeof broadcast_cases / sizeof *broadcast_cases);
}

static kl_tensor *where_broadcast(kl_tensor *const *x)
{
    const bool truth[3] = {true, false, true};
    kl_tensor *c = kl_from_data(KL_BOOL, KL_DIMS(3, 1), truth);
    return kl_op_where(c, x[0], x[1]);
}

static kl_tensor *glu_last(kl_tensor *const *x)
{
    return kl_op_glu(x[0], -1);
}

static kl_tensor *glu_first(kl_tensor *const *x)
{
    return kl_op_glu(x[0], 0);
}

static kl_tensor *stopped(kl_tensor *const *x)
{
    return kl_op_mul(x[0], kl_op_sin(x[0]));
}

static kl_tensor *cast_there_and_back(kl_tensor *const *x)
{
    return kl_op_cast(kl_op_cast(kl_op_exp(x[0]), KL_FLOAT64), (kl_dtype)x[0]->dtype);
}

static const gradcheck_case odd_cases[] = {
    {"where broadcast",
     where_broadcast,
     GRADCHECK_READS_DATA,
     {{1, {4}, -1, 1}, {2, {3, 1}, -1, 1}}},
    {"glu", glu_last, 0, {{2, {3, 8}, -2, 2}}},
    {"glu along the first axis", glu_first, 0, {{2, {4, 3}, -2, 2}}},
    {"product", stopped, 0, {{2, {4, 3}, -2, 2}}},
    {"cast", cast_there_and_back, 0, {{2, {4, 3}, -2, 2}}},
};

static void other_ops(void **state)
{
    (void)state;
    run_all(odd_cases, sizeof odd_cases / sizeof *odd_cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(unary_ops), cmocka_unit_test(binary_ops),
                                       cmocka_unit_test(broadcast_ops),
                                       cmocka_unit_test(other_ops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
