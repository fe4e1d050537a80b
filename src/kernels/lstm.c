#include "kernels/lstm.h"

#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/elementwise_table.h"
#include "kernels/gemm.h"

/* Samples a chunk has: enough rows for the product's tiles, few enough for the threads. */
#define SAMPLES 16

typedef struct lstm_job {
    const kl_lstm *l;
    const kl_lstm_grad *g;
    float *scratch; /* backward: the carried gradients of the outputs, [b, u] */
    atomic_bool failed;
} lstm_job;

static bool keeps(const kl_lstm *l, int64_t sample, int64_t step)
{
    return !l->mask || l->mask[sample * l->steps + step];
}

/* z += h * recurrent for the samples [first, first + rows) at a step. */
static bool add_recurrence(const kl_lstm *l, int64_t first, int64_t rows, int64_t step)
{
    int64_t u = l->units, t = l->steps;
    kl_gemm g = {.m = rows,
                 .n = 4 * u,
                 .k = u,
                 .a_row = t * u,
                 .a_col = 1,
                 .b = l->recurrent,
                 .b_row = 4 * u,
                 .b_col = 1,
                 .c = l->gates + (first * t + step) * 4 * u,
                 .c_row = t * 4 * u,
                 .accumulate = true};
    if (step) {
        g.a = l->states + (first * t + step - 1) * u;
    } else {
        g.a = l->h0 + first * u;
        g.a_row = u;
    }
    return kl_gemm_f32(&g);
}

static void step_sample(const kl_lstm *l, int64_t sample, int64_t step)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    int64_t u = l->units, at = sample * l->steps + step;
    size_t bytes = (size_t)u * sizeof(float);
    const float *c_before = step ? l->cells + (at - 1) * u : l->c0 + sample * u;
    const float *h_before = step ? l->states + (at - 1) * u : l->h0 + sample * u;
    float *h = l->states + at * u, *y = l->outputs + at * u;
    if (keeps(l, sample, step)) {
        k->lstm_gates_f32(u, l->gates + at * 4 * u, c_before, l->cells + at * u, h,
                          l->tanh_cells + at * u);
        if (y != h)
            memcpy(y, h, bytes);
        return;
    }
    memcpy(l->cells + at * u, c_before, bytes);
    memcpy(h, h_before, bytes);
    if (y != h && step)
        memcpy(y, y - u, bytes);
    else if (y != h)
        memset(y, 0, bytes);
}

static void forward_chunk(void *arg, int64_t chunk)
{
    lstm_job *job = arg;
    const kl_lstm *l = job->l;
    int64_t first = chunk * SAMPLES;
    int64_t rows = l->batch - first < SAMPLES ? l->batch - first : SAMPLES;
    for (int64_t step = 0; step < l->steps; step++) {
        if (!add_recurrence(l, first, rows, step)) {
            atomic_store(&job->failed, true);
            return;
        }
        for (int64_t r = 0; r < rows; r++)
            step_sample(l, first + r, step);
    }
}

bool kl_lstm_forward(const kl_lstm *l)
{
    lstm_job job = {.l = l};
    if (l->batch && l->units)
        kl_parallel_for((l->batch + SAMPLES - 1) / SAMPLES, forward_chunk, &job);
    return !atomic_load(&job.failed);
}

/* dh has what came from later steps; this step's output gradient joins it. */
static void back_sample(const lstm_job *job, int64_t sample, int64_t step)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    const kl_lstm *l = job->l;
    const kl_lstm_grad *g = job->g;
    int64_t u = l->units, at = sample * l->steps + step;
    float *dh = g->dh0 + sample * u, *dc = g->dc0 + sample * u, *dz = g->dz + at * 4 * u;
    float *carried = job->scratch + sample * u;
    if (g->dy)
        k->accumulate_f32(u, g->dy + at * u, carried);
    if (!keeps(l, sample, step)) {
        memset(dz, 0, 4 * (size_t)u * sizeof *dz);
        return;
    }
    k->accumulate_f32(u, carried, dh);
    memset(carried, 0, (size_t)u * sizeof *carried);
    k->lstm_gates_grad_f32(u, l->gates + at * 4 * u,
                           step ? l->cells + (at - 1) * u : l->c0 + sample * u,
                           l->tanh_cells + at * u, dh, dc, dz);
    memset(dh, 0, (size_t)u * sizeof *dh);
}

static void backward_chunk(void *arg, int64_t chunk)
{
    lstm_job *job = arg;
    const kl_lstm *l = job->l;
    const kl_lstm_grad *g = job->g;
    int64_t u = l->units, t = l->steps, first = chunk * SAMPLES;
    int64_t rows = l->batch - first < SAMPLES ? l->batch - first : SAMPLES;
    size_t bytes = (size_t)(rows * u) * sizeof(float);
    if (g->dh_last)
        memcpy(g->dh0 + first * u, g->dh_last + first * u, bytes);
    else
        memset(g->dh0 + first * u, 0, bytes);
    if (g->dc_last)
        memcpy(g->dc0 + first * u, g->dc_last + first * u, bytes);
    else
        memset(g->dc0 + first * u, 0, bytes);
    memset(job->scratch + first * u, 0, bytes);
    for (int64_t step = t; step-- > 0;) {
        for (int64_t r = 0; r < rows; r++)
            back_sample(job, first + r, step);
        /* The state before gets dz * recurrent^T; a masked sample's own dh passes through. */
        kl_gemm product = {.m = rows,
                           .n = u,
                           .k = 4 * u,
                           .a = g->dz + (first * t + step) * 4 * u,
                           .a_row = t * 4 * u,
                           .a_col = 1,
                           .b = l->recurrent,
                           .b_row = 1,
                           .b_col = 4 * u,
                           .c = g->dh0 + first * u,
                           .c_row = u,
                           .accumulate = true};
        if (!kl_gemm_f32(&product)) {
            atomic_store(&job->failed, true);
            return;
        }
    }
}

bool kl_lstm_backward(const kl_lstm *l, const kl_lstm_grad *g)
{
    lstm_job job = {.l = l, .g = g};
    if (!l->batch || !l->units)
        return true;
    job.scratch = kl_block_alloc((size_t)(l->batch * l->units) * sizeof *job.scratch);
    if (!job.scratch)
        return false;
    kl_parallel_for((l->batch + SAMPLES - 1) / SAMPLES, backward_chunk, &job);
    kl_block_free(job.scratch);
    return !atomic_load(&job.failed);
}
