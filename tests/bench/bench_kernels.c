/*
 * Arithmetic rate of the matrix product and convolution kernels on one thread, beside the limit of
 * the processor's multiply-add units measured in the same run. Times are processor time of the
 * thread, the least of some repetitions. Usage: bench_kernels [gemm|conv] [avx2|avx512|...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench_limit.h"
#include "kernels/conv.h"
#include "kernels/gemm.h"
#include "kernels/isa.h"
#include "klayers/base.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef void work_fn(const void *arg);

/* Least time of a call, in seconds. */
static double least(work_fn *fn, const void *arg, double flops)
{
    int64_t calls = (int64_t)(2e8 / flops) + 1;
    double best = 1e30;
    for (int round = 0; round < 9; round++) {
        double start = now();
        for (int64_t i = 0; i < calls; i++)
            fn(arg);
        double time = (now() - start) / (double)calls;
        if (time < best)
            best = time;
    }
    return best;
}

static double limit; /* GF */

static void limit_work(const void *arg)
{
    (void)arg;
    bench_limit_run();
}

static void row(const char *name, double flops, double seconds)
{
    double rate = flops / seconds * 1e-9;
    printf("%-44s %10.2f us %8.1f GF %6.1f %%\n", name, seconds * 1e6, rate, 100 * rate / limit);
    fflush(stdout);
}

/* On huge pages where large, as the library's own blocks are. */
static float *numbers(int64_t count)
{
    size_t bytes = (size_t)count * sizeof(float), align = bytes >> 20 ? (size_t)2 << 20 : 64;
    float *p = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (!p)
        exit(1);
    if (bytes >> 20)
        madvise(p, (bytes + align - 1) / align * align, MADV_HUGEPAGE);
    for (int64_t i = 0; i < count; i++)
        p[i] = (float)(i * 7919 % 1000) / 500 - 1;
    return p;
}

static void gemm_work(const void *arg)
{
    kl_gemm_f32(arg);
}

/* op(A) op(B) with contiguous matrices; `ta` and `tb` say which are transposed. */
static void gemm_row(int64_t m, int64_t k, int64_t n, bool ta, bool tb)
{
    float *a = numbers(m * k), *b = numbers(k * n), *c = numbers(m * n);
    kl_gemm g = {.m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .c_row = n};
    g.a_row = ta ? 1 : k, g.a_col = ta ? m : 1;
    g.b_row = tb ? 1 : n, g.b_col = tb ? k : 1;
    char name[96];
    snprintf(name, sizeof name, "gemm %lld x %lld -> %lld%s%s", (long long)m, (long long)k,
             (long long)n, ta ? ", A transposed" : "", tb ? ", B transposed" : "");
    double flops = 2.0 * (double)m * (double)n * (double)k;
    row(name, flops, least(gemm_work, &g, flops));
    free(a);
    free(b);
    free(c);
}

typedef struct conv_case {
    kl_conv_shape s;
    float *x, *w, *y;
} conv_case;

static void forward_work(const void *arg)
{
    const conv_case *p = arg;
    kl_conv_f32(&p->s, p->x, p->w, NULL, KL_EPILOGUE_RELU, p->y);
}

static void input_work(const void *arg)
{
    const conv_case *p = arg;
    kl_conv_input_grad_f32(&p->s, p->y, p->w, p->x);
}

static void kernel_work(const void *arg)
{
    const conv_case *p = arg;
    kl_conv_kernel_grad_f32(&p->s, p->x, p->y, p->w);
}

static void conv_row(int64_t batch, int64_t size, int64_t channels, int64_t filters, int64_t kernel,
                     int64_t stride, bool same, int64_t groups)
{
    int64_t out = same ? (size + stride - 1) / stride : (size - kernel) / stride + 1;
    int64_t pad = same ? ((out - 1) * stride + kernel - size) / 2 : 0;
    conv_case p = {.s = {.batch = batch,
                         .in = {1, size, size},
                         .in_channels = channels,
                         .out = {1, out, out},
                         .out_channels = filters,
                         .kernel = {1, kernel, kernel},
                         .stride = {1, stride, stride},
                         .dilation = {1, 1, 1},
                         .pad = {0, pad, pad},
                         .groups = groups}};
    int64_t weights = kernel * kernel * channels / groups * filters;
    p.x = numbers(batch * size * size * channels);
    p.w = numbers(weights);
    p.y = numbers(batch * out * out * filters);
    double flops = 2.0 * (double)(batch * out * out) * (double)weights;
    static const char *const passes[] = {"forward", "input grad", "kernel grad"};
    work_fn *const work[] = {forward_work, input_work, kernel_work};
    for (int i = 0; i < 3; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%lldx%lldx%lldx%lld -> %lld, %lldx%lld%s%s, %s",
                 groups > 1 ? "groups " : "conv ", (long long)batch, (long long)size,
                 (long long)size, (long long)channels, (long long)filters, (long long)kernel,
                 (long long)kernel, stride > 1 ? " strided" : "", same ? " same" : "", passes[i]);
        row(name, flops, least(work[i], &p, flops));
    }
    free(p.x);
    free(p.w);
    free(p.y);
}

static void gemm_rows(void)
{
    gemm_row(1024, 1024, 1024, false, false);
    gemm_row(1024, 1024, 1024, false, true);
    gemm_row(1024, 1024, 1024, true, false);
    gemm_row(128, 784, 512, false, false);
    gemm_row(128, 512, 784, false, true);
    gemm_row(784, 128, 512, true, false);
    gemm_row(128, 512, 128, false, false);
    gemm_row(32, 512, 128, false, false);
    gemm_row(32, 128, 512, false, false);
    gemm_row(32, 512, 128, false, true);
    gemm_row(128, 32, 512, true, false);
    gemm_row(128, 128, 10, false, false);
    gemm_row(128, 10, 128, false, true);
    gemm_row(128, 128, 10, true, false);
    gemm_row(18432, 288, 64, false, false);
    gemm_row(21632, 9, 32, false, false);
    gemm_row(25088, 64, 64, false, false);
    gemm_row(1, 784, 512, false, false);
    gemm_row(1, 784, 512, false, true);
    gemm_row(1, 9216, 128, false, false);
    gemm_row(4, 784, 512, false, false);
    gemm_row(4, 784, 512, false, true);
    gemm_row(128, 64, 1, false, false);
    gemm_row(8, 8, 8, false, false);
    gemm_row(16, 64, 64, false, true);
}

static void conv_rows(void)
{
    conv_row(32, 28, 1, 32, 3, 1, false, 1);
    conv_row(32, 26, 32, 64, 3, 1, false, 1);
    conv_row(8, 56, 64, 64, 3, 1, true, 1);
    conv_row(8, 14, 256, 256, 3, 1, true, 1);
    conv_row(8, 56, 64, 256, 1, 1, true, 1);
    conv_row(8, 56, 64, 128, 3, 2, true, 1);
    conv_row(1, 224, 3, 64, 7, 2, true, 1);
    conv_row(8, 28, 64, 64, 3, 1, true, 4);
    conv_row(8, 56, 128, 128, 3, 1, true, 128);
}

int main(int argc, char **argv)
{
    bool gemm = true, conv = true;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "gemm"))
            conv = false;
        else if (!strcmp(argv[i], "conv"))
            gemm = false;
        for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++)
            if (!strcmp(argv[i], kl_isa_name((kl_isa)isa)) && !kl_isa_set((kl_isa)isa))
                return fprintf(stderr, "%s is not available\n", argv[i]), 1;
    }
    kl_set_num_threads(1);
    double flops = bench_limit_flops();
    limit = flops / least(limit_work, NULL, flops) * 1e-9;
    printf("instruction set %s, multiply-add limit %.1f GF on one thread\n",
           kl_isa_name(kl_isa_get()), limit);
    if (gemm)
        gemm_rows();
    if (conv)
        conv_rows();
    return 0;
}
