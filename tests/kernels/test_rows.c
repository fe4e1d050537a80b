/*
 * Softmax, sums, LSTM gates and Adam's step, on every instruction set, against plain loops in
 * double; softmax also on rows of infinities and on any number of threads.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/elementwise_table.h"
#include "kernels/gates_table.h"
#include "kernels/isa.h"

#define MOST 700

static uint64_t state = 88172645463325252u;

static double uniform(double low, double high)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return low + (high - low) * ((double)(state >> 11) / 9007199254740992.0);
}

static void fill(float *x, int64_t n, double low, double high)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)uniform(low, high);
}

static void expect(const char *what, int64_t n, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%s, %s of %d: %.9g, not %.9g", kl_kernel_isa(), what, (int)n, got, want);
}

static void on_every_isa(void (*test)(int64_t n))
{
    static const int64_t lengths[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 100, MOST};
    kl_isa before = kl_isa_get();
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++)
        for (int i = 0; kl_isa_set((kl_isa)isa) && i < 11; i++)
            test(lengths[i]);
    kl_isa_set(before);
}

static void softmax_of(int64_t n)
{
    enum { ROWS = 3 };
    float x[ROWS * MOST], y[ROWS * MOST], logs[ROWS * MOST];
    double wide[ROWS * MOST], yw[ROWS * MOST], logs_wide[ROWS * MOST];
    fill(x, ROWS * n, -30, 90);
    for (int64_t i = 0; i < ROWS * n; i++)
        wide[i] = x[i];
    kl_softmax_rows_f32(ROWS, n, x, y, false);
    kl_softmax_rows_f32(ROWS, n, x, logs, true);
    kl_softmax_rows_f64(ROWS, n, wide, yw, false);
    kl_softmax_rows_f64(ROWS, n, wide, logs_wide, true);
    for (int64_t r = 0; r < ROWS; r++) {
        double most = -INFINITY, total = 0;
        for (int64_t i = r * n; i < (r + 1) * n; i++)
            most = fmax(most, wide[i]);
        for (int64_t i = r * n; i < (r + 1) * n; i++)
            total += exp(wide[i] - most);
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            double p = exp(wide[i] - most) / total, log_p = wide[i] - most - log(total);
            expect("softmax", n, y[i], p, 1e-6);
            expect("log softmax", n, logs[i], log_p, 1e-6);
            expect("wide softmax", n, yw[i], p, 1e-14);
            expect("wide log softmax", n, logs_wide[i], log_p, 1e-14);
        }
    }
    kl_softmax_rows_f32(ROWS, n, x, x, false);
    assert_memory_equal(x, y, (size_t)(ROWS * n) * sizeof *x);
}

static void softmax(void **unused)
{
    (void)unused;
    on_every_isa(softmax_of);
    kl_softmax_rows_f32(0, 5, NULL, NULL, false);
    kl_softmax_rows_f32(5, 0, NULL, NULL, false);
}

/* As masked attention has them: -inf has no weight; a NaN spoils its own row alone. */
static void softmax_of_infinities(void **unused)
{
    (void)unused;
    float x[2][20], y[2][20];
    for (int i = 0; i < 20; i++) {
        x[0][i] = i < 17 ? -INFINITY : 2;
        x[1][i] = i == 18 ? NAN : 1;
    }
    kl_softmax_rows_f32(2, 20, x[0], y[0], false);
    for (int i = 0; i < 20; i++) {
        expect("masked softmax", 20, y[0][i], i < 17 ? 0 : 1. / 3, 1e-6);
        assert_true(isnan(y[1][i]));
    }
}

static void same_on_any_thread_count(void **unused)
{
    enum { ROWS = 500, COLUMNS = 333 };
    (void)unused;
    size_t size = ROWS * COLUMNS * sizeof(float);
    float *x = malloc(size), *y = malloc(size), *first = malloc(size);
    assert_true(x && y && first);
    fill(x, (int64_t)ROWS * COLUMNS, -5, 5);
    for (int threads = 1; threads <= 4; threads++) {
        assert_int_equal(kl_set_num_threads(threads), KL_OK);
        kl_softmax_rows_f32(ROWS, COLUMNS, x, y, false);
        if (threads == 1)
            memcpy(first, y, size);
        assert_memory_equal(first, y, size);
    }
    free(x);
    free(y);
    free(first);
    kl_shutdown();
}

static void sums_of(int64_t n)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    float x[MOST], y[MOST], sums[MOST];
    double sum = 0, squares = 0, dot = 0;
    fill(x, n, -1, 1);
    fill(y, n, -1, 1);
    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
        squares += (double)x[i] * x[i];
        dot += (double)x[i] * y[i];
        sums[i] = y[i];
    }
    expect("sum", n, k->sum_f32(n, x), sum, 1e-5);
    expect("sum of squares", n, k->sum_squares_f32(n, x), squares, 1e-5);
    expect("dot product", n, k->dot_f32(n, x, y), dot, 1e-5);
    k->accumulate_f32(n, x, sums);
    for (int64_t i = 0; i < n; i++)
        assert_true(sums[i] == y[i] + x[i]);
}

static void sums(void **unused)
{
    (void)unused;
    on_every_isa(sums_of);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* One unit's loss: dh h + dc c', as a function of the gates and of the cell before. */
static double unit_loss(const double *z, double c, double dh, double dc)
{
    double next = sigmoid(z[1]) * c + sigmoid(z[0]) * tanh(z[2]);
    return dh * sigmoid(z[3]) * tanh(next) + dc * next;
}

static void lstm_gates_of(int64_t u)
{
    const kl_gates_table *k = kl_gates_kernels();
    static float z[4 * MOST], half[4 * MOST], gates[4 * MOST], dz[4 * MOST];
    float c[MOST], next[MOST], h[MOST], tc[MOST], dh[MOST], dc[MOST], dc_in[MOST];
    fill(z, 4 * u, -3, 3);
    fill(c, u, -1, 1);
    fill(dh, u, -1, 1);
    fill(dc, u, -1, 1);
    memcpy(dc_in, dc, sizeof dc);
    for (int64_t j = 0; j < 4 * u; j++)
        gates[j] = half[j] = 0.5f * z[j];
    k->lstm_gates_f32(u, half, gates, c, next, h, tc);
    k->lstm_gates_grad_f32(u, gates, c, tc, dh, dc, dz);
    for (int64_t j = 0; j < u; j++) {
        double at[4] = {z[j], z[u + j], z[2 * u + j], z[3 * u + j]};
        const double step = 1e-5;
        expect("h", u, h[j], unit_loss(at, c[j], 1, 0), 1e-6);
        expect("c", u, next[j], unit_loss(at, c[j], 0, 1), 1e-6);
        double slope = (unit_loss(at, c[j] + step, dh[j], dc_in[j]) -
                        unit_loss(at, c[j] - step, dh[j], dc_in[j])) /
                       (2 * step);
        expect("dc", u, dc[j], slope, 2e-6);
        for (int g = 0; g < 4; g++) {
            double low[4], high[4];
            memcpy(low, at, sizeof low);
            memcpy(high, at, sizeof high);
            low[g] -= step;
            high[g] += step;
            slope =
                (unit_loss(high, c[j], dh[j], dc_in[j]) - unit_loss(low, c[j], dh[j], dc_in[j])) /
                (2 * step);
            expect("dz", u, dz[g * u + j], slope, 2e-6);
        }
    }
}

static void lstm_gates(void **unused)
{
    (void)unused;
    on_every_isa(lstm_gates_of);
}

static void adam_of(int64_t n)
{
    const kl_adam_step step = {.one_minus_beta_1 = 0.1f,
                               .one_minus_beta_2 = 0.01f,
                               .rate = 0.05f,
                               .epsilon = 1e-3f,
                               .gradient_scale = 0.5f,
                               .decay = 0.01f};
    for (int amsgrad = 0; amsgrad < 2; amsgrad++) {
        float w[MOST], g[MOST], m[MOST], v[MOST], top[MOST];
        double want[MOST];
        fill(w, n, -1, 1);
        fill(g, n, -1, 1);
        fill(m, n, -1, 1);
        fill(v, n, 0, 1);
        fill(top, n, 0, 1);
        for (int64_t i = 0; i < n; i++) {
            double grad = 0.5 * g[i], mean = m[i] + (grad - m[i]) * 0.1;
            double square = v[i] + (grad * grad - v[i]) * 0.01;
            double under = amsgrad ? fmax(top[i], square) : square;
            want[i] = w[i] - 0.01 * w[i] - 0.05 * mean / (sqrt(under) + 1e-3);
        }
        kl_elementwise_kernels()->adam_f32(n, &step, w, g, m, v, amsgrad ? top : NULL);
        for (int64_t i = 0; i < n; i++)
            expect("Adam's step", n, w[i], want[i], 3e-6);
    }
}

static void adam(void **unused)
{
    (void)unused;
    on_every_isa(adam_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax),
        cmocka_unit_test(softmax_of_infinities),
        cmocka_unit_test(same_on_any_thread_count),
        cmocka_unit_test(sums),
        cmocka_unit_test(lstm_gates),
        cmocka_unit_test(adam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
