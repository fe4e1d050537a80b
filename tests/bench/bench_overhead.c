/*
 * What an eager op costs beyond its arithmetic: ops on a single element, in ns of thread time, the
 * least of several repetitions. `recorded` has a tape open that follows the operand.
 */
#include <stdio.h>
#include <time.h>

#include "klayers/klayers.h"

#define ROUNDS 20
#define OPS    2000

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

typedef kl_tensor *step(kl_tensor *x, kl_tensor *y);

static kl_tensor *add(kl_tensor *x, kl_tensor *y)
{
    return kl_op_add(x, y);
}

static kl_tensor *mul(kl_tensor *x, kl_tensor *y)
{
    return kl_op_mul(x, y);
}

static kl_tensor *relu(kl_tensor *x, kl_tensor *y)
{
    (void)y;
    return kl_op_relu(x);
}

static kl_tensor *reshape(kl_tensor *x, kl_tensor *y)
{
    (void)y;
    return kl_op_reshape(x, KL_DIMS(1));
}

static kl_tensor *sum(kl_tensor *x, kl_tensor *y)
{
    (void)y;
    return kl_op_sum(x, KL_AXES(0), true);
}

static kl_tensor *softmax(kl_tensor *x, kl_tensor *y)
{
    (void)y;
    return kl_op_softmax(x, -1);
}

static kl_tensor *matmul(kl_tensor *x, kl_tensor *y)
{
    return kl_op_matmul(x, y);
}

static kl_tensor *dense(kl_tensor *x, kl_tensor *y)
{
    return kl_op_dense(x, y, NULL, NULL);
}

static double cost(step *run, int rank, bool recorded)
{
    const int64_t shape[2] = {1, 1};
    double best = 1e30;
    kl_scope *outer = kl_scope_begin();
    kl_tensor *x = kl_ones(KL_FLOAT32, rank, shape), *y = kl_ones(KL_FLOAT32, rank, shape);
    for (int r = 0; r < ROUNDS; r++) {
        kl_tape *tape = recorded ? kl_tape_begin() : NULL;
        if (tape)
            kl_tape_watch(tape, x);
        double start = now();
        for (int i = 0; i < OPS; i += 50) {
            kl_scope *scope = kl_scope_begin();
            for (int k = 0; k < 50; k++)
                run(x, y);
            kl_scope_end(scope);
        }
        double each = (now() - start) / OPS;
        best = each < best ? each : best;
        kl_tape_end(tape);
    }
    kl_scope_end(outer);
    return best;
}

int main(void)
{
    static const struct {
        const char *name;
        step *run;
        int rank;
    } rows[] = {{"add", add, 1},         {"mul", mul, 1},    {"relu", relu, 1},
                {"reshape", reshape, 1}, {"sum", sum, 1},    {"softmax", softmax, 1},
                {"matmul", matmul, 2},   {"dense", dense, 2}};
    printf("ns an op on one element (budget 150)\n%-10s %8s %9s\n", "op", "plain", "recorded");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-10s %8.1f %9.1f\n", rows[i].name, cost(rows[i].run, rows[i].rank, false),
               cost(rows[i].run, rows[i].rank, true));
    kl_shutdown();
    return 0;
}
