#include "kernels/gru.h"

#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/elementwise_table.h"
#include "kernels/gemm.h"

/* Samples a chunk has: enough rows for the product's tiles, few enough for the threads. */
#define SAMPLES 16

typedef struct gru_job {
    const kl_gru *l;
    const kl_gru_grad *g;
    float *scratch; /* forward: the state's products [b, 3u]; backward: carried outputs' [b, u] */
    atomic_bool failed;
} gru_job;

static bool keeps(const kl_gru *l, int64_t sample, int64_t step)
{
    return !l->mask || l->mask[sample * l->steps + step];
}

static void step_sample(const gru_job *job, int64_t sample, int64_t step)
{
    const kl_gru *l = job->l;
    int64_t u = l->units, at = sample * l->steps + step;
    size_t bytes = (size_t)u * sizeof(float);
    const float *before = step ? l->states + (at - 1) * u : l->h0 + sample * u;
    float *h = l->states + at * u, *y = l->outputs + at * u;
    if (keeps(l, sample, step)) {
        kl_elementwise_kernels()->gru_gates_f32(u, l->gates + at * 3 * u,
                                                job->scratch + sample * 3 * u, l->bias, before,
                                                l->inner + at * u, h);
        if (y != h)
            memcpy(y, h, bytes);
        return;
    }
    memset(l->inner + at * u, 0, bytes);
    memcpy(h, before, bytes);
    if (y != h && step)
        memcpy(y, y - u, bytes);
    else if (y != h)
        memset(y, 0, bytes);
}

static void forward_chunk(void *arg, int64_t chunk)
{
    gru_job *job = arg;
    const kl_gru *l = job->l;
    int64_t u = l->units, t = l->steps, first = chunk * SAMPLES;
    int64_t rows = l->batch - first < SAMPLES ? l->batch - first : SAMPLES;
    for (int64_t step = 0; step < t; step++) {
        kl_gemm g = {.m = rows,
                     .n = 3 * u,
                     .k = u,
                     .a = step ? l->states + (first * t + step - 1) * u : l->h0 + first * u,
                     .a_row = step ? t * u : u,
                     .a_col = 1,
                     .b = l->recurrent,
                     .b_row = 3 * u,
                     .b_col = 1,
                     .c = job->scratch + first * 3 * u,
                     .c_row = 3 * u};
        if (!kl_gemm_f32(&g)) {
            atomic_store(&job->failed, true);
            return;
        }
        for (int64_t r = 0; r < rows; r++)
            step_sample(job, first + r, step);
    }
}

static bool run_chunks(gru_job *job, int64_t width, void (*chunk)(void *arg, int64_t chunk))
{
    const kl_gru *l = job->l;
    if (!l->batch || !l->units)
        return true;
    job->scratch = kl_block_alloc((size_t)(l->batch * width) * sizeof *job->scratch);
    if (!job->scratch)
        return false;
    kl_parallel_for((l->batch + SAMPLES - 1) / SAMPLES, chunk, job);
    kl_block_free(job->scratch);
    return !atomic_load(&job->failed);
}

bool kl_gru_forward(const kl_gru *l)
{
    gru_job job = {.l = l};
    return run_chunks(&job, 3 * l->units, forward_chunk);
}

/* dh has what came from later steps; this step's output gradient joins it. */
static void back_sample(const gru_job *job, int64_t sample, int64_t step)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    const kl_gru *l = job->l;
    const kl_gru_grad *g = job->g;
    int64_t u = l->units, at = sample * l->steps + step;
    float *dh = g->dh0 + sample * u, *carried = job->scratch + sample * u;
    float *dz = g->dz + at * 3 * u, *dproduct = g->dproduct + at * 3 * u;
    if (g->dy)
        k->accumulate_f32(u, g->dy + at * u, carried);
    if (!keeps(l, sample, step)) {
        memset(dz, 0, 3 * (size_t)u * sizeof *dz);
        memset(dproduct, 0, 3 * (size_t)u * sizeof *dproduct);
        return;
    }
    k->accumulate_f32(u, carried, dh);
    memset(carried, 0, (size_t)u * sizeof *carried);
    k->gru_gates_grad_f32(u, l->gates + at * 3 * u, l->inner + at * u,
                          step ? l->states + (at - 1) * u : l->h0 + sample * u, dh, dz, dproduct);
}

static void backward_chunk(void *arg, int64_t chunk)
{
    gru_job *job = arg;
    const kl_gru *l = job->l;
    const kl_gru_grad *g = job->g;
    int64_t u = l->units, t = l->steps, first = chunk * SAMPLES;
    int64_t rows = l->batch - first < SAMPLES ? l->batch - first : SAMPLES;
    size_t bytes = (size_t)(rows * u) * sizeof(float);
    if (g->dh_last)
        memcpy(g->dh0 + first * u, g->dh_last + first * u, bytes);
    else
        memset(g->dh0 + first * u, 0, bytes);
    memset(job->scratch + first * u, 0, bytes);
    for (int64_t step = t; step-- > 0;) {
        for (int64_t r = 0; r < rows; r++)
            back_sample(job, first + r, step);
        /* The state before gets the product's gradient * recurrent^T besides. */
        kl_gemm product = {.m = rows,
                           .n = u,
                           .k = 3 * u,
                           .a = g->dproduct + (first * t + step) * 3 * u,
                           .a_row = t * 3 * u,
                           .a_col = 1,
                           .b = l->recurrent,
                           .b_row = 1,
                           .b_col = 3 * u,
                           .c = g->dh0 + first * u,
                           .c_row = u,
                           .accumulate = true};
        if (!kl_gemm_f32(&product)) {
            atomic_store(&job->failed, true);
            return;
        }
    }
}

bool kl_gru_backward(const kl_gru *l, const kl_gru_grad *g)
{
    gru_job job = {.l = l, .g = g};
    return run_chunks(&job, l->units, backward_chunk);
}
