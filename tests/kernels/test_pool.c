/* Pooling of random shapes, ties and NaN among the values, against plain loops in double, on every
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
#include "kernels/pool.h"

static uint64_t state = 88172645463325252u;

static int64_t below(int64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int64_t)(state % (uint64_t)n);
}

/* The same values in both types; arrays end exactly at their last element. */
typedef struct pair {
    float *f;
    double *d;
    int64_t count;
} pair;

/* Few different values, so that maxima repeat. */
static pair pair_new(int64_t count)
{
    pair p = {malloc((size_t)count * sizeof(float) + 1), malloc((size_t)count * sizeof(double) + 1),
              count};
    assert_true(p.f && p.d);
    for (int64_t i = 0; i < count; i++)
        p.d[i] = p.f[i] = (float)(below(23) - 11) / 8;
    return p;
}

static void pair_free(pair p)
{
    free(p.f);
    free(p.d);
}

static int64_t places(const int64_t *sizes)
{
    return sizes[0] * sizes[1] * sizes[2];
}

/* The padding is that of 'same' or none, so that no window lies outside the image. */
static kl_pool_shape random_shape(int rank)
{
    static const int64_t channels[] = {1, 3, 8, 16, 19, 40};
    kl_pool_shape s = {.batch = 1 + below(4), .channels = channels[below(6)]};
    for (int i = 0; i < 3; i++) {
        s.in[i] = s.out[i] = s.window[i] = s.stride[i] = 1;
        if (i < 3 - rank)
            continue;
        s.in[i] = 3 + below(6);
        s.window[i] = 1 + below(3);
        s.stride[i] = 1 + below(3);
        if (below(2)) {
            s.out[i] = (s.in[i] + s.stride[i] - 1) / s.stride[i];
            int64_t total = (s.out[i] - 1) * s.stride[i] + s.window[i] - s.in[i];
            s.pad[i] = total > 0 ? total / 2 : 0;
        } else {
            s.out[i] = (s.in[i] - s.window[i]) / s.stride[i] + 1;
        }
    }
    return s;
}

/* Where tap `t` of the window at output place `o` (sample and axes) reads channel `c`; -1 outside
   the image. */
static int64_t source(const kl_pool_shape *s, int64_t o, int64_t t, int64_t c)
{
    int64_t at[3], scale = 1, index = 0;
    for (int i = 2; i >= 0; i--) {
        at[i] = o % s->out[i] * s->stride[i] - s->pad[i] + t % s->window[i];
        o /= s->out[i];
        t /= s->window[i];
        if (at[i] < 0 || at[i] >= s->in[i])
            return -1;
        index += at[i] * scale;
        scale *= s->in[i];
    }
    return (o * scale + index) * s->channels + c;
}

typedef struct reference {
    double *max, *average, *max_grad, *average_grad;
} reference;

static reference reference_new(const kl_pool_shape *s, const double *x, const double *dy)
{
    int64_t outs = s->batch * places(s->out), c = s->channels;
    size_t in_size = (size_t)(s->batch * places(s->in) * c);
    reference r = {malloc((size_t)(outs * c) * sizeof(double)),
                   malloc((size_t)(outs * c) * sizeof(double)), calloc(in_size, sizeof(double)),
                   calloc(in_size, sizeof(double))};
    for (int64_t i = 0; i < outs * c; i++) {
        int64_t best = -1, count = 0, from;
        double sum = 0;
        for (int64_t t = 0; t < places(s->window); t++)
            if ((from = source(s, i / c, t, i % c)) >= 0) {
                best = best < 0 || x[from] > x[best] ? from : best;
                sum += x[from];
                count++;
            }
        assert_true(count > 0);
        r.max[i] = x[best];
        r.average[i] = sum / (double)count;
        r.max_grad[best] += dy[i];
        for (int64_t t = 0; t < places(s->window); t++)
            if ((from = source(s, i / c, t, i % c)) >= 0)
                r.average_grad[from] += dy[i] / (double)count;
    }
    return r;
}

static void reference_free(reference r)
{
    free(r.max);
    free(r.average);
    free(r.max_grad);
    free(r.average_grad);
}

static void expect(const char *what, pair got, const double *want)
{
    for (int64_t i = 0; i < got.count; i++) {
        if (!(fabs(got.f[i] - want[i]) <= 2e-6 * fmax(1, fabs(want[i]))))
            fail_msg("%s, float32 %s[%d]: %.9g, not %.9g", kl_kernel_isa(), what, (int)i,
                     (double)got.f[i], want[i]);
        if (!(fabs(got.d[i] - want[i]) <= 1e-14 * fmax(1, fabs(want[i]))))
            fail_msg("%s, float64 %s[%d]: %.17g, not %.17g", kl_kernel_isa(), what, (int)i,
                     got.d[i], want[i]);
    }
}

static void check(const kl_pool_shape *s)
{
    int64_t ins = s->batch * places(s->in) * s->channels;
    int64_t outs = s->batch * places(s->out) * s->channels;
    pair x = pair_new(ins), dx = pair_new(ins), y = pair_new(outs), dy = pair_new(outs);
    reference r = reference_new(s, x.d, dy.d);
    kl_max_pool_f32(s, x.f, y.f);
    kl_max_pool_f64(s, x.d, y.d);
    expect("maximum", y, r.max);
    kl_max_pool_grad_f32(s, x.f, y.f, dy.f, dx.f);
    kl_max_pool_grad_f64(s, x.d, y.d, dy.d, dx.d);
    expect("gradient of the maximum", dx, r.max_grad);
    kl_average_pool_f32(s, x.f, y.f);
    kl_average_pool_f64(s, x.d, y.d);
    expect("average", y, r.average);
    kl_average_pool_grad_f32(s, dy.f, dx.f);
    kl_average_pool_grad_f64(s, dy.d, dx.d);
    expect("gradient of the average", dx, r.average_grad);
    reference_free(r);
    pair_free(x);
    pair_free(dx);
    pair_free(y);
    pair_free(dy);
}

static void random_shapes(void **unused)
{
    (void)unused;
    kl_isa before = kl_isa_get();
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++)
        for (int i = 0; kl_isa_set((kl_isa)isa) && i < 120; i++) {
            kl_pool_shape s = random_shape(1 + i % 3);
            check(&s);
        }
    kl_isa_set(before);
}

/* The whole image as one window, and a window of one place. */
static void extreme_windows(void **unused)
{
    (void)unused;
    kl_pool_shape whole = {.batch = 3,
                           .channels = 5,
                           .in = {1, 6, 7},
                           .out = {1, 1, 1},
                           .window = {1, 6, 7},
                           .stride = {1, 6, 7}};
    kl_pool_shape one = {.batch = 2,
                         .channels = 17,
                         .in = {2, 3, 4},
                         .out = {2, 3, 4},
                         .window = {1, 1, 1},
                         .stride = {1, 1, 1}};
    check(&whole);
    check(&one);
}

/* Images so large that they fall into bands, with windows that reach across. */
static void several_bands(void **unused)
{
    (void)unused;
    static const int64_t windows[][2] = {{3, 1}, {3, 2}, {2, 2}, {2, 3}};
    for (int i = 0; i < 12; i++) {
        int rank = 1 + i / 4;
        const int64_t *window = windows[i % 4];
        kl_pool_shape s = {.batch = 2, .channels = rank == 1 ? 400 : 37};
        for (int k = 0; k < 3; k++) {
            s.in[k] = s.out[k] = s.window[k] = s.stride[k] = 1;
            if (k < 3 - rank)
                continue;
            s.in[k] = rank == 3 ? 14 + k : rank == 2 ? 50 + k : 301;
            s.window[k] = window[0];
            s.stride[k] = window[1];
            s.out[k] = (s.in[k] + s.stride[k] - 1) / s.stride[k];
            int64_t total = (s.out[k] - 1) * s.stride[k] + s.window[k] - s.in[k];
            s.pad[k] = total > 0 ? total / 2 : 0;
        }
        check(&s);
    }
}

static void not_a_number_passes(void **unused)
{
    (void)unused;
    float x[6] = {1, NAN, 2, 3, -INFINITY, -INFINITY}, y[3];
    double xd[6] = {1, NAN, 2, 3, -INFINITY, -INFINITY}, yd[3];
    kl_pool_shape s = {.batch = 1,
                       .channels = 1,
                       .in = {1, 1, 6},
                       .out = {1, 1, 3},
                       .window = {1, 1, 2},
                       .stride = {1, 1, 2}};
    kl_max_pool_f32(&s, x, y);
    kl_max_pool_f64(&s, xd, yd);
    assert_true(isnan(y[0]) && y[1] == 3 && y[2] == -INFINITY);
    assert_true(isnan(yd[0]) && yd[1] == 3 && yd[2] == -INFINITY);
    x[1] = NAN, x[0] = NAN, x[2] = 1;
    kl_max_pool_f32(&s, x, y);
    assert_true(isnan(y[0]) && y[1] == 3);
}

static void same_on_any_thread_count(void **unused)
{
    (void)unused;
    kl_pool_shape s = {.batch = 9,
                       .channels = 33,
                       .in = {1, 30, 31},
                       .out = {1, 15, 15},
                       .window = {1, 3, 3},
                       .stride = {1, 2, 2}};
    s.out[1] = 14;
    int64_t ins = s.batch * places(s.in) * s.channels, outs = s.batch * places(s.out) * s.channels;
    pair x = pair_new(ins), dx = pair_new(ins), y = pair_new(outs), dy = pair_new(outs);
    float *first = malloc((size_t)ins * sizeof *first);
    assert_non_null(first);
    for (int threads = 1; threads <= 4; threads++) {
        assert_int_equal(kl_set_num_threads(threads), KL_OK);
        kl_average_pool_f32(&s, x.f, y.f);
        kl_average_pool_grad_f32(&s, y.f, dx.f);
        if (threads == 1)
            memcpy(first, dx.f, (size_t)ins * sizeof *first);
        assert_memory_equal(first, dx.f, (size_t)ins * sizeof *first);
    }
    free(first);
    pair_free(x);
    pair_free(dx);
    pair_free(y);
    pair_free(dy);
    kl_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_shapes),
        cmocka_unit_test(extreme_windows),
        cmocka_unit_test(several_bands),
        cmocka_unit_test(not_a_number_passes),
        cmocka_unit_test(same_on_any_thread_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
