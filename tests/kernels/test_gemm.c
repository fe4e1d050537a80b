/* Products of random shapes and strides against a plain loop in double, on every instruction set.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/gemm.h"
#include "kernels/isa.h"
#include "klayers/base.h"

static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t below(int64_t n)
{
    return (int64_t)(next() % (uint64_t)n);
}

static double uniform(void)
{
    return (double)(next() >> 11) / 4503599627370496.0 - 1;
}

/* A buffer of both types with the same values, ending exactly at its last element. */
typedef struct pair {
    float *f;
    double *d;
    int64_t count;
} pair;

static pair pair_new(int64_t count)
{
    pair p = {malloc((size_t)count * sizeof(float) + 1), malloc((size_t)count * sizeof(double) + 1),
              count};
    for (int64_t i = 0; i < count; i++)
        p.d[i] = p.f[i] = (float)uniform();
    return p;
}

static void pair_free(pair p)
{
    free(p.f);
    free(p.d);
}

typedef struct problem {
    kl_gemm g;
    pair a, b, c, bias;
} problem;

static int64_t extent(int64_t n, int64_t stride)
{
    return n > 0 ? (n - 1) * stride : 0;
}

static problem problem_new(int64_t m, int64_t n, int64_t k, int64_t batch)
{
    problem p = {.g = {.m = m, .n = n, .k = k, .batch = batch}};
    kl_gemm *g = &p.g;
    int64_t gap = below(3) ? 0 : below(5), wide = below(4) ? 1 : 2, count = batch > 0 ? batch : 1;
    if (below(2))
        g->a_row = k * wide + gap, g->a_col = wide;
    else
        g->a_col = m * wide + gap, g->a_row = wide;
    gap = below(3) ? 0 : below(5), wide = below(4) ? 1 : 2;
    if (below(2))
        g->b_row = n * wide + gap, g->b_col = wide;
    else
        g->b_col = k * wide + gap, g->b_row = wide;
    g->c_row = n + (below(2) ? 0 : below(5));
    int64_t a = extent(m, g->a_row) + extent(k, g->a_col) + 1;
    int64_t b = extent(k, g->b_row) + extent(n, g->b_col) + 1;
    int64_t c = extent(m, g->c_row) + n;
    g->a_batch = below(4) ? a : 0;
    g->b_batch = below(4) ? b : 0;
    g->c_batch = c;
    g->accumulate = below(2);
    g->epilogue = below(2) ? KL_EPILOGUE_RELU : KL_EPILOGUE_NONE;
    p.a = pair_new(a * count);
    p.b = pair_new(b * count);
    p.c = pair_new(c * count + 1);
    p.bias = pair_new(n);
    return p;
}

static void problem_free(problem *p)
{
    pair_free(p->a);
    pair_free(p->b);
    pair_free(p->c);
    pair_free(p->bias);
}

/* The expected C; elements between its rows stay. */
static double *expected(const problem *p, bool bias)
{
    const kl_gemm *g = &p->g;
    double *out = malloc((size_t)p->c.count * sizeof(double));
    memcpy(out, p->c.d, (size_t)p->c.count * sizeof(double));
    for (int64_t q = 0; q < (g->batch > 0 ? g->batch : 1); q++)
        for (int64_t i = 0; i < g->m; i++)
            for (int64_t j = 0; j < g->n; j++) {
                double *c = out + q * g->c_batch + i * g->c_row + j;
                double sum = (bias ? p->bias.d[j] : 0) + (g->accumulate ? *c : 0);
                for (int64_t k = 0; k < g->k; k++)
                    sum += p->a.d[q * g->a_batch + i * g->a_row + k * g->a_col] *
                           p->b.d[q * g->b_batch + k * g->b_row + j * g->b_col];
                *c = g->epilogue == KL_EPILOGUE_RELU && sum < 0 ? 0 : sum;
            }
    return out;
}

static void check(const problem *p)
{
    bool bias = below(2);
    double *want = expected(p, bias);
    float *f = malloc((size_t)p->c.count * sizeof(float));
    double *d = malloc((size_t)p->c.count * sizeof(double));
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++) {
        if (!kl_isa_set((kl_isa)isa))
            continue;
        kl_gemm g = p->g;
        memcpy(f, p->c.f, (size_t)p->c.count * sizeof(float));
        g.a = p->a.f, g.b = p->b.f, g.c = f, g.bias = bias ? p->bias.f : NULL;
        assert_true(kl_gemm_f32(&g));
        memcpy(d, p->c.d, (size_t)p->c.count * sizeof(double));
        g.a = p->a.d, g.b = p->b.d, g.c = d, g.bias = bias ? p->bias.d : NULL;
        assert_true(kl_gemm_f64(&g));
        double allow = sqrt((double)g.k + 4);
        for (int64_t i = 0; i < p->c.count; i++) {
            if (!(fabs(f[i] - want[i]) <= 2e-6 * allow) || !(fabs(d[i] - want[i]) <= 4e-15 * allow))
                fail_msg("%s: %lld x %lld x %lld, element %lld: %.9g and %.17g for %.17g",
                         kl_isa_name((kl_isa)isa), (long long)g.m, (long long)g.n, (long long)g.k,
                         (long long)i, f[i], d[i], want[i]);
        }
    }
    free(want);
    free(f);
    free(d);
}

static void test_small_shapes(void **unused)
{
    for (int i = 0; i < 1500; i++) {
        int64_t batch = below(4) ? 0 : below(4);
        problem p = problem_new(below(20), below(40), below(24), batch);
        check(&p);
        problem_free(&p);
    }
}

static void test_every_width(void **unused)
{
    for (int64_t n = 1; n < 140; n++) {
        problem p = problem_new(1 + below(10), n, 1 + below(9), 0);
        check(&p);
        problem_free(&p);
    }
}

static void test_medium_shapes(void **unused)
{
    for (int i = 0; i < 60; i++) {
        problem p = problem_new(1 + below(300), 1 + below(300), 1 + below(100), 0);
        check(&p);
        problem_free(&p);
    }
}

static void test_blocked_shapes(void **unused)
{
    static const int64_t shapes[][3] = {
        {1, 500, 1000},  {3, 1, 2000},   {4, 700, 801},   {97, 33, 641},  {130, 257, 330},
        {700, 1, 123},   {1, 1, 5000},   {1, 3000, 17},   {3000, 16, 3},  {100, 2100, 322},
        {130, 10, 1300}, {1200, 70, 20}, {16, 1300, 400}, {2, 513, 1025}, {403, 300, 100},
        {9, 1001, 600},  {17, 530, 800},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int turn = 0; turn < 4; turn++) {
            problem p = problem_new(shapes[i][0], shapes[i][1], shapes[i][2], 0);
            check(&p);
            problem_free(&p);
        }
}

static void test_batches(void **unused)
{
    for (int i = 0; i < 20; i++) {
        problem p = problem_new(1 + below(70), 1 + below(70), 1 + below(70), 1 + below(20));
        check(&p);
        problem_free(&p);
    }
}

static void test_same_on_any_thread_count(void **unused)
{
    static const int64_t shapes[][3] = {
        {300, 200, 700}, {64, 1000, 500}, {2, 4000, 300}, {5000, 3, 70}, {1000, 64, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        problem p = problem_new(shapes[i][0], shapes[i][1], shapes[i][2], 2);
        size_t bytes = (size_t)p.c.count * sizeof(float);
        float *one = malloc(bytes), *more = malloc(bytes);
        memcpy(one, p.c.f, bytes);
        memcpy(more, p.c.f, bytes);
        kl_gemm g = p.g;
        g.a = p.a.f, g.b = p.b.f;
        kl_set_num_threads(1);
        g.c = one;
        assert_true(kl_gemm_f32(&g));
        kl_set_num_threads(3);
        g.c = more;
        assert_true(kl_gemm_f32(&g));
        assert_memory_equal(one, more, bytes);
        free(one);
        free(more);
        problem_free(&p);
    }
    kl_shutdown();
}

/* With nothing to multiply the product is zero, and a NaN passes the ReLU. */
static void test_edges(void **unused)
{
    float bias[3] = {1, -2, NAN}, c[6] = {5, 5, 5, 5, 5, 5};
    kl_gemm g = {
        .m = 2, .n = 3, .a_row = 1, .a_col = 1, .b_row = 3, .b_col = 1, .c = c, .c_row = 3};
    g.bias = bias;
    g.epilogue = KL_EPILOGUE_RELU;
    assert_true(kl_gemm_f32(&g));
    assert_true(c[0] == 1 && c[1] == 0 && isnan(c[2]) && c[3] == 1 && c[4] == 0 && isnan(c[5]));
    g.m = 0;
    c[0] = 7;
    assert_true(kl_gemm_f32(&g));
    assert_true(c[0] == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_shapes),  cmocka_unit_test(test_every_width),
        cmocka_unit_test(test_medium_shapes), cmocka_unit_test(test_blocked_shapes),
        cmocka_unit_test(test_batches),       cmocka_unit_test(test_same_on_any_thread_count),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
