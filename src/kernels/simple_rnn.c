#include "kernels/simple_rnn.h"

#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"
#include "kernels/elementwise_table.h"
#include "kernels/recurrence.h"

typedef struct simple_job {
    const kl_simple_rnn_sequence *l;
    const kl_simple_rnn_grad *g;
    kl_recurrence r;
    float *carried; /* backward with a mask: the gradients of outputs that masked steps hand on */
    atomic_bool failed;
} simple_job;

static bool keeps(const kl_simple_rnn_sequence *l, int64_t sample, int64_t step)
{
    return !l->mask || l->mask[sample * l->steps + step];
}

/* The state's product stands where the state goes. */
static void step_sample(const kl_simple_rnn_sequence *l, int64_t sample, int64_t step)
{
    int64_t u = l->units, at = (sample * l->steps + step) * u;
    size_t bytes = (size_t)u * sizeof(float);
    float *h = l->states + at, *y = l->outputs + at;
    if (keeps(l, sample, step)) {
        kl_elementwise_kernels()->accumulate_f32(u, l->z + at, h);
        if (l->activation != KL_UNARY_COUNT)
            kl_unary_f32(l->activation, NULL, u, h, h);
        if (y != h)
            memcpy(y, h, bytes);
        return;
    }
    memcpy(h, step ? h - u : l->h0 + sample * u, bytes);
    if (step)
        memcpy(y, y - u, bytes);
    else
        memset(y, 0, bytes);
}

static void forward_chunk(void *arg, int64_t chunk)
{
    simple_job *job = arg;
    const kl_simple_rnn_sequence *l = job->l;
    int64_t u = l->units, t = l->steps, rows, first = kl_recurrence_chunk(&job->r, chunk, &rows);
    for (int64_t step = 0; step < t; step++) {
        float *to = l->states + (first * t + step) * u;
        if (!kl_recur(&job->r, rows, step ? to - u : l->h0 + first * u, step ? t * u : u, to,
                      t * u)) {
            atomic_store(&job->failed, true);
            return;
        }
        for (int64_t row = 0; row < rows; row++)
            step_sample(l, first + row, step);
    }
}

static bool run(simple_job *job, bool back, void (*chunk)(void *arg, int64_t chunk))
{
    const kl_simple_rnn_sequence *l = job->l;
    bool carries = back && l->mask;
    if (!l->batch || !l->units)
        return true;
    job->r = (kl_recurrence){l->batch, l->units, l->units, l->recurrent, NULL, false, 0};
    if (!kl_recurrence_begin(&job->r, l->steps, back))
        return false;
    if (carries)
        job->carried = kl_block_alloc((size_t)(l->batch * l->units) * sizeof *job->carried);
    if (job->carried || !carries)
        kl_recurrence_run(&job->r, chunk, job);
    kl_recurrence_end(&job->r);
    kl_block_free(job->carried);
    return (job->carried || !carries) && !atomic_load(&job->failed);
}

bool kl_simple_rnn_forward(const kl_simple_rnn_sequence *l)
{
    return run(&(simple_job){.l = l}, false, forward_chunk);
}

/* dh has what came from later steps; this step's output gradient joins it. */
static void back_sample(const simple_job *job, int64_t sample, int64_t step)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    const kl_simple_rnn_sequence *l = job->l;
    const kl_simple_rnn_grad *g = job->g;
    int64_t u = l->units, at = (sample * l->steps + step) * u;
    float *dh = g->dh0 + sample * u, *dz = g->dz + at;
    float *carried = l->mask ? job->carried + sample * u : NULL;
    if (carried) {
        if (g->dy)
            k->accumulate_f32(u, g->dy + at, carried);
        if (!keeps(l, sample, step)) {
            memset(dz, 0, (size_t)u * sizeof *dz);
            return;
        }
        k->accumulate_f32(u, carried, dh);
        memset(carried, 0, (size_t)u * sizeof *carried);
    } else if (g->dy) {
        k->accumulate_f32(u, g->dy + at, dh);
    }
    if (l->activation != KL_UNARY_COUNT)
        kl_unary_grad_f32(l->activation, NULL, u, l->states + at, l->states + at, dh, dz);
    else
        memcpy(dz, dh, (size_t)u * sizeof *dz);
    memset(dh, 0, (size_t)u * sizeof *dh);
}

static void backward_chunk(void *arg, int64_t chunk)
{
    simple_job *job = arg;
    const kl_simple_rnn_sequence *l = job->l;
    const kl_simple_rnn_grad *g = job->g;
    int64_t u = l->units, t = l->steps, rows, first = kl_recurrence_chunk(&job->r, chunk, &rows);
    size_t bytes = (size_t)(rows * u) * sizeof(float);
    if (g->dh_last)
        memcpy(g->dh0 + first * u, g->dh_last + first * u, bytes);
    else
        memset(g->dh0 + first * u, 0, bytes);
    if (job->carried)
        memset(job->carried + first * u, 0, bytes);
    for (int64_t step = t; step-- > 0;) {
        for (int64_t row = 0; row < rows; row++)
            back_sample(job, first + row, step);
        if (!kl_recur(&job->r, rows, g->dz + (first * t + step) * u, t * u, g->dh0 + first * u,
                      u)) {
            atomic_store(&job->failed, true);
            return;
        }
    }
}

bool kl_simple_rnn_backward(const kl_simple_rnn_sequence *l, const kl_simple_rnn_grad *g)
{
    return run(&(simple_job){.l = l, .g = g}, true, backward_chunk);
}
