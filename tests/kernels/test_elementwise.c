/*
 * The element-wise kernels on every instruction set: own polynomials against libm in double on
 * floats of every exponent, values that must not depend on their place, gradients against central
 * differences, and everything else against plain loops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/elementwise_table.h"
#include "kernels/isa.h"
#include "unary_reference.h"

#define SPAN 211

static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double uniform(double low, double high)
{
    return low + (high - low) * ((double)(next() >> 11) / 9007199254740992.0);
}

#define NAME(op) #op,
static const char *const unary_names[] = {KL_UNARY_LIST(NAME)};
static const char *const binary_names[] = {KL_BINARY_LIST(NAME)};

/* Runs a test on each instruction set that this machine has. */
static void on_every_isa(void (*test)(void))
{
    kl_isa before = kl_isa_get();
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++)
        if (kl_isa_set((kl_isa)isa))
            test();
    kl_isa_set(before);
}
#define ON_EVERY_ISA(name)                                                                         \
    static void name(void **unused)                                                                \
    {                                                                                              \
        (void)unused;                                                                              \
        on_every_isa(name##_here);                                                                 \
    }

/* Parameters that make sense for every function that has some. */
static kl_unary_params params_of(kl_unary op)
{
    switch (op) {
    case KL_UNARY_CLIP:
        return (kl_unary_params){-0.8, 1.1, 0};
    case KL_UNARY_RELU_GENERAL:
        return (kl_unary_params){0.2, 1.5, 0.4};
    case KL_UNARY_THRESHOLD:
        return (kl_unary_params){0.5, -2, 0};
    case KL_UNARY_POW_SCALAR:
        return (kl_unary_params){2.5, 0, 0};
    default:
        return (kl_unary_params){0.7, 0, 0};
    }
}

/* Arguments inside the function's domain and away from where it has no derivative. */
static double argument_of(kl_unary op)
{
    switch (op) {
    case KL_UNARY_SQRT:
    case KL_UNARY_RSQRT:
    case KL_UNARY_LOG:
    case KL_UNARY_LOG1P:
    case KL_UNARY_LOG2:
    case KL_UNARY_LOG10:
    case KL_UNARY_POW_SCALAR:
    case KL_UNARY_RECIPROCAL:
    case KL_UNARY_RDIV_SCALAR:
        return uniform(0.2, 5);
    case KL_UNARY_ACOSH:
        return uniform(1.2, 5);
    case KL_UNARY_ASIN:
    case KL_UNARY_ACOS:
    case KL_UNARY_ATANH:
        return uniform(-0.9, 0.9);
    case KL_UNARY_TAN:
        return uniform(-1.2, 1.2);
    default:
        return uniform(-4, 4);
    }
}

/* Floats of every exponent, the numbers where polynomials change over, and the special ones. */
static int64_t sample_floats(float **out)
{
    static const float special[] = {0,        -0.f,        1,         -1,      INFINITY, -INFINITY,
                                    NAN,      FLT_MAX,     -FLT_MAX,  FLT_MIN, -FLT_MIN, 1e-45f,
                                    -1e-45f,  88.7228f,    88.723f,   89,      -87.33f,  -103.9f,
                                    -103.98f, 0.5f,        0.625f,    0.93f,   4,        9.02f,
                                    16777216, 0.70710677f, 1.4142135f};
    const int64_t specials = sizeof special / sizeof *special, steps = (INT64_C(1) << 32) / 9973;
    float *x = malloc((size_t)(specials + steps) * sizeof *x);
    assert_non_null(x);
    memcpy(x, special, sizeof special);
    for (int64_t i = 0; i < steps; i++)
        x[specials + i] = float_of_bits((uint32_t)(i * 9973));
    *out = x;
    return specials + steps;
}

static void polynomials_are_accurate_here(void)
{
    float *x;
    int64_t n = sample_floats(&x);
    float *y = malloc((size_t)n * sizeof *y);
    for (int i = 0; i < UNARY_REFERENCES; i++) {
        const unary_reference *r = &unary_references[i];
        kl_unary_f32(r->op, NULL, n, x, y);
        for (int64_t k = 0; k < n; k++) {
            double error = unary_error(r, x[k], y[k]);
            if (!(error <= r->most_ulp))
                fail_msg("%s, %s(%.9g) is %.9g, not %.9g: %.2f ulp", kl_kernel_isa(), r->name,
                         (double)x[k], (double)y[k], r->function(x[k]), error);
        }
    }
    free(x);
    free(y);
}
ON_EVERY_ISA(polynomials_are_accurate)

/* Powers against libm's in double, special ones among them, which must not change the others. */
static void powers_are_accurate_here(void)
{
    static const float special[] = {0,    -0.f,     1,         -1,  2,       -3,
                                    0.5f, INFINITY, -INFINITY, NAN, FLT_MAX, 1e-45f};
    enum { SPECIALS = sizeof special / sizeof *special, COUNT = 5000 };
    float x[COUNT], y[COUNT], z[COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)exp2(uniform(-149, 128));
        y[i] = (float)(uniform(-160, 160) / (i % 3 ? 40 : log2((double)x[i])));
    }
    kl_binary_f32(KL_BINARY_POW, COUNT, x, 1, y, 1, z);
    for (int i = 0; i < COUNT; i++) {
        double want = pow((double)x[i], (double)y[i]), got = z[i];
        float near = (float)want;
        double ulp = isinf(near) ? 2e31 : fmax(nextafterf(near, INFINITY) - (double)near, 1e-45);
        if (!(near == z[i] || fabs(got - want) <= 1.01 * ulp))
            fail_msg("%s: %.9g^%.9g is %.9g, not %.9g", kl_kernel_isa(), (double)x[i], (double)y[i],
                     got, want);
    }
    for (int i = 0; i < SPECIALS; i++)
        for (int k = 0; k < SPECIALS; k++) {
            float a[20], b[20], c[20];
            memcpy(a, x, sizeof a);
            memcpy(b, y, sizeof b);
            a[(i + k) % 20] = special[i];
            b[(i + k) % 20] = special[k];
            kl_binary_f32(KL_BINARY_POW, 20, a, 1, b, 1, c);
            for (int j = 0; j < 20; j++) {
                float want = j == (i + k) % 20 ? powf(special[i], special[k]) : z[j];
                if (!(c[j] == want || (want != want && c[j] != c[j]) ||
                      fabsf(c[j] - want) <= 2e-7f * fabsf(want)))
                    fail_msg("%s: %.9g^%.9g is %.9g, not %.9g", kl_kernel_isa(), (double)a[j],
                             (double)b[j], (double)c[j], (double)want);
            }
            kl_unary_params p = {special[k], 0, 0};
            kl_unary_f32(KL_UNARY_POW_SCALAR, &p, 20, a, c);
            float want = powf(special[i], special[k]), got = c[(i + k) % 20];
            assert_true(got == want || (want != want && got != got) ||
                        fabsf(got - want) <= 2e-7f * fabsf(want));
        }
}
ON_EVERY_ISA(powers_are_accurate)

/* float32 beside float64 for every function, in the range where networks live. */
static void float_agrees_with_double_here(void)
{
    for (int op = 0; op < KL_UNARY_COUNT; op++) {
        kl_unary_params p = params_of((kl_unary)op);
        double x[SPAN], y[SPAN], dy[SPAN], dx[SPAN];
        float xs[SPAN], ys[SPAN], dys[SPAN], dxs[SPAN];
        p.p = (float)p.p, p.q = (float)p.q, p.r = (float)p.r;
        for (int i = 0; i < SPAN; i++) {
            x[i] = xs[i] = (float)argument_of((kl_unary)op);
            dy[i] = dys[i] = (float)uniform(-1, 1);
        }
        kl_unary_f64((kl_unary)op, &p, SPAN, x, y);
        kl_unary_f32((kl_unary)op, &p, SPAN, xs, ys);
        kl_unary_grad_f64((kl_unary)op, &p, SPAN, x, y, dy, dx);
        kl_unary_grad_f32((kl_unary)op, &p, SPAN, xs, ys, dys, dxs);
        for (int i = 0; i < SPAN; i++) {
            if (!(fabs(ys[i] - y[i]) <= 1e-6 * fmax(1, fabs(y[i]))))
                fail_msg("%s, %s(%.9g) is %.9g, not %.9g", kl_kernel_isa(), unary_names[op], x[i],
                         (double)ys[i], y[i]);
            if (!(fabs(dxs[i] - dx[i]) <= 4e-6 * fmax(1, fabs(dx[i]))))
                fail_msg("%s, gradient of %s at %.9g is %.9g, not %.9g", kl_kernel_isa(),
                         unary_names[op], x[i], (double)dxs[i], dx[i]);
        }
    }
}
ON_EVERY_ISA(float_agrees_with_double)

static void gradients_are_central_differences_here(void)
{
    const double h = 1e-5;
    for (int op = 0; op < KL_UNARY_COUNT; op++) {
        kl_unary_params p = params_of((kl_unary)op);
        double x[SPAN], low[SPAN], high[SPAN], y[SPAN], dy[SPAN], dx[SPAN];
        for (int i = 0; i < SPAN; i++) {
            x[i] = argument_of((kl_unary)op);
            dy[i] = uniform(-1, 1);
        }
        for (int i = 0; i < SPAN; i++) {
            low[i] = x[i] - h;
            high[i] = x[i] + h;
        }
        kl_unary_f64((kl_unary)op, &p, SPAN, x, y);
        kl_unary_f64((kl_unary)op, &p, SPAN, low, low);
        kl_unary_f64((kl_unary)op, &p, SPAN, high, high);
        kl_unary_grad_f64((kl_unary)op, &p, SPAN, x, y, dy, dx);
        for (int i = 0; i < SPAN; i++) {
            double left = dy[i] * (y[i] - low[i]) / h, right = dy[i] * (high[i] - y[i]) / h;
            double slope = (left + right) / 2;
            /* A step of h across a kink or a jump says nothing. */
            bool kink = fabs(left - right) > 1e-2 * fmax(1, fabs(slope));
            if (!kink && !(fabs(dx[i] - slope) <= 1e-6 * fmax(1, fabs(slope))))
                fail_msg("%s, gradient of %s at %.15g is %.15g, not %.15g", kl_kernel_isa(),
                         unary_names[op], x[i], dx[i], slope);
        }
    }
}
ON_EVERY_ISA(gradients_are_central_differences)

static bool same_bits(const void *a, const void *b, int64_t n)
{
    return !memcmp(a, b, (size_t)n * sizeof(float));
}

/* Whatever the offset, the length and the place in the array, the same bits come out. */
static void values_do_not_depend_on_their_place_here(void)
{
    enum { MOST = 80 };
    for (int op = 0; op < KL_UNARY_COUNT; op++) {
        kl_unary_params p = params_of((kl_unary)op);
        float x[SPAN], y[SPAN], dy[SPAN], dx[SPAN], part[MOST + 1], slope[MOST + 1];
        for (int i = 0; i < SPAN; i++) {
            x[i] = (float)argument_of((kl_unary)op);
            dy[i] = (float)uniform(-1, 1);
        }
        kl_unary_f32((kl_unary)op, &p, SPAN, x, y);
        kl_unary_grad_f32((kl_unary)op, &p, SPAN, x, y, dy, dx);
        for (int64_t n = 0; n <= MOST; n++)
            for (int at = 0; at < 17; at++) {
                part[n] = slope[n] = 77;
                kl_unary_f32((kl_unary)op, &p, n, x + at, part);
                kl_unary_grad_f32((kl_unary)op, &p, n, x + at, y + at, dy + at, slope);
                if (!same_bits(part, y + at, n) || !same_bits(slope, dx + at, n))
                    fail_msg("%s, %s differs at offset %d, length %d", kl_kernel_isa(),
                             unary_names[op], at, (int)n);
                assert_true(part[n] == 77 && slope[n] == 77);
            }
        memcpy(part, x, sizeof part);
        kl_unary_f32((kl_unary)op, &p, MOST, part, part);
        memcpy(slope, dy, sizeof slope);
        kl_unary_grad_f32((kl_unary)op, &p, MOST, x, y, slope, slope);
        assert_true(same_bits(part, y, MOST) && same_bits(slope, dx, MOST));
    }
}
ON_EVERY_ISA(values_do_not_depend_on_their_place)

static double binary_reference(kl_binary op, double x, double y)
{
    double m = fmod(x, y);
    switch (op) {
    case KL_BINARY_ADD:
        return x + y;
    case KL_BINARY_SUB:
        return x - y;
    case KL_BINARY_MUL:
        return x * y;
    case KL_BINARY_DIV:
        return x / y;
    case KL_BINARY_FLOOR_DIV:
        return floor(x / y);
    case KL_BINARY_MOD:
        return m != 0 && (m < 0) != (y < 0) ? m + y : m;
    case KL_BINARY_POW:
        return pow(x, y);
    case KL_BINARY_MAX:
        return isnan(x) || isnan(y) ? NAN : x > y ? x : y;
    case KL_BINARY_MIN:
        return isnan(x) || isnan(y) ? NAN : x < y ? x : y;
    case KL_BINARY_SQUARED_DIFFERENCE:
        return (x - y) * (x - y);
    default:
        return atan2(x, y);
    }
}

static const int64_t strides[][2] = {{1, 1}, {1, 0}, {0, 1}, {0, 0}, {2, 1}, {1, 3}, {-1, 2}};
#define STRIDES ((int)(sizeof strides / sizeof *strides))
static const int64_t lengths[] = {0, 1, 2, 7, 15, 16, 17, 31, 33, 64, 70};
#define LENGTHS ((int)(sizeof lengths / sizeof *lengths))

static void expect_near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))) && !(isnan(got) && isnan(want)))
        fail_msg("%s, %s: %.9g, not %.9g", kl_kernel_isa(), what, got, want);
}

static void binary_functions_here(void)
{
    float a[SPAN], b[SPAN], out[SPAN];
    double aw[SPAN], bw[SPAN], wide[SPAN];
    for (int i = 0; i < SPAN; i++) {
        aw[i] = a[i] = (float)uniform(0.1, 3);
        bw[i] = b[i] = (float)uniform(0.3, 2);
    }
    for (int op = 0; op < KL_BINARY_COUNT; op++)
        for (int s = 0; s < STRIDES; s++)
            for (int l = 0; l < LENGTHS; l++) {
                int64_t sa = strides[s][0], sb = strides[s][1], n = lengths[l];
                int64_t from = sa < 0 ? n : 1; /* also: not aligned */
                out[n] = 77;
                kl_binary_f32((kl_binary)op, n, a + from, sa, b + 1, sb, out);
                kl_binary_f64((kl_binary)op, n, aw + from, sa, bw + 1, sb, wide);
                for (int64_t i = 0; i < n; i++) {
                    double x = aw[from + i * sa], y = bw[1 + i * sb];
                    double want = binary_reference((kl_binary)op, x, y);
                    /* A quotient near a whole number may floor to either side in float32. */
                    bool near = (op == KL_BINARY_MOD || op == KL_BINARY_FLOOR_DIV) &&
                                fabs(x / y - rint(x / y)) < 1e-5;
                    if (!near)
                        expect_near(binary_names[op], out[i], want, 1e-6);
                    expect_near(binary_names[op], wide[i], want, 1e-14);
                }
                assert_true(out[n] == 77);
            }
    const float special[] = {NAN, INFINITY, -INFINITY, 0, -3, 2};
    for (int op = KL_BINARY_MAX; op <= KL_BINARY_MIN; op++)
        for (int i = 0; i < 36; i++) {
            float x = special[i / 6], y = special[i % 6], got;
            kl_binary_f32((kl_binary)op, 1, &x, 1, &y, 1, &got);
            double want = binary_reference((kl_binary)op, x, y);
            assert_true(got == want || (isnan(got) && isnan(want)));
        }
}
ON_EVERY_ISA(binary_functions)

static void whole_numbers(void **unused)
{
    (void)unused;
    const struct {
        kl_binary op;
        int64_t x, y, want;
    } cases[] = {
        {KL_BINARY_ADD, INT64_MAX, 1, INT64_MIN},
        {KL_BINARY_SUB, INT64_MIN, 1, INT64_MAX},
        {KL_BINARY_MUL, INT64_MAX, 2, -2},
        {KL_BINARY_FLOOR_DIV, -7, 2, -4},
        {KL_BINARY_FLOOR_DIV, 7, -2, -4},
        {KL_BINARY_FLOOR_DIV, -8, 2, -4},
        {KL_BINARY_FLOOR_DIV, 5, 0, 0},
        {KL_BINARY_FLOOR_DIV, INT64_MIN, -1, INT64_MIN},
        {KL_BINARY_MOD, -7, 3, 2},
        {KL_BINARY_MOD, 7, -3, -2},
        {KL_BINARY_MOD, 6, 3, 0},
        {KL_BINARY_MOD, 6, 0, 0},
        {KL_BINARY_MOD, INT64_MIN, -1, 0},
        {KL_BINARY_POW, 3, 4, 81},
        {KL_BINARY_POW, -1, -3, -1},
        {KL_BINARY_POW, -1, -4, 1},
        {KL_BINARY_POW, 2, -1, 0},
        {KL_BINARY_POW, 0, 0, 1},
        {KL_BINARY_MAX, -4, 3, 3},
        {KL_BINARY_MIN, -4, 3, -4},
        {KL_BINARY_SQUARED_DIFFERENCE, 3, -4, 49},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t x[3] = {cases[i].x, cases[i].x, cases[i].x}, y = cases[i].y, out[3];
        kl_binary_i64(cases[i].op, 3, x, 1, &y, 0, out);
        assert_true(out[0] == cases[i].want && out[2] == cases[i].want);
        if (x[0] != (int32_t)x[0])
            continue;
        int32_t narrow[2] = {(int32_t)x[0], (int32_t)x[0]}, by = (int32_t)y, got[2];
        kl_binary_i32(cases[i].op, 2, narrow, 1, &by, 0, got);
        assert_true(got[0] == cases[i].want && got[1] == cases[i].want);
    }
}

static bool holds(kl_compare op, double x, double y)
{
    switch (op) {
    case KL_COMPARE_EQUAL:
        return x == y;
    case KL_COMPARE_NOT_EQUAL:
        return x != y;
    case KL_COMPARE_LESS:
        return x < y;
    case KL_COMPARE_LESS_EQUAL:
        return x <= y;
    case KL_COMPARE_GREATER:
        return x > y;
    default:
        return x >= y;
    }
}

static void comparisons(void **unused)
{
    (void)unused;
    const double values[] = {-2, 0, 1, 1, NAN, INFINITY, -INFINITY, 3};
    double a[SPAN], b[SPAN];
    float af[SPAN], bf[SPAN];
    int64_t ai[SPAN], bi[SPAN];
    uint8_t out[SPAN], single[SPAN], whole[SPAN];
    for (int i = 0; i < SPAN; i++) {
        af[i] = (float)(a[i] = values[next() % 8]);
        bf[i] = (float)(b[i] = values[next() % 8]);
        ai[i] = (int64_t)(next() % 3);
        bi[i] = (int64_t)(next() % 3);
    }
    for (int op = 0; op <= KL_COMPARE_GREATER_EQUAL; op++)
        for (int s = 0; s < STRIDES - 1; s++) {
            int64_t sa = strides[s][0], sb = strides[s][1], n = 70;
            kl_compare_f64((kl_compare)op, n, a, sa, b, sb, out);
            kl_compare_f32((kl_compare)op, n, af, sa, bf, sb, single);
            kl_compare_i64((kl_compare)op, n, ai, sa, bi, sb, whole);
            for (int64_t i = 0; i < n; i++) {
                assert_int_equal(out[i], holds((kl_compare)op, a[i * sa], b[i * sb]));
                assert_int_equal(single[i], out[i]);
                double x = (double)ai[i * sa], y = (double)bi[i * sb];
                assert_int_equal(whole[i], holds((kl_compare)op, x, y));
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polynomials_are_accurate),
        cmocka_unit_test(powers_are_accurate),
        cmocka_unit_test(float_agrees_with_double),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(values_do_not_depend_on_their_place),
        cmocka_unit_test(binary_functions),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(comparisons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
