/* Convolutions of random shapes against plain loops in double, on every instruction set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/conv.h"
#include "kernels/isa.h"
#include "klayers/base.h"

static uint64_t state = 88172645463325252u;

static int64_t below(int64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int64_t)(state % (uint64_t)n);
}

/* The same random values in both types. */
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
        p.d[i] = p.f[i] = (float)(below(2001) - 1000) / 1000;
    return p;
}

static void pair_free(pair p)
{
    free(p.f);
    free(p.d);
}

static int64_t product(const int64_t v[3])
{
    return v[0] * v[1] * v[2];
}

static int64_t x_count(const kl_conv_shape *s)
{
    return s->batch * product(s->in) * s->in_channels;
}

static int64_t w_count(const kl_conv_shape *s)
{
    return product(s->kernel) * (s->in_channels / s->groups) * s->out_channels;
}

static int64_t y_count(const kl_conv_shape *s)
{
    return s->batch * product(s->out) * s->out_channels;
}

typedef enum direction { FORWARD, INPUT, KERNEL } direction;

/* Adds one tap's products at one output position. */
static void add_tap(const kl_conv_shape *s, direction pass, double *x, double *w, double *y)
{
    int64_t ci = s->in_channels / s->groups, co = s->out_channels / s->groups;
    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t i = 0; i < ci; i++)
            for (int64_t o = 0; o < co; o++) {
                double *xi = x + g * ci + i, *yo = y + g * co + o;
                double *wio = w + i * s->out_channels + g * co + o;
                if (pass == FORWARD)
                    *yo += *xi * *wio;
                else if (pass == INPUT)
                    *xi += *yo * *wio;
                else
                    *wio += *xi * *yo;
            }
}

/* Runs over all output positions and taps inside of the image; the pass's result is added to. */
static void reference(const kl_conv_shape *s, direction pass, double *x, double *w, double *y)
{
    int64_t taps = product(s->kernel), outs = product(s->out);
    for (int64_t at = 0; at < s->batch * outs * taps; at++) {
        int64_t tap = at % taps, out = at / taps % outs, n = at / taps / outs;
        int64_t k[3] = {tap / s->kernel[2] / s->kernel[1], tap / s->kernel[2] % s->kernel[1],
                        tap % s->kernel[2]};
        int64_t o[3] = {out / s->out[2] / s->out[1], out / s->out[2] % s->out[1], out % s->out[2]};
        int64_t from = n;
        bool inside = true;
        for (int d = 0; d < 3; d++) {
            int64_t i = o[d] * s->stride[d] + k[d] * s->dilation[d] - s->pad[d];
            inside = inside && i >= 0 && i < s->in[d];
            from = from * s->in[d] + i;
        }
        if (inside)
            add_tap(s, pass, x + from * s->in_channels,
                    w + tap * (s->in_channels / s->groups) * s->out_channels,
                    y + (n * outs + out) * s->out_channels);
    }
}

static void check_values(const kl_conv_shape *s, const char *what, kl_isa isa, const float *f,
                         const double *d, const double *want, int64_t count, double terms)
{
    double allow = sqrt(terms + 4);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(f[i] - want[i]) <= 2e-6 * allow) || !(fabs(d[i] - want[i]) <= 4e-15 * allow))
            fail_msg(
                "%s of %lld[%lld %lld %lld]x%lld, kernel %lld %lld %lld -> %lld in %lld groups "
                "on %s, element %lld: %.9g and %.17g for %.17g",
                what, (long long)s->batch, (long long)s->in[0], (long long)s->in[1],
                (long long)s->in[2], (long long)s->in_channels, (long long)s->kernel[0],
                (long long)s->kernel[1], (long long)s->kernel[2], (long long)s->out_channels,
                (long long)s->groups, kl_isa_name(isa), (long long)i, f[i], d[i], want[i]);
}

static void *filled(int64_t count, size_t size)
{
    void *p = malloc((size_t)count * size + 1);
    memset(p, 0xff, (size_t)count * size + 1);
    return p;
}

static void check(const kl_conv_shape *s)
{
    pair x = pair_new(x_count(s)), w = pair_new(w_count(s)), y = pair_new(y_count(s));
    pair bias = pair_new(s->out_channels);
    bool with_bias = below(2), relu = below(2);
    double *out = calloc((size_t)y.count + 1, sizeof(double));
    double *dx = calloc((size_t)x.count + 1, sizeof(double));
    double *dw = calloc((size_t)w.count + 1, sizeof(double));
    for (int64_t i = 0; with_bias && i < y.count; i++)
        out[i] = bias.d[i % s->out_channels];
    reference(s, FORWARD, x.d, w.d, out);
    for (int64_t i = 0; relu && i < y.count; i++)
        out[i] = out[i] < 0 ? 0 : out[i];
    reference(s, INPUT, dx, w.d, y.d);
    reference(s, KERNEL, x.d, dw, y.d);
    int64_t most = x.count > y.count ? x.count : y.count;
    most = most > w.count ? most : w.count;
    float *f = filled(most, sizeof(float));
    double *d = filled(most, sizeof(double));
    kl_epilogue epilogue = relu ? KL_EPILOGUE_RELU : KL_EPILOGUE_NONE;
    double taps = (double)product(s->kernel), pixels = (double)(s->batch * product(s->out));
    for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++) {
        if (!kl_isa_set((kl_isa)isa))
            continue;
        assert_true(kl_conv_f32(s, x.f, w.f, with_bias ? bias.f : NULL, epilogue, f));
        assert_true(kl_conv_f64(s, x.d, w.d, with_bias ? bias.d : NULL, epilogue, d));
        check_values(s, "forward", (kl_isa)isa, f, d, out, y.count, taps * (double)s->in_channels);
        assert_true(kl_conv_input_grad_f32(s, y.f, w.f, f));
        assert_true(kl_conv_input_grad_f64(s, y.d, w.d, d));
        check_values(s, "input gradient", (kl_isa)isa, f, d, dx, x.count,
                     taps * (double)s->out_channels);
        assert_true(kl_conv_kernel_grad_f32(s, x.f, y.f, f));
        assert_true(kl_conv_kernel_grad_f64(s, x.d, y.d, d));
        check_values(s, "kernel gradient", (kl_isa)isa, f, d, dw, w.count, pixels);
    }
    free(out);
    free(dx);
    free(dw);
    free(f);
    free(d);
    pair_free(x);
    pair_free(w);
    pair_free(y);
    pair_free(bias);
}

/* A random shape with `axes` spatial axes of at most `size`. */
static kl_conv_shape random_shape(int axes, int64_t size, int64_t channels)
{
    kl_conv_shape s = {.batch = 1 + below(3), .groups = 1};
    for (int d = 0; d < 3; d++) {
        s.in[d] = s.out[d] = s.kernel[d] = s.stride[d] = s.dilation[d] = 1;
        if (d < 3 - axes)
            continue;
        s.in[d] = 1 + below(size);
        s.kernel[d] = 1 + below(4);
        s.stride[d] = below(2) ? 1 : 1 + below(4);
        s.dilation[d] = below(2) ? 1 : 1 + below(3);
        int64_t span = (s.kernel[d] - 1) * s.dilation[d] + 1;
        s.pad[d] = below(2) ? 0 : below(span + 1) - (below(8) ? 0 : 1);
        int64_t after = below(2) ? 0 : below(span);
        int64_t room = s.in[d] + s.pad[d] + after - span;
        s.out[d] = room < 0 ? 1 : room / s.stride[d] + 1;
    }
    int64_t kind = below(4);
    s.groups = kind == 0 ? 1 + below(4) : 1;
    s.in_channels = s.groups * (1 + below(channels));
    s.out_channels = s.groups * (1 + below(channels));
    if (kind == 1) {
        s.groups = s.in_channels;
        s.out_channels = s.in_channels * (below(2) ? 1 : 1 + below(3));
    }
    return s;
}

static void test_one_axis(void **unused)
{
    for (int i = 0; i < 300; i++) {
        kl_conv_shape s = random_shape(1, 40, 20);
        check(&s);
    }
}

static void test_two_axes(void **unused)
{
    for (int i = 0; i < 300; i++) {
        kl_conv_shape s = random_shape(2, 12, 20);
        check(&s);
    }
}

static void test_three_axes(void **unused)
{
    for (int i = 0; i < 100; i++) {
        kl_conv_shape s = random_shape(3, 7, 8);
        check(&s);
    }
}

/* The shapes of common first, middle and last layers. */
static void test_common_shapes(void **unused)
{
    static const int64_t shapes[][8] = {
        /* batch, size, in, out, kernel, stride, pad, groups */
        {2, 28, 1, 32, 3, 1, 0, 1},  {2, 26, 32, 64, 3, 1, 0, 1}, {1, 14, 64, 64, 3, 1, 1, 1},
        {1, 30, 3, 64, 7, 2, 2, 1},  {2, 9, 48, 40, 1, 1, 0, 1},  {2, 9, 48, 40, 1, 2, 0, 1},
        {1, 13, 64, 96, 3, 2, 1, 1}, {1, 12, 32, 32, 3, 1, 1, 4}, {2, 12, 40, 40, 3, 1, 1, 40},
        {1, 7, 256, 80, 3, 1, 1, 1}, {1, 5, 700, 16, 3, 1, 1, 1}, {1, 20, 16, 1, 5, 1, 2, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *v = shapes[i];
        int64_t out = (v[1] + 2 * v[6] - v[4]) / v[5] + 1;
        kl_conv_shape s = {.batch = v[0],
                           .in = {1, v[1], v[1]},
                           .in_channels = v[2],
                           .out = {1, out, out},
                           .out_channels = v[3],
                           .kernel = {1, v[4], v[4]},
                           .stride = {1, v[5], v[5]},
                           .dilation = {1, 1, 1},
                           .pad = {0, v[6], v[6]},
                           .groups = v[7]};
        check(&s);
    }
}

static void test_long_axis(void **unused)
{
    kl_conv_shape s = {.batch = 1,
                       .in = {1, 1, 1500},
                       .in_channels = 5,
                       .out = {1, 1, 1500},
                       .out_channels = 18,
                       .kernel = {1, 1, 70},
                       .stride = {1, 1, 1},
                       .dilation = {1, 1, 2},
                       .pad = {0, 0, 138},
                       .groups = 1};
    check(&s);
}

static void same_bytes(bool done, const void *a, void *b, size_t bytes, bool first)
{
    assert_true(done);
    if (!first)
        assert_memory_equal(a, b, bytes);
}

static void test_same_on_any_thread_count(void **unused)
{
    for (int i = 0; i < 3; i++) {
        int64_t groups = i == 2 ? 64 : 1 + i;
        kl_conv_shape s = {.batch = 3,
                           .in = {1, 40, 40},
                           .in_channels = 64,
                           .out = {1, 40, 40},
                           .out_channels = 64,
                           .kernel = {1, 3, 3},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1},
                           .pad = {0, 1, 1},
                           .groups = groups};
        pair x = pair_new(x_count(&s)), w = pair_new(w_count(&s)), y = pair_new(y_count(&s));
        float *out[2], *dx[2], *dw[2];
        for (int turn = 0; turn < 2; turn++) {
            kl_set_num_threads(turn ? 3 : 1);
            out[turn] = filled(y.count, sizeof(float));
            dx[turn] = filled(x.count, sizeof(float));
            dw[turn] = filled(w.count, sizeof(float));
            same_bytes(kl_conv_f32(&s, x.f, w.f, NULL, KL_EPILOGUE_NONE, out[turn]), out[0],
                       out[turn], (size_t)y.count * sizeof(float), !turn);
            same_bytes(kl_conv_input_grad_f32(&s, y.f, w.f, dx[turn]), dx[0], dx[turn],
                       (size_t)x.count * sizeof(float), !turn);
            same_bytes(kl_conv_kernel_grad_f32(&s, x.f, y.f, dw[turn]), dw[0], dw[turn],
                       (size_t)w.count * sizeof(float), !turn);
        }
        for (int turn = 0; turn < 2; turn++) {
            free(out[turn]);
            free(dx[turn]);
            free(dw[turn]);
        }
        pair_free(x);
        pair_free(w);
        pair_free(y);
    }
    kl_shutdown();
}

/* A kernel that reaches further than memory is refused rather than overflowing a size. */
static void test_too_large(void **unused)
{
    float x[4] = {1, 2, 3, 4}, dy[4] = {1, 1, 1, 1}, dw[2] = {0};
    kl_conv_shape s = {.batch = 1,
                       .in = {1, 1, 4},
                       .in_channels = 1,
                       .out = {1, 1, 4},
                       .out_channels = 1,
                       .kernel = {1, 1, 2},
                       .stride = {1, 1, 1},
                       .dilation = {1, 1, INT64_MAX / 2},
                       .groups = 1};
    assert_false(kl_conv_kernel_grad_f32(&s, x, dy, dw));
    assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_axis),   cmocka_unit_test(test_two_axes),
        cmocka_unit_test(test_three_axes), cmocka_unit_test(test_common_shapes),
        cmocka_unit_test(test_long_axis),  cmocka_unit_test(test_same_on_any_thread_count),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
