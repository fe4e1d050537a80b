/* Batch and layer normalization of random values against plain loops in double, on every
   instruction set and on any number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/isa.h"
#include "kernels/norm.h"

#define EPSILON 1e-3

static uint64_t state = 88172645463325252u;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 4503599627370496.0 - 1;
}

/* The same values in both types; arrays end exactly at their last element. */
typedef struct pair {
    float *f;
    double *d;
    int64_t count;
} pair;

static pair pair_new(int64_t count, double offset)
{
    pair p = {malloc((size_t)count * sizeof(float)), malloc((size_t)count * sizeof(double)), count};
    assert_true(p.f && p.d);
    for (int64_t i = 0; i < count; i++)
        p.d[i] = p.f[i] = (float)(offset + uniform());
    return p;
}

static void pair_free(pair p)
{
    free(p.f);
    free(p.d);
}

enum { X, GAMMA, BETA, MEAN, VARIANCE, Y, DY, DMEAN, DVARIANCE, DX, DGAMMA, DBETA, ARRAYS };
static const char *const names[ARRAYS] = {"x",  "gamma", "beta",      "mean", "variance", "y",
                                          "dy", "dmean", "dvariance", "dx",   "dgamma",   "dbeta"};

typedef struct problem {
    int64_t rows, n;
    bool scaled, through_statistics;
    pair a[ARRAYS];
} problem;

static problem problem_new(int64_t rows, int64_t n, double offset, bool scaled, bool statistics)
{
    problem p = {.rows = rows, .n = n, .scaled = scaled, .through_statistics = statistics};
    for (int i = 0; i < ARRAYS; i++) {
        bool whole = i == X || i == Y || i == DY || i == DX;
        p.a[i] = pair_new(whole ? rows * n : n, i == X ? offset : 0);
    }
    return p;
}

static void problem_free(problem p)
{
    for (int i = 0; i < ARRAYS; i++)
        pair_free(p.a[i]);
}

static void *at(const problem *p, int which, bool wide)
{
    return wide ? (void *)p->a[which].d : (void *)p->a[which].f;
}

static void run(const problem *p, bool wide)
{
    kl_norm norm = {.wide = wide,
                    .rows = p->rows,
                    .n = p->n,
                    .x = at(p, X, wide),
                    .gamma = p->scaled ? at(p, GAMMA, wide) : NULL,
                    .beta = p->scaled ? at(p, BETA, wide) : NULL,
                    .mean = at(p, MEAN, wide),
                    .variance = at(p, VARIANCE, wide),
                    .epsilon = EPSILON};
    kl_norm_grad grad = {.dy = at(p, DY, wide),
                         .dmean = p->through_statistics ? at(p, DMEAN, wide) : NULL,
                         .dvariance = p->through_statistics ? at(p, DVARIANCE, wide) : NULL,
                         .dx = at(p, DX, wide),
                         .dgamma = at(p, DGAMMA, wide),
                         .dbeta = at(p, DBETA, wide)};
    assert_true(kl_batch_norm(&norm, at(p, Y, wide)));
    assert_true(kl_batch_norm_grad(&norm, &grad));
}

/* From [before, after, n] to [before, n, after], or the reverse. */
static void swap_axes(const problem *p, int which, int64_t before, int64_t after, bool wide,
                      bool back)
{
    const size_t size = wide ? sizeof(double) : sizeof(float);
    char *array = at(p, which, wide), *copy = malloc((size_t)(p->rows * p->n) * size);
    assert_non_null(copy);
    memcpy(copy, array, (size_t)(p->rows * p->n) * size);
    for (int64_t b = 0; b < before; b++)
        for (int64_t a = 0; a < after; a++)
            for (int64_t c = 0; c < p->n; c++) {
                size_t rows = (size_t)((b * after + a) * p->n + c) * size;
                size_t lines = (size_t)((b * p->n + c) * after + a) * size;
                memcpy(array + (back ? rows : lines), copy + (back ? lines : rows), size);
            }
    free(copy);
}

static void run_lines(const problem *p, int64_t before, int64_t after, bool wide)
{
    kl_group_norm norm = {.wide = wide,
                          .samples = 1,
                          .before = before,
                          .channels = p->n,
                          .after = after,
                          .groups = p->n,
                          .x = at(p, X, wide),
                          .gamma = at(p, GAMMA, wide),
                          .beta = at(p, BETA, wide),
                          .mean = at(p, MEAN, wide),
                          .variance = at(p, VARIANCE, wide),
                          .epsilon = EPSILON};
    kl_norm_grad grad = {.dy = at(p, DY, wide),
                         .dmean = p->through_statistics ? at(p, DMEAN, wide) : NULL,
                         .dvariance = p->through_statistics ? at(p, DVARIANCE, wide) : NULL,
                         .dx = at(p, DX, wide),
                         .dgamma = at(p, DGAMMA, wide),
                         .dbeta = at(p, DBETA, wide)};
    swap_axes(p, X, before, after, wide, false);
    swap_axes(p, DY, before, after, wide, false);
    assert_true(kl_groups_norm(&norm, at(p, Y, wide)));
    assert_true(kl_groups_norm_grad(&norm, &grad));
    swap_axes(p, X, before, after, wide, true);
    swap_axes(p, DY, before, after, wide, true);
    swap_axes(p, Y, before, after, wide, true);
    swap_axes(p, DX, before, after, wide, true);
}

static void expect(const problem *p, int which, int64_t i, double want)
{
    /* What cancels while summing grows with the rows and with 1 / sqrt(variance + epsilon). */
    double scale = fmax(1, fabs(want));
    scale = which == DGAMMA || which == DBETA ? fmax(scale, sqrt((double)p->rows)) : scale;
    double f = p->a[which].f[i], d = p->a[which].d[i];
    if (!(fabs(f - want) <= 2e-5 * scale))
        fail_msg("%s, %d x %d, float32 %s[%d]: %.9g, not %.9g", kl_kernel_isa(), (int)p->rows,
                 (int)p->n, names[which], (int)i, f, want);
    if (!(fabs(d - want) <= 1e-11 * scale))
        fail_msg("%s, %d x %d, float64 %s[%d]: %.15g, not %.15g", kl_kernel_isa(), (int)p->rows,
                 (int)p->n, names[which], (int)i, d, want);
}

static void check_column(const problem *p, int64_t j)
{
    const double *x = p->a[X].d, *dy = p->a[DY].d, count = (double)p->rows;
    const double gamma = p->scaled ? p->a[GAMMA].d[j] : 1, beta = p->scaled ? p->a[BETA].d[j] : 0;
    double mean = 0, variance = 0, sum = 0, product = 0;
    for (int64_t r = 0; r < p->rows; r++)
        mean += x[r * p->n + j] / count;
    for (int64_t r = 0; r < p->rows; r++)
        variance += pow(x[r * p->n + j] - mean, 2) / count;
    const double root = sqrt(variance + EPSILON);
    for (int64_t r = 0; r < p->rows; r++) {
        sum += dy[r * p->n + j];
        product += dy[r * p->n + j] * (x[r * p->n + j] - mean) / root;
    }
    expect(p, MEAN, j, mean);
    expect(p, VARIANCE, j, variance);
    expect(p, DGAMMA, j, product);
    expect(p, DBETA, j, sum);
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t i = r * p->n + j;
        double normal = (x[i] - mean) / root;
        double dx = gamma / root * (dy[i] - sum / count - normal * product / count);
        if (p->through_statistics)
            dx += (p->a[DMEAN].d[j] + 2 * p->a[DVARIANCE].d[j] * (x[i] - mean)) / count;
        expect(p, Y, i, gamma * normal + beta);
        expect(p, DX, i, dx);
    }
}

static void check(int64_t rows, int64_t n, double offset, bool scaled, bool statistics)
{
    problem p = problem_new(rows, n, offset, scaled, statistics);
    run(&p, false);
    run(&p, true);
    for (int64_t j = 0; j < n; j++)
        check_column(&p, j);
    problem_free(p);
}

static void shapes(void **unused)
{
    static const int64_t rows[] = {1, 2, 15, 16, 17, 64, 65, 300, 1100};
    static const int64_t columns[] = {1, 3, 16, 32, 33, 63, 64, 70, 100};
    (void)unused;
    kl_isa before = kl_isa_get();
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++)
        for (int i = 0; kl_isa_set((kl_isa)isa) && i < 81; i++)
            check(rows[i / 9], columns[i % 9], 0.25, i % 3, i % 2);
    kl_isa_set(before);
}

/* Chunks, and a mean far from zero, where squares minus the squared mean would lose the variance.
 */
static void long_columns(void **unused)
{
    (void)unused;
    check(40000, 3, 100, true, false);
    check(5000, 64, -30, true, true);
}

static void same_on_any_thread_count(void **unused)
{
    (void)unused;
    problem p = problem_new(9000, 33, 1, true, true);
    size_t size = (size_t)(p.rows * p.n) * sizeof(float);
    float *first = malloc(size);
    assert_non_null(first);
    for (int threads = 1; threads <= 4; threads++) {
        assert_int_equal(kl_set_num_threads(threads), KL_OK);
        run(&p, false);
        if (threads == 1)
            memcpy(first, p.a[DX].f, size);
        assert_memory_equal(first, p.a[DX].f, size);
    }
    free(first);
    problem_free(p);
    kl_shutdown();
}

/* As group normalization of one sample whose channels are `after` places apart: the same numbers as
   batch normalization of the transposed array. */
static void lines_like_columns(void **unused)
{
    static const int64_t sizes[][3] = {{1, 3, 5},   {2, 1, 40},    {7, 5, 33},
                                       {3, 8, 200}, {2, 2, 10000}, {40, 9, 64}};
    (void)unused;
    kl_isa isa_before = kl_isa_get();
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++)
        for (int i = 0; kl_isa_set((kl_isa)isa) && i < 12; i++) {
            const int64_t before = sizes[i / 2][0], n = sizes[i / 2][1], after = sizes[i / 2][2];
            problem p = problem_new(before * after, n, 1, true, i % 2);
            run_lines(&p, before, after, false);
            run_lines(&p, before, after, true);
            for (int64_t j = 0; j < n; j++)
                check_column(&p, j);
            problem_free(p);
        }
    kl_isa_set(isa_before);
}

/* Two samples are split within, forty one by one; each channel of a sample alone is a group. */
static void groups_of_samples(void **unused)
{
    (void)unused;
    for (int i = 0; i < 4; i++) {
        const int64_t samples = i % 2 ? 40 : 2, before = i < 2 ? 5000 : 60, n = i < 2 ? 6 : 70;
        problem all = problem_new(samples * before, n, 2, true, false);
        float *first = malloc((size_t)(all.rows * n) * sizeof(float));
        float *mean = malloc((size_t)(samples * n) * sizeof(float));
        float *variance = malloc((size_t)(samples * n) * sizeof(float));
        assert_true(first && mean && variance);
        kl_group_norm norm = {.samples = samples,
                              .before = before,
                              .channels = n,
                              .after = 1,
                              .groups = n / 2,
                              .x = all.a[X].f,
                              .gamma = all.a[GAMMA].f,
                              .beta = all.a[BETA].f,
                              .mean = mean,
                              .variance = variance,
                              .epsilon = EPSILON};
        kl_norm_grad grad = {.dy = all.a[DY].f,
                             .dx = all.a[DX].f,
                             .dgamma = all.a[DGAMMA].f,
                             .dbeta = all.a[DBETA].f};
        for (int threads = 1; threads <= 3; threads++) {
            assert_int_equal(kl_set_num_threads(threads), KL_OK);
            assert_true(kl_groups_norm(&norm, all.a[Y].f));
            assert_true(kl_groups_norm_grad(&norm, &grad));
            if (threads == 1)
                memcpy(first, all.a[DX].f, (size_t)(all.rows * n) * sizeof(float));
            assert_memory_equal(first, all.a[DX].f, (size_t)(all.rows * n) * sizeof(float));
        }
        /* The first group of the last sample by plain sums. */
        const int64_t start = (samples - 1) * before * n;
        double sum = 0, squares = 0;
        for (int64_t r = 0; r < before; r++)
            for (int64_t c = 0; c < 2; c++)
                sum += all.a[X].d[start + r * n + c] / (double)(2 * before);
        for (int64_t r = 0; r < before; r++)
            for (int64_t c = 0; c < 2; c++)
                squares += pow(all.a[X].d[start + r * n + c] - sum, 2) / (double)(2 * before);
        assert_true(fabs(mean[(samples - 1) * n / 2] - sum) < 1e-5);
        assert_true(fabs(variance[(samples - 1) * n / 2] - squares) < 1e-5);
        double y = (all.a[X].d[start + 1] - sum) / sqrt(squares + EPSILON) * all.a[GAMMA].d[1] +
                   all.a[BETA].d[1];
        assert_true(fabs(all.a[Y].f[start + 1] - y) < 1e-4);
        free(first);
        free(mean);
        free(variance);
        problem_free(all);
        kl_shutdown();
    }
}

/* mean and inverse are as long as there are rows. */
static problem rows_problem(int64_t rows, int64_t n, bool scaled)
{
    problem p = problem_new(rows, n, 3, scaled, false);
    pair_free(p.a[MEAN]);
    pair_free(p.a[VARIANCE]);
    p.a[MEAN] = pair_new(rows, 0);
    p.a[VARIANCE] = pair_new(rows, 0);
    return p;
}

static void run_rows(const problem *p, bool wide)
{
    kl_row_norm norm = {.wide = wide,
                        .rows = p->rows,
                        .n = p->n,
                        .x = at(p, X, wide),
                        .gamma = p->scaled ? at(p, GAMMA, wide) : NULL,
                        .beta = p->scaled ? at(p, BETA, wide) : NULL,
                        .mean = at(p, MEAN, wide),
                        .inverse = at(p, VARIANCE, wide),
                        .epsilon = EPSILON};
    assert_true(kl_layer_norm(&norm, at(p, Y, wide)));
    assert_true(kl_layer_norm_grad(&norm, at(p, DY, wide), at(p, DX, wide), at(p, DGAMMA, wide),
                                   at(p, DBETA, wide)));
}

/* Adds this row's part of dgamma and dbeta. */
static void check_row(const problem *p, int64_t r, double *dgamma, double *dbeta)
{
    const double *x = p->a[X].d + r * p->n, *dy = p->a[DY].d + r * p->n, count = (double)p->n;
    double mean = 0, variance = 0, sum = 0, product = 0;
    for (int64_t j = 0; j < p->n; j++)
        mean += x[j] / count;
    for (int64_t j = 0; j < p->n; j++)
        variance += pow(x[j] - mean, 2) / count;
    const double root = sqrt(variance + EPSILON);
    for (int64_t j = 0; j < p->n; j++) {
        double slope = dy[j] * (p->scaled ? p->a[GAMMA].d[j] : 1);
        sum += slope / count;
        product += slope * (x[j] - mean) / root / count;
    }
    for (int64_t j = 0; j < p->n; j++) {
        const double gamma = p->scaled ? p->a[GAMMA].d[j] : 1, normal = (x[j] - mean) / root;
        expect(p, Y, r * p->n + j, gamma * normal + (p->scaled ? p->a[BETA].d[j] : 0));
        expect(p, DX, r * p->n + j, (gamma * dy[j] - sum - normal * product) / root);
        dgamma[j] += dy[j] * normal;
        dbeta[j] += dy[j];
    }
}

static void rows_of_layers(void **unused)
{
    static const int64_t rows[] = {1, 2, 63, 64, 65, 3000};
    static const int64_t columns[] = {8, 15, 31, 32, 33, 100};
    (void)unused;
    kl_isa before = kl_isa_get();
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++)
        for (int i = 0; kl_isa_set((kl_isa)isa) && i < 36; i++) {
            problem p = rows_problem(rows[i / 6], columns[i % 6], i % 3);
            double dgamma[100] = {0}, dbeta[100] = {0};
            run_rows(&p, false);
            run_rows(&p, true);
            for (int64_t r = 0; r < p.rows; r++)
                check_row(&p, r, dgamma, dbeta);
            for (int64_t j = 0; j < p.n; j++) {
                expect(&p, DGAMMA, j, dgamma[j]);
                expect(&p, DBETA, j, dbeta[j]);
            }
            problem_free(p);
        }
    kl_isa_set(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_layers),    cmocka_unit_test(shapes),
        cmocka_unit_test(long_columns),      cmocka_unit_test(lines_like_columns),
        cmocka_unit_test(groups_of_samples), cmocka_unit_test(same_on_any_thread_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
