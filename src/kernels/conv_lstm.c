#include "kernels/conv_lstm.h"

#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/elementwise_table.h"
#include "kernels/gates_table.h"

enum { GRAIN = 4096 }; /* elements of a state that are worth another thread */

typedef struct step_job {
    const kl_conv_lstm_sequence *l;
    const kl_conv_lstm_grad *g;
    int64_t step, places, filters;
    float *gates; /* of this step, [b, p, 4f] */
    float *spare; /* forward without gates to keep: tanh of cells [b, p, f] */
    float *later; /* backward: what the step after gives the state, [b, p, f]; NULL at the last */
    float *dz;    /* backward: of this step, [b, p, 4f] */
    kl_split split;
} step_job;

static step_job job_of(const kl_conv_lstm_sequence *l)
{
    const kl_conv_shape *s = &l->shape;
    step_job job = {.l = l, .places = s->out[0] * s->out[1] * s->out[2], .filters = s->in_channels};
    job.split = kl_split_make(s->batch * job.places, GRAIN / (job.filters + 1) + 1);
    return job;
}

/* Where a place of a sample stands in arrays [b, t, p]. */
static int64_t by_sample(const step_job *job, int64_t at)
{
    int64_t sample = at / job->places, place = at % job->places;
    return (sample * job->l->steps + job->step) * job->places + place;
}

static void forward_chunk(void *arg, int64_t chunk)
{
    const step_job *job = arg;
    const kl_conv_lstm_sequence *l = job->l;
    const kl_gates_table *k = kl_gates_kernels();
    int64_t f = job->filters, all = l->shape.batch * job->places, end;
    end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++) {
        int64_t at = job->step * all + i, out = by_sample(job, i);
        const float *before = l->c_last + i * f;
        float *c = l->c_last + i * f, *tc = job->spare + i * f, *h = l->hidden + (at + all) * f;
        if (l->gates) {
            before = job->step ? l->cells + (at - all) * f : l->c0 + i * f;
            c = l->cells + at * f;
            tc = l->tanh_cells + at * f;
        }
        k->lstm_gates_f32(f, l->z + out * 4 * f, job->gates + i * 4 * f, before, c, h, tc);
        memcpy(l->outputs + out * f, h, (size_t)f * sizeof *h);
    }
}

bool kl_conv_lstm_forward(const kl_conv_lstm_sequence *l)
{
    step_job job = job_of(l);
    int64_t state = l->shape.batch * job.places * job.filters;
    size_t bytes = (size_t)state * sizeof(float);
    float *spare = NULL;
    if (!state)
        return true;
    if (!l->gates) {
        spare = kl_block_alloc(5 * bytes);
        if (!spare)
            return false;
        memcpy(l->c_last, l->c0, bytes);
    }
    bool good = true;
    for (job.step = 0; job.step < l->steps && good; job.step++) {
        job.gates = l->gates ? l->gates + job.step * 4 * state : spare + state;
        job.spare = spare;
        good = kl_conv_f32(&l->shape, l->hidden + job.step * state, l->recurrent, NULL,
                           KL_EPILOGUE_NONE, job.gates);
        if (good)
            kl_parallel_for(job.split.chunks, forward_chunk, &job);
    }
    if (l->gates && good)
        memcpy(l->c_last, l->cells + (l->steps - 1) * state, bytes);
    kl_block_free(spare);
    return good;
}

static void backward_chunk(void *arg, int64_t chunk)
{
    const step_job *job = arg;
    const kl_conv_lstm_sequence *l = job->l;
    const kl_conv_lstm_grad *g = job->g;
    const kl_elementwise_table *k = kl_elementwise_kernels();
    int64_t f = job->filters, all = l->shape.batch * job->places, end;
    end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++) {
        int64_t at = job->step * all + i, out = by_sample(job, i);
        float *dh = g->dh0 + i * f, *dz = job->dz + i * 4 * f;
        if (job->later)
            memcpy(dh, job->later + i * f, (size_t)f * sizeof *dh);
        if (g->dy)
            k->accumulate_f32(f, g->dy + out * f, dh);
        kl_gates_kernels()->lstm_gates_grad_f32(
            f, l->gates + at * 4 * f, job->step ? l->cells + (at - all) * f : l->c0 + i * f,
            l->tanh_cells + at * f, dh, g->dc0 + i * f, dz);
        memcpy(g->dz + out * 4 * f, dz, 4 * (size_t)f * sizeof *dz);
    }
}

static void start(const float *from, float *to, size_t bytes)
{
    if (from)
        memcpy(to, from, bytes);
    else
        memset(to, 0, bytes);
}

static bool go_back(step_job *job, float *dz, float *later)
{
    const kl_conv_lstm_sequence *l = job->l;
    const kl_conv_lstm_grad *g = job->g;
    int64_t state = l->shape.batch * job->places * job->filters;
    size_t bytes = (size_t)state * sizeof(float);
    start(g->dh_last, g->dh0, bytes);
    start(g->dc_last, g->dc0, bytes);
    for (job->step = l->steps; job->step-- > 0;) {
        job->dz = dz + job->step * 4 * state;
        kl_parallel_for(job->split.chunks, backward_chunk, job);
        job->later = later;
        if (!kl_conv_input_grad_f32(&l->shape, job->dz, l->recurrent, job->step ? later : g->dh0))
            return false;
    }
    kl_conv_shape whole = l->shape;
    whole.batch *= l->steps;
    return !g->drecurrent || kl_conv_kernel_grad_f32(&whole, l->hidden, dz, g->drecurrent);
}

bool kl_conv_lstm_backward(const kl_conv_lstm_sequence *l, const kl_conv_lstm_grad *g)
{
    step_job job = job_of(l);
    int64_t state = l->shape.batch * job.places * job.filters;
    job.g = g;
    float *dz = kl_block_alloc((size_t)((4 * l->steps + 1) * state) * sizeof *dz);
    bool good = dz && go_back(&job, dz, dz + 4 * l->steps * state);
    kl_block_free(dz);
    return good;
}
