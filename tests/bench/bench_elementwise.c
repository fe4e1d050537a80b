/*
 * Times of the element-wise kernels, softmax, Adam, batch normalization and pooling on one thread,
 * beside the time of a copy of as many floats measured in the same run. Processor time of the
 * thread, the least of some repetitions. Run by hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kernels/elementwise_table.h"
#include "kernels/isa.h"
#include "kernels/norm.h"
#include "kernels/pool.h"

#define COUNT (1 << 20)
/* Adam's weights: those of the MLP of the targets. */
#define WEIGHTS     469504
#define REPETITIONS 40

static float *x, *y, *dy, *dx;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static double least(void (*run)(int), int argument)
{
    double best = 1e30;
    for (int r = 0; r < REPETITIONS; r++) {
        double start = now();
        run(argument);
        double time = now() - start;
        best = time < best ? time : best;
    }
    return best;
}

static void row(const char *name, double us)
{
    printf("%-28s %9.1f us\n", name, us);
    fflush(stdout);
}

/* On huge pages, as the library's own blocks are. */
static float *numbers(void)
{
    const size_t bytes = COUNT * sizeof(float);
    float *p = aligned_alloc((size_t)2 << 20, bytes);
    if (!p)
        exit(EXIT_FAILURE);
    madvise(p, bytes, MADV_HUGEPAGE);
    for (int i = 0; i < COUNT; i++)
        p[i] = (float)(i * 7919LL % 100003) / 12500 - 4;
    return p;
}

static void copy(int unused)
{
    (void)unused;
    memcpy(y, x, COUNT * sizeof(float));
    __asm__ volatile("" : : "r"(y) : "memory");
}

static void unary(int op)
{
    kl_unary_f32((kl_unary)op, &(kl_unary_params){.p = 0.5}, COUNT, x, y);
}

static void gradient(int op)
{
    kl_unary_grad_f32((kl_unary)op, &(kl_unary_params){.p = 0.5}, COUNT, x, y, dy, dx);
}

static void binary(int op)
{
    kl_binary_f32((kl_binary)op, COUNT, x, 1, dy, 1, y);
}

static void softmax(int logarithm)
{
    kl_softmax_rows_f32(1024, 1024, x, y, logarithm);
}

static void adam(int unused)
{
    const kl_adam_step step = {.one_minus_beta_1 = 0.1f,
                               .one_minus_beta_2 = 0.001f,
                               .rate = 1e-9f,
                               .epsilon = 1e-7f,
                               .gradient_scale = 1};
    (void)unused;
    kl_elementwise_kernels()->adam_f32(WEIGHTS, &step, x, dy, y, dx, NULL);
}

static void batch_norm(int channels)
{
    static float mean[1024], variance[1024];
    kl_norm norm = {.rows = COUNT / channels,
                    .n = channels,
                    .x = x,
                    .mean = mean,
                    .variance = variance,
                    .epsilon = 1e-3};
    kl_batch_norm(&norm, y);
}

static void batch_norm_grad(int channels)
{
    static float mean[1024], variance[1024], dgamma[1024], dbeta[1024];
    kl_norm norm = {.rows = COUNT / channels,
                    .n = channels,
                    .x = x,
                    .mean = mean,
                    .variance = variance,
                    .epsilon = 1e-3};
    kl_norm_grad grad = {.dy = dy, .dx = dx, .dgamma = dgamma, .dbeta = dbeta};
    kl_batch_norm_grad(&norm, &grad);
}

static float row_mean[COUNT / 256], row_inverse[COUNT / 256], dgamma_of[256], dbeta_of[256];

static void layer_norm(int backward)
{
    kl_row_norm norm = {.rows = COUNT / 256,
                        .n = 256,
                        .x = x,
                        .mean = row_mean,
                        .inverse = row_inverse,
                        .epsilon = 1e-3};
    if (backward)
        kl_layer_norm_grad(&norm, dy, dx, dgamma_of, dbeta_of);
    else
        kl_layer_norm(&norm, y);
}

static const kl_pool_shape pool_shape = {.batch = 16,
                                         .channels = 64,
                                         .in = {1, 32, 32},
                                         .out = {1, 16, 16},
                                         .window = {1, 2, 2},
                                         .stride = {1, 2, 2}};

static void max_pool(int unused)
{
    (void)unused;
    kl_max_pool_f32(&pool_shape, x, y);
}

static void max_pool_grad(int unused)
{
    (void)unused;
    kl_max_pool_grad_f32(&pool_shape, x, y, dy, dx);
}

int main(void)
{
#define NAME(op) #op,
    static const char *const names[] = {KL_UNARY_LIST(NAME)};
    static const kl_unary ops[] = {
        KL_UNARY_RELU,     KL_UNARY_TANH, KL_UNARY_SIGMOID,   KL_UNARY_EXP,  KL_UNARY_LOG,
        KL_UNARY_ERF,      KL_UNARY_GELU, KL_UNARY_GELU_TANH, KL_UNARY_SILU, KL_UNARY_ELU,
        KL_UNARY_SOFTPLUS, KL_UNARY_SQRT, KL_UNARY_SIN};
    x = numbers(), y = numbers(), dy = numbers(), dx = numbers();
    kl_set_num_threads(1);
    printf("%d floats, instruction set %s\n", COUNT, kl_isa_name(kl_isa_get()));
    row("copy", least(copy, 0));
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        char name[64];
        row(names[ops[i]], least(unary, (int)ops[i]));
        snprintf(name, sizeof name, "%s, gradient", names[ops[i]]);
        row(name, least(gradient, (int)ops[i]));
    }
    row("ADD", least(binary, KL_BINARY_ADD));
    row("softmax, 1024 x 1024", least(softmax, 0));
    row("log softmax, 1024 x 1024", least(softmax, 1));
    row("batch norm, 64 channels", least(batch_norm, 64));
    row("  gradient", least(batch_norm_grad, 64));
    row("batch norm, 8 channels", least(batch_norm, 8));
    row("  gradient", least(batch_norm_grad, 8));
    row("layer norm, 4096 x 256", least(layer_norm, 0));
    row("  gradient", least(layer_norm, 1));
    row("max pool 16x32x32x64, 2x2", least(max_pool, 0));
    row("  gradient", least(max_pool_grad, 0));
    memset(dx, 0, COUNT * sizeof(float));
    row("Adam, 469504 weights", least(adam, 0));
    kl_shutdown();
    return 0;
}
