#include "kernels/lstm.h"

#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"
#include "kernels/elementwise_table.h"
#include "kernels/gates_table.h"
#include "kernels/recurrence.h"

typedef struct lstm_job {
    const kl_lstm *l;
    const kl_lstm_grad *g;
    kl_recurrence r;
    /* Forward without gates to keep: the state's products [b, 4u], then tanh of cells [b, u].
       Backward: the gradients of outputs that masked steps hand on [b, u]. */
    float *scratch;
    atomic_bool failed;
} lstm_job;

static bool keeps(const kl_lstm *l, int64_t sample, int64_t step)
{
    return !l->mask || l->mask[sample * l->steps + step];
}

/* Where a step's gates are computed. */
static float *gates_of(const lstm_job *job, int64_t sample, int64_t step)
{
    const kl_lstm *l = job->l;
    return l->gates ? l->gates + (sample * l->steps + step) * 4 * l->units
                    : job->scratch + sample * 4 * l->units;
}

/* The state before a step goes on, and the output before it. */
static void hold(const kl_lstm *l, int64_t sample, int64_t step)
{
    int64_t u = l->units, at = sample * l->steps + step;
    size_t bytes = (size_t)u * sizeof(float);
    float *y = l->outputs + at * u, *h = l->states + at * u;
    memcpy(h, step ? h - u : l->h0 + sample * u, bytes);
    if (l->cells)
        memcpy(l->cells + at * u, step ? l->cells + (at - 1) * u : l->c0 + sample * u, bytes);
    if (step)
        memcpy(y, y - u, bytes);
    else
        memset(y, 0, bytes);
}

static void step_sample(const lstm_job *job, int64_t sample, int64_t step)
{
    const kl_lstm *l = job->l;
    int64_t u = l->units, at = sample * l->steps + step;
    if (!keeps(l, sample, step)) {
        hold(l, sample, step);
        return;
    }
    float *h = l->states + at * u, *y = l->outputs + at * u, *c, *tc;
    const float *before;
    if (l->gates) {
        c = l->cells + at * u;
        tc = l->tanh_cells + at * u;
        before = step ? c - u : l->c0 + sample * u;
    } else {
        before = c = l->c_last + sample * u;
        tc = job->scratch + (4 * l->batch + sample) * u;
    }
    kl_gates_kernels()->lstm_gates_f32(u, l->z + at * 4 * u, gates_of(job, sample, step), before, c,
                                       h, tc);
    if (y != h)
        memcpy(y, h, (size_t)u * sizeof *y);
}

static void forward_chunk(void *arg, int64_t chunk)
{
    lstm_job *job = arg;
    const kl_lstm *l = job->l;
    int64_t u = l->units, t = l->steps, rows, first = kl_recurrence_chunk(&job->r, chunk, &rows);
    if (!l->gates)
        memcpy(l->c_last + first * u, l->c0 + first * u, (size_t)(rows * u) * sizeof(float));
    for (int64_t step = 0; step < t; step++) {
        const float *h = step ? l->states + (first * t + step - 1) * u : l->h0 + first * u;
        if (!kl_recur(&job->r, rows, h, step ? t * u : u, gates_of(job, first, step),
                      l->gates ? t * 4 * u : 4 * u)) {
            atomic_store(&job->failed, true);
            return;
        }
        for (int64_t row = 0; row < rows; row++)
            step_sample(job, first + row, step);
    }
}

static bool run(lstm_job *job, bool back, int64_t scratch, void (*chunk)(void *arg, int64_t chunk))
{
    const kl_lstm *l = job->l;
    if (!l->batch || !l->units)
        return true;
    job->r = (kl_recurrence){l->batch, l->units, 4 * l->units, l->recurrent, NULL, false, 0};
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

bool kl_lstm_forward(const kl_lstm *l)
{
    return run(&(lstm_job){.l = l}, false, l->gates ? 0 : 5 * l->units, forward_chunk);
}

/* dh has what came from later steps; this step's output gradient joins it. */
static void back_sample(const lstm_job *job, int64_t sample, int64_t step)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    const kl_lstm *l = job->l;
    const kl_lstm_grad *g = job->g;
    int64_t u = l->units, at = sample * l->steps + step;
    float *dh = g->dh0 + sample * u, *dc = g->dc0 + sample * u, *dz = g->dz + at * 4 * u;
    if (l->mask) {
        float *carried = job->scratch + sample * u;
        if (g->dy)
            k->accumulate_f32(u, g->dy + at * u, carried);
        if (!keeps(l, sample, step)) {
            memset(dz, 0, 4 * (size_t)u * sizeof *dz);
            return;
        }
        k->accumulate_f32(u, carried, dh);
        memset(carried, 0, (size_t)u * sizeof *carried);
    } else if (g->dy) {
        k->accumulate_f32(u, g->dy + at * u, dh);
    }
    kl_gates_kernels()->lstm_gates_grad_f32(u, l->gates + at * 4 * u,
                                            step ? l->cells + (at - 1) * u : l->c0 + sample * u,
                                            l->tanh_cells + at * u, dh, dc, dz);
    memset(dh, 0, (size_t)u * sizeof *dh);
}

static void start_back(const lstm_job *job, int64_t first, int64_t rows)
{
    const kl_lstm_grad *g = job->g;
    int64_t u = job->l->units, from = first * u;
    size_t bytes = (size_t)(rows * u) * sizeof(float);
    if (g->dh_last)
        memcpy(g->dh0 + from, g->dh_last + from, bytes);
    else
        memset(g->dh0 + from, 0, bytes);
    if (g->dc_last)
        memcpy(g->dc0 + from, g->dc_last + from, bytes);
    else
        memset(g->dc0 + from, 0, bytes);
    if (job->scratch)
        memset(job->scratch + from, 0, bytes);
}

static void backward_chunk(void *arg, int64_t chunk)
{
    lstm_job *job = arg;
    const kl_lstm *l = job->l;
    const kl_lstm_grad *g = job->g;
    int64_t u = l->units, t = l->steps, rows, first = kl_recurrence_chunk(&job->r, chunk, &rows);
    start_back(job, first, rows);
    for (int64_t step = t; step-- > 0;) {
        for (int64_t row = 0; row < rows; row++)
            back_sample(job, first + row, step);
        /* The state before gets dz * recurrent^T; a masked sample's own dh passes through. */
        if (!kl_recur(&job->r, rows, g->dz + (first * t + step) * 4 * u, t * 4 * u,
                      g->dh0 + first * u, u)) {
            atomic_store(&job->failed, true);
            return;
        }
    }
}

bool kl_lstm_backward(const kl_lstm *l, const kl_lstm_grad *g)
{
    return run(&(lstm_job){.l = l, .g = g}, true, l->mask ? l->units : 0, backward_chunk);
}
