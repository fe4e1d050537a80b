/*
 * Attention of 8 heads of 64 at the sizes asked for: each line of the input is "length causal
 * backward threads repetitions", its answer the least wall time of a call in microseconds.
 * attention.py asks in turns with PyTorch and TensorFlow.
 */
#include <stdio.h>
#include <time.h>

#include "klayers/ops.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct problem {
    kl_tensor *x[3], *dy;
    kl_attention_options options;
} problem;

static void forward(const problem *p)
{
    kl_release(kl_op_attention(p->x[0], p->x[1], p->x[2], NULL, &p->options));
}

static void forward_backward(const problem *p)
{
    kl_tensor *grads[3] = {NULL};
    kl_tape *tape = kl_tape_begin();
    for (int i = 0; i < 3; i++)
        kl_tape_watch(tape, p->x[i]);
    kl_tensor *y = kl_op_attention(p->x[0], p->x[1], p->x[2], NULL, &p->options);
    kl_tape_gradient(tape, y, 3, p->x, grads, .output_gradient = p->dy);
    for (int i = 0; i < 3; i++)
        kl_release(grads[i]);
    kl_release(y);
}

int main(void)
{
    int length, causal, backward, threads, repetitions;
    while (scanf("%d %d %d %d %d", &length, &causal, &backward, &threads, &repetitions) == 5) {
        const int64_t shape[4] = {1, length, 8, 64};
        problem p = {.options = {.scale = 0.125, .causal = causal != 0}};
        for (int i = 0; i < 3; i++)
            p.x[i] = kl_op_random_normal(KL_FLOAT32, 4, shape, 0, 1);
        p.dy = kl_op_random_normal(KL_FLOAT32, 4, shape, 0, 1);
        kl_set_num_threads(threads);
        double best = 1e30;
        for (int i = 0; i < repetitions; i++) {
            double start = now();
            if (backward)
                forward_backward(&p);
            else
                forward(&p);
            double time = now() - start;
            best = time < best ? time : best;
        }
        printf("%.2f\n", best * 1e6);
        fflush(stdout);
        for (int i = 0; i < 3; i++)
            kl_release(p.x[i]);
        kl_release(p.dy);
    }
    kl_shutdown();
    return 0;
}
