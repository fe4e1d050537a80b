#include "kernels/gru.h"

#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"
#include "kernels/elementwise_table.h"
#include "kernels/gates_table.h"
#include "kernels/recurrence.h"

typedef struct gru_job {
    const kl_gru *l;
    const kl_gru_grad *g;
    kl_recurrence r;
    /* Forward without gates to keep: the state's products [b, 3u], then the candidates' [b, u].
       Backward: the gradients of outputs that masked steps hand on [b, u]. */
    float *scratch;
    atomic_bool failed;
} gru_job;

static bool keeps(const kl_gru *l, int64_t sample, int64_t step)
{
    return !l->mask || l->mask[sample * l->steps + step];
}

/* Where a step's gates are computed. */
static float *gates_of(const gru_job *job, int64_t sample, int64_t step)
{
    const kl_gru *l = job->l;
    return l->gates ? l->gates + (sample * l->steps + step) * 3 * l->units
                    : job->scratch + sample * 3 * l->units;
}

static void step_sample(const gru_job *job, int64_t sample, int64_t step)
{
    const kl_gru *l = job->l;
    int64_t u = l->units, at = sample * l->steps + step;
    size_t bytes = (size_t)u * sizeof(float);
    const float *before = step ? l->states + (at - 1) * u : l->h0 + sample * u;
    float *h = l->states + at * u, *y = l->outputs + at * u;
    float *inner = l->inner ? l->inner + at * u : job->scratch + (3 * l->batch + sample) * u;
    if (keeps(l, sample, step)) {
        kl_gates_kernels()->gru_gates_f32(u, l->z + at * 3 * u, gates_of(job, sample, step),
                                          l->bias, before, inner, h);
        if (y != h)
            memcpy(y, h, bytes);
        return;
    }
    memcpy(h, before, bytes);
    if (step)
        memcpy(y, y - u, bytes);
    else
        memset(y, 0, bytes);
}

static void forward_chunk(void *arg, int64_t chunk)
{
    gru_job *job = arg;
    const kl_gru *l = job->l;
    int64_t u = l->units, t = l->steps, rows, first = kl_recurrence_chunk(&job->r, chunk, &rows);
    for (int64_t step = 0; step < t; step++) {
        const float *h = step ? l->states + (first * t + step - 1) * u : l->h0 + first * u;
        if (!kl_recur(&job->r, rows, h, step ? t * u : u, gates_of(job, first, step),
                      l->gates ? t * 3 * u : 3 * u)) {
            atomic_store(&job->failed, true);
            return;
        }
        for (int64_t row = 0; row < rows; row++)
            step_sample(job, first + row, step);
    }
}

static bool run(gru_job *job, bool back, int64_t scratch, void (*chunk)(void *arg, int64_t chunk))
{
    const kl_gru *l = job->l;
    if (!l->batch || !l->units)
        return true;
    job->r = (kl_recurrence){l->batch, l->units, 3 * l->units, l->recurrent, NULL, false, 0};
    if (!kl_recurrence_begin(&job->r, l->steps, back))
        return false;
    if (scratch)
        job->scratch = kl_block_alloc((size_t)(l->batch * scratch) * sizeof *job->scratch);
    if (job->scratch || !scratch)
        kl_recurrence_run(&job->r, chunk, job);
    kl_recurrence_end(&job->r);
    kl_block_free(job->scratch);
    return (job->scratch || !scratch) && !atomic_load(&job->failed);
}

bool kl_gru_forward(const kl_gru *l)
{
    return run(&(gru_job){.l = l}, false, l->gates ? 0 : 4 * l->units, forward_chunk);
}

/* dh has what came from later steps; this step's output gradient joins it. */
static void back_sample(const gru_job *job, int64_t sample, int64_t step)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    const kl_gru *l = job->l;
    const kl_gru_grad *g = job->g;
    int64_t u = l->units, at = sample * l->steps + step;
    float *dh = g->dh0 + sample * u;
    float *dz = g->dz + at * 3 * u, *dproduct = g->dproduct + at * 3 * u;
    float *carried = l->mask ? job->scratch + sample * u : NULL;
    if (carried) {
        if (g->dy)
            k->accumulate_f32(u, g->dy + at * u, carried);
        if (!keeps(l, sample, step)) {
            memset(dz, 0, 3 * (size_t)u * sizeof *dz);
            memset(dproduct, 0, 3 * (size_t)u * sizeof *dproduct);
            return;
        }
        k->accumulate_f32(u, carried, dh);
        memset(carried, 0, (size_t)u * sizeof *carried);
    } else if (g->dy) {
        k->accumulate_f32(u, g->dy + at * u, dh);
    }
    kl_gates_kernels()->gru_gates_grad_f32(u, l->gates + at * 3 * u, l->inner + at * u,
                                           step ? l->states + (at - 1) * u : l->h0 + sample * u, dh,
                                           dz, dproduct);
}

static void backward_chunk(void *arg, int64_t chunk)
{
    gru_job *job = arg;
    const kl_gru *l = job->l;
    const kl_gru_grad *g = job->g;
    int64_t u = l->units, t = l->steps, rows, first = kl_recurrence_chunk(&job->r, chunk, &rows);
    size_t bytes = (size_t)(rows * u) * sizeof(float);
    if (g->dh_last)
        memcpy(g->dh0 + first * u, g->dh_last + first * u, bytes);
    else
        memset(g->dh0 + first * u, 0, bytes);
    if (job->scratch)
        memset(job->scratch + first * u, 0, bytes);
    for (int64_t step = t; step-- > 0;) {
        for (int64_t row = 0; row < rows; row++)
            back_sample(job, first + row, step);
        /* The state before gets the product's gradient * recurrent^T besides. */
        if (!kl_recur(&job->r, rows, g->dproduct + (first * t + step) * 3 * u, t * 3 * u,
                      g->dh0 + first * u, u)) {
            atomic_store(&job->failed, true);
            return;
        }
    }
}

bool kl_gru_backward(const kl_gru *l, const kl_gru_grad *g)
{
    return run(&(gru_job){.l = l, .g = g}, true, l->mask ? l->units : 0, backward_chunk);
}
