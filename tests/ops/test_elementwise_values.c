/* Values of the ops that work element by element: Keras 3's for activations, libm's for functions,
   Python's for whole numbers; dtypes, broadcasting, bad input. */
#include "ops/gradcheck.h"

#define POINTS 11
static const double points[POINTS] = {-7.5, -3, -1.25, -0.5, -0.1, 0, 0.3, 0.5, 1, 2.5, 6.5};

// clang-format off
/* What Keras 3 gives at the points, with some constants in float32. */
#define ACTIVATIONS(X) \
    X(sigmoid, kl_op_sigmoid(x), 0.0005527786369236, 0.0474258731775668, 0.222700138825309, 0.377540668798145, 0.47502081252106, 0.5, 0.574442516811659, 0.622459331201855, 0.731058578630005, 0.924141819978756, 0.998498817743263) \
    X(relu_general, kl_op_relu_general(x, 0.2, 1.5, 0.4), -1.58, -0.68, -0.33, -0.18, -0.1, -0.08, -0.02, 0.5, 1, 1.5, 1.5) \
    X(relu_at_threshold, kl_op_relu_general(x, 0.2, NAN, 0.5), -1.6, -0.7, -0.35, -0.2, -0.12, -0.1, -0.04, 0, 1, 2.5, 6.5) \
    X(relu, kl_op_relu(x), 0, 0, 0, 0, 0, 0, 0.3, 0.5, 1, 2.5, 6.5) \
    X(relu6, kl_op_relu6(x), 0, 0, 0, 0, 0, 0, 0.3, 0.5, 1, 2.5, 6) \
    X(leaky_relu, kl_op_leaky_relu(x, 0.3), -2.25, -0.9, -0.375, -0.15, -0.03, 0, 0.3, 0.5, 1, 2.5, 6.5) \
    X(elu, kl_op_elu(x, 0.7), -0.699612840940896, -0.665149052142495, -0.499446642197867, -0.275428538201157, -0.0666138073748283, 0, 0.3, 0.5, 1, 2.5, 6.5) \
    X(selu, kl_op_selu(x), -1.75712696358079, -1.67056872876711, -1.25439544633787, -0.691758187802871, -0.167305272624314, 0, 0.315210296206644, 0.52535049367774, 1.05070098735548, 2.6267524683887, 6.82955641781062) \
    X(celu, kl_op_celu(x, 1.3), -1.29594119427386, -1.17066224535668, -0.803004445240295, -0.415073882179599, -0.0962505977649892, 0, 0.3, 0.5, 1, 2.5, 6.5) \
    X(gelu, kl_op_gelu(x, false), -2.3931710981505e-13, -0.00404969477752103, -0.132062221967797, -0.154268770869329, -0.0460172163402326, 0, 0.18537342606924, 0.345731229130671, 0.84134474192739, 2.48447583481066, 6.49999999973896) \
    X(gelu_tanh, kl_op_gelu(x, true), 0, -0.0036373923237909, -0.132285797600298, -0.154285990207757, -0.0460172489546261, 0, 0.185370923538041, 0.345714009792243, 0.841191990278676, 2.48491573333199, 6.49999999999937) \
    X(softplus, kl_op_softplus(x), 0.000552931475360796, 0.0485873515737421, 0.251929081345373, 0.474076984180107, 0.644396660073571, 0.693147180559945, 0.854355244468527, 0.974076984180107, 1.31326168751822, 2.57888973429255, 6.50150231015975) \
    X(softsign, kl_op_softsign(x), -0.882352941176471, -0.75, -0.555555555555556, -0.333333333333333, -0.0909090909090909, 0, 0.230769230769231, 0.333333333333333, 0.5, 0.714285714285714, 0.866666666666667) \
    X(silu, kl_op_silu(x), -0.004145839776927, -0.1422776195327, -0.278375173531636, -0.188770334399073, -0.047502081252106, 0, 0.172332755043498, 0.311229665600927, 0.731058578630005, 2.31035454994689, 6.49024231533121) \
    X(mish, kl_op_mish(x), -0.00414698564258223, -0.145647461275625, -0.308413961141528, -0.22074377465173, -0.0567885752128447, 0, 0.208001372348115, 0.375245211304895, 0.86509838826731, 2.47139230455788, 6.49997070393984) \
    X(hard_sigmoid, kl_op_hard_sigmoid(x), 0, 0, 0.291666666666667, 0.416666666666667, 0.483333333333333, 0.5, 0.55, 0.583333333333333, 0.666666666666667, 0.916666666666667, 1) \
    X(hard_silu, kl_op_hard_silu(x), 0, 0, -0.364583333333333, -0.208333333333333, -0.0483333333333333, 0, 0.165, 0.291666666666667, 0.666666666666667, 2.29166666666667, 6.5) \
    X(hard_tanh, kl_op_hard_tanh(x), -1, -1, -1, -0.5, -0.1, 0, 0.3, 0.5, 1, 1, 1) \
    X(hard_shrink, kl_op_hard_shrink(x, 0.5), -7.5, -3, -1.25, 0, 0, 0, 0, 0, 1, 2.5, 6.5) \
    X(soft_shrink, kl_op_soft_shrink(x, 0.5), -7, -2.5, -0.75, 0, 0, 0, 0, 0, 0.5, 2, 6) \
    X(tanh_shrink, kl_op_tanh_shrink(x), -6.50000061180445, -2.00494524631327, -0.401716360042487, -0.0378828427399902, -0.000332005375044173, 0, 0.00868738754840914, 0.0378828427399902, 0.238405844044235, 1.51338570184857, 5.5000045206486) \
    X(threshold, kl_op_threshold(x, 0.5, -2), -2, -2, -2, -2, -2, -2, -2, -2, 1, 2.5, 6.5) \
    X(squareplus, kl_op_squareplus(x, 4), 0.131043674065006, 0.302775637731995, 0.554247641507075, 0.780776406404415, 0.951249219725039, 1, 1.16118742080783, 1.28077640640442, 1.61803398874989, 2.85078105935821, 6.65036762718386) \
    X(sparse_plus, kl_op_sparse_plus(x), 0, 0, 0, 0.0625, 0.2025, 0.25, 0.4225, 0.5625, 1, 2.5, 6.5) \
    X(sparse_sigmoid, kl_op_sparse_sigmoid(x), 0, 0, 0, 0.25, 0.45, 0.5, 0.65, 0.75, 1, 1, 1) \
    X(log_sigmoid, kl_op_log_sigmoid(x), -7.50055293147536, -3.04858735157374, -1.50192908134537, -0.974076984180107, -0.744396660073571, -0.693147180559945, -0.554355244468527, -0.474076984180107, -0.313261687518223, -0.0788897342925496, -0.00150231015975428) \
    X(softmax, kl_op_softmax(x, -1), 8.06375677856062e-07, 7.25876252711164e-05, 0.000417712942630068, 0.000884298306487183, 0.00131921805369993, 0.00145796142754952, 0.0019680420740838, 0.00240377201746122, 0.00396315005510207, 0.0177616062860606, 0.969750844835977) \
    X(log_softmax, kl_op_log_softmax(x, -1), -14.030716101473, -9.53071610147298, -7.78071610147298, -7.03071610147298, -6.63071610147298, -6.53071610147298, -6.23071610147298, -6.03071610147298, -5.53071610147298, -4.03071610147298, -0.0307161014729823) \
    X(sparsemax, kl_op_sparsemax(x, -1), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) \
    X(round, kl_op_round(x), -8, -3, -1, 0, 0, 0, 0, 0, 1, 2, 6) \
    X(sign, kl_op_sign(x), -1, -1, -1, -1, -1, 0, 1, 1, 1, 1, 1) \
    X(glu, kl_op_glu(kl_op_slice(x, 0, 0, 10, 1), -1), -3.75, -1.72332755043498, -0.778074164002318, -0.365529289315002, -0.0924141819978757) \
    X(cumprod, kl_op_cumprod(x, 0), -7.5, 22.5, -28.125, 14.0625, -1.40625, 0, 0, 0, 0, 0, 0)

/* libm's, on arguments that are in the domain; `v` is the point. */
#define FUNCTIONS(X) \
    X(exp, exp(v), true) X(expm1, expm1(v), true) X(log, log(v), v > 0) X(log1p, log1p(v), v > -1) \
    X(log2, log2(v), v > 0) X(log10, log10(v), v > 0) X(sin, sin(v), true) X(cos, cos(v), true) \
    X(tan, tan(v), true) X(asin, asin(v), fabs(v) <= 1) X(acos, acos(v), fabs(v) <= 1) \
    X(atan, atan(v), true) X(sinh, sinh(v), true) X(cosh, cosh(v), true) X(tanh, tanh(v), true) \
    X(asinh, asinh(v), true) X(acosh, acosh(v), v >= 1) X(atanh, atanh(v), fabs(v) < 1) \
    X(erf, erf(v), true) X(floor, floor(v), true) X(ceil, ceil(v), true) X(sqrt, sqrt(v), v >= 0) \
    X(rsqrt, 1 / sqrt(v), v > 0) X(reciprocal, 1 / v, v != 0) X(square, v * v, true) \
    X(abs, fabs(v), true) X(neg, -v, true)
// clang-format on

typedef struct known {
    const char *name;
    kl_tensor *(*run)(kl_tensor *x);
    double y[POINTS];
    int count;
} known;

#define ACTIVATION_FUNCTION(name, expression, ...)                                                 \
    static kl_tensor *run_##name(kl_tensor *x)                                                     \
    {                                                                                              \
        return expression;                                                                         \
    }
ACTIVATIONS(ACTIVATION_FUNCTION)
#define ACTIVATION_ROW(name, expression, ...)                                                      \
    {#name, run_##name, {__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double)},
static const known activations[] = {ACTIVATIONS(ACTIVATION_ROW)};

typedef struct function {
    const char *name;
    kl_tensor *(*run)(kl_tensor *x);
    double (*of)(double v);
    bool (*allowed)(double v);
} function;
#define FUNCTION_PAIR(name, value, domain)                                                         \
    static double value_##name(double v)                                                           \
    {                                                                                              \
        return value;                                                                              \
    }                                                                                              \
    static bool domain_##name(double v)                                                            \
    {                                                                                              \
        return domain;                                                                             \
    }
FUNCTIONS(FUNCTION_PAIR)
#define FUNCTION_ROW(name, value, domain) {#name, kl_op_##name, value_##name, domain_##name},
static const function functions[] = {FUNCTIONS(FUNCTION_ROW)};

static void expect(const char *name, const kl_tensor *y, int64_t i, double value, double tolerance)
{
    double got = kl_tensor_at(y, i);
    if (!(fabs(got - value) <= tolerance * fmax(1, fabs(value))) && !(isnan(got) && isnan(value)))
        fail_msg("%s[%lld] is %.15g, expected %.15g", name, (long long)i, got, value);
}

static const struct {
    kl_dtype dtype;
    double tolerance;
} precisions[] = {{KL_FLOAT64, 1e-12}, {KL_FLOAT32, 1e-6}, {KL_FLOAT16, 1e-2}, {KL_BFLOAT16, 6e-2}};

static void activations_are_keras_s(void **state)
{
    (void)state;
    for (int p = 0; p < 4; p++)
        for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
            const known *k = &activations[i];
            kl_scope *scope = kl_scope_begin();
            kl_tensor *wide = kl_from_data(KL_FLOAT64, KL_DIMS(POINTS), points);
            kl_tensor *y = k->run(kl_op_cast(wide, precisions[p].dtype));
            if (!y)
                fail_msg("%s: %s", k->name, kl_last_error());
            assert_int_equal(y->dtype, precisions[p].dtype);
            assert_int_equal(y->size, k->count);
            /* The points themselves are rounded in half precision: compare away from steps. */
            bool steps = !strcmp(k->name, "cumprod");
            for (int v = 0; v < k->count && !(p > 1 && steps); v++)
                expect(k->name, y, v, k->y[v], fmax(precisions[p].tolerance, 1e-6));
            kl_scope_end(scope);
        }
}

static void functions_are_libm_s(void **state)
{
    (void)state;
    for (int p = 0; p < 2; p++)
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
            const function *f = &functions[i];
            for (int v = 0; v < POINTS; v++) {
                double at = p ? (double)(float)points[v] : points[v];
                if (!f->allowed(at))
                    continue;
                kl_scope *scope = kl_scope_begin();
                kl_tensor *y = f->run(kl_full(precisions[p].dtype, KL_DIMS(19), at));
                for (int k = 0; k < 19; k++)
                    expect(f->name, y, k, f->of(at), precisions[p].tolerance);
                kl_scope_end(scope);
            }
        }
}

static kl_tensor *pair_run(kl_tensor *(*op)(kl_tensor *, kl_tensor *), kl_dtype da, double a,
                           kl_dtype db, double b)
{
    return op(kl_full(da, KL_DIMS(3), a), kl_full(db, KL_DIMS(3), b));
}

static void whole_numbers_follow_python(void **state)
{
    (void)state;
    static const struct {
        kl_tensor *(*op)(kl_tensor *, kl_tensor *);
        double a, b, y;
    } rows[] = {
        {kl_op_floor_div, 7, 2, 3},   {kl_op_floor_div, -7, 2, -4},
        {kl_op_floor_div, 7, -2, -4}, {kl_op_mod, 7, 3, 1},
        {kl_op_mod, -7, 3, 2},        {kl_op_mod, 7, -3, -2},
        {kl_op_pow, 3, 4, 81},        {kl_op_maximum, -2, 5, 5},
        {kl_op_minimum, -2, 5, -2},   {kl_op_sub, 3, 5, -2},
        {kl_op_mul, -3, 5, -15},      {kl_op_squared_difference, 3, 5, 4},
    };
    static const kl_dtype dtypes[] = {KL_INT32, KL_INT64, KL_FLOAT32, KL_FLOAT64};
    for (size_t d = 0; d < 4; d++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            kl_scope *scope = kl_scope_begin();
            kl_tensor *y = pair_run(rows[i].op, dtypes[d], rows[i].a, dtypes[d], rows[i].b);
            assert_non_null(y);
            assert_int_equal(y->dtype, dtypes[d]);
            char name[40];
            snprintf(name, sizeof name, "row %zu in %s", i, kl_dtype_name(dtypes[d]));
            expect(name, y, 2, rows[i].y, 1e-6);
            kl_scope_end(scope);
        }
}

static void dtypes_are_promoted(void **state)
{
    (void)state;
    static const struct {
        kl_dtype a, b, sum, quotient;
    } rows[] = {{KL_BOOL, KL_UINT8, KL_UINT8, KL_FLOAT32},
                {KL_UINT8, KL_INT32, KL_INT32, KL_FLOAT32},
                {KL_INT32, KL_INT64, KL_INT64, KL_FLOAT32},
                {KL_INT64, KL_FLOAT16, KL_FLOAT16, KL_FLOAT16},
                {KL_FLOAT16, KL_BFLOAT16, KL_FLOAT32, KL_FLOAT32},
                {KL_BFLOAT16, KL_FLOAT32, KL_FLOAT32, KL_FLOAT32},
                {KL_FLOAT32, KL_FLOAT64, KL_FLOAT64, KL_FLOAT64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *y = pair_run(kl_op_add, rows[i].a, 1, rows[i].b, 1);
        kl_tensor *q = pair_run(kl_op_div, rows[i].b, 1, rows[i].a, 1);
        assert_non_null(y);
        assert_non_null(q);
        assert_string_equal(kl_dtype_name((kl_dtype)y->dtype), kl_dtype_name(rows[i].sum));
        assert_string_equal(kl_dtype_name((kl_dtype)q->dtype), kl_dtype_name(rows[i].quotient));
        expect("sum", y, 0, 2, 0);
        expect("quotient", q, 0, 1, 0);
        kl_scope_end(scope);
    }
}

static void comparisons_and_logic(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const double a[] = {1, 2, 3, NAN}, b[] = {2, 2, 2, NAN};
    kl_tensor *x = kl_from_data(KL_FLOAT64, KL_DIMS(4), a),
              *z = kl_from_data(KL_FLOAT64, KL_DIMS(4), b);
    kl_tensor *results[] = {
        kl_op_equal(x, z),      kl_op_not_equal(x, z), kl_op_less(x, z),
        kl_op_less_equal(x, z), kl_op_greater(x, z),   kl_op_greater_equal(x, z),
        kl_op_is_nan(x),        kl_op_is_finite(x),    kl_op_logical_not(kl_op_less(x, z))};
    static const char *const expected[] = {"0100", "1011", "1000", "1100", "0010",
                                           "0110", "0001", "1110", "0111"};
    for (int r = 0; r < 9; r++) {
        assert_non_null(results[r]);
        assert_int_equal(results[r]->dtype, KL_BOOL);
        for (int i = 0; i < 4; i++)
            assert_int_equal(kl_tensor_at(results[r], i), expected[r][i] - '0');
    }
    kl_tensor *p = kl_op_less(x, z), *q = kl_op_equal(x, z);
    kl_tensor *logic[] = {kl_op_logical_and(p, q), kl_op_logical_or(p, q), kl_op_logical_xor(p, p)};
    static const char *const truth[] = {"0000", "1100", "0000"};
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < 4; i++)
            assert_int_equal(kl_tensor_at(logic[r], i), truth[r][i] - '0');
    const char *left[] = {"ab", "", "cd"}, *right[] = {"ab", "x", "ce"};
    kl_tensor *same =
        kl_op_equal(kl_from_strings(KL_DIMS(3), left), kl_from_strings(KL_DIMS(3), right));
    assert_non_null(same);
    assert_true(kl_tensor_at(same, 0) == 1 && kl_tensor_at(same, 1) == 0 &&
                kl_tensor_at(same, 2) == 0);
    kl_scope_end(scope);
}

static void shapes_broadcast(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *column = kl_op_reshape(kl_arange(KL_FLOAT32, 0, 3, 1), KL_DIMS(3, 1));
    kl_tensor *row = kl_arange(KL_FLOAT32, 0, 4, 1);
    kl_tensor *y = kl_op_add(kl_op_mul_scalar(column, 10), row);
    assert_int_equal(y->rank, 2);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++)
            assert_true(kl_tensor_at(y, 4 * r + c) == 10 * r + c);
    kl_tensor *empty =
        kl_op_add(kl_zeros(KL_FLOAT32, KL_DIMS(0, 3)), kl_zeros(KL_FLOAT32, KL_DIMS(3)));
    assert_int_equal(empty->size, 0);
    kl_scope_end(scope);
}

static void refused(kl_tensor *y, const char *part)
{
    assert_null(y);
    if (!strstr(kl_last_error(), part))
        fail_msg("the error '%s' doesn't say '%s'", kl_last_error(), part);
    kl_clear_error();
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(2, 3)), *z = kl_ones(KL_FLOAT32, KL_DIMS(2, 4));
    const char *texts[] = {"a", "b"};
    kl_tensor *s = kl_from_strings(KL_DIMS(2), texts);
    refused(kl_op_add(x, z), "(2, 3)");
    refused(kl_op_add(x, NULL), "add");
    refused(kl_op_exp(NULL), "exp");
    refused(kl_op_add(s, x), "strings");
    refused(kl_op_exp(s), "string");
    refused(kl_op_less(s, s), "strings");
    refused(kl_op_equal(s, x), "strings");
    refused(kl_op_where(x, x, z), "where");
    refused(kl_op_cast(x, (kl_dtype)77), "dtype");
    refused(kl_op_cast(s, KL_FLOAT32), "string");
    refused(kl_op_softmax(x, 2), "axis");
    refused(kl_op_glu(x, -1), "split");
    refused(kl_op_softmax(kl_ones(KL_FLOAT32, 0, NULL), -1), "axis");
    /* The first error of a chain is the one that is kept. */
    kl_tensor *chained = kl_op_exp(kl_op_mul(kl_op_add(x, z), x));
    refused(chained, "(2, 4)");
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_keras_s),     cmocka_unit_test(functions_are_libm_s),
        cmocka_unit_test(whole_numbers_follow_python), cmocka_unit_test(dtypes_are_promoted),
        cmocka_unit_test(comparisons_and_logic),       cmocka_unit_test(shapes_broadcast),
        cmocka_unit_test(bad_input_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
