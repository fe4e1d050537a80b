#include "kernels/pool.h"

#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/elementwise_table.h"

enum {
    IMAGES = 16,   /* with fewer of them, chunks going back have some of the channels */
    CHANNELS = 16, /* so many or more */
};

typedef struct pool_job {
    const kl_pool_shape *s;
    kl_split split;
    bool maximum, wide, backward;
    const void *x, *y, *dy;
    void *out;
    char *scratch; /* of each chunk: one row of channels */
    /* Going back over windows that overlap: so many chunks share an image's channels; 0: each
       chunk has rows of the output, as going forward. */
    int64_t channel_parts;
} pool_job;

typedef struct channels {
    int64_t from, count;
} channels;

typedef struct window {
    int64_t begin[3], end[3], count;
} window;

static window window_at(const kl_pool_shape *s, int64_t d, int64_t h, int64_t w)
{
    window win;
    int64_t at[3] = {d, h, w};
    win.count = 1;
    for (int i = 0; i < 3; i++) {
        kl_pool_window(s, i, at[i], &win.begin[i], &win.end[i]);
        win.count *= win.end[i] > win.begin[i] ? win.end[i] - win.begin[i] : 0;
    }
    return win;
}

/* Calls body(position in the image) for each place of a window. */
#define FOR_WINDOW(win, place)                                                                     \
    for (int64_t wd = (win).begin[0]; wd < (win).end[0]; wd++)                                     \
        for (int64_t wh = (win).begin[1]; wh < (win).end[1]; wh++)                                 \
            for (int64_t ww = (win).begin[2],                                                      \
                         place = ((n * s->in[0] + wd) * s->in[1] + wh) * s->in[2] + ww;            \
                 ww < (win).end[2]; ww++, place++)

static void forward_f32(const pool_job *job, int64_t n, int64_t out_at, window win)
{
    const kl_pool_shape *s = job->s;
    const kl_elementwise_table *k = kl_elementwise_kernels();
    int64_t c = s->channels;
    const float *x = job->x;
    float *y = (float *)job->out + out_at * c;
    for (int64_t i = 0; i < c; i++)
        y[i] = job->maximum ? -INFINITY : 0;
    FOR_WINDOW(win, place)
    {
        if (job->maximum)
            k->binary_f32[KL_BINARY_MAX](c, y, 1, x + place * c, 1, y);
        else
            k->accumulate_f32(c, x + place * c, y);
    }
    float scale = 1.f / (float)win.count;
    for (int64_t i = 0; !job->maximum && i < c; i++)
        y[i] *= scale;
}

static void forward_f64(const pool_job *job, int64_t n, int64_t out_at, window win)
{
    const kl_pool_shape *s = job->s;
    int64_t c = s->channels;
    const double *x = job->x;
    double *y = (double *)job->out + out_at * c;
    for (int64_t i = 0; i < c; i++)
        y[i] = job->maximum ? -INFINITY : 0;
    FOR_WINDOW(win, place)
    {
        for (int64_t i = 0; i < c; i++) {
            double v = x[place * c + i];
            y[i] = !job->maximum ? y[i] + v : v > y[i] || v != v ? v : y[i];
        }
    }
    for (int64_t i = 0; !job->maximum && i < c; i++)
        y[i] /= (double)win.count;
}

static void backward_f32(const pool_job *job, int64_t n, int64_t out_at, window win, channels part,
                         float *scratch)
{
    const kl_pool_shape *s = job->s;
    const kl_elementwise_table *k = kl_elementwise_kernels();
    int64_t c = s->channels, from = part.from, count = part.count;
    const float *dy = (const float *)job->dy + out_at * c + from;
    float *dx = (float *)job->out + from;
    if (job->maximum) {
        memset(scratch, 0, (size_t)count * sizeof *scratch);
    } else {
        float scale = 1.f / (float)win.count;
        for (int64_t i = 0; i < count; i++)
            scratch[i] = dy[i] * scale;
    }
    FOR_WINDOW(win, place)
    {
        if (job->maximum)
            k->claim_max_f32(count, (const float *)job->x + place * c + from,
                             (const float *)job->y + out_at * c + from, dy, scratch,
                             dx + place * c);
        else
            k->accumulate_f32(count, scratch, dx + place * c);
    }
}

static void backward_f64(const pool_job *job, int64_t n, int64_t out_at, window win, channels part,
                         double *scratch)
{
    const kl_pool_shape *s = job->s;
    int64_t c = s->channels, from = part.from, count = part.count;
    const double *dy = (const double *)job->dy + out_at * c + from;
    double *dx = (double *)job->out + from;
    memset(scratch, 0, (size_t)count * sizeof *scratch);
    FOR_WINDOW(win, place)
    {
        for (int64_t i = 0; i < count; i++) {
            double share = 1 / (double)win.count;
            if (job->maximum) {
                share = ((const double *)job->x)[place * c + from + i] ==
                                ((const double *)job->y)[out_at * c + from + i]
                            ? 1 - scratch[i]
                            : 0;
                scratch[i] += share;
            }
            dx[place * c + i] += share * dy[i];
        }
    }
}

/* A chunk is a number of output rows or, where windows overlap going back, some channels of an
   image. */
static void pool_chunk(void *arg, int64_t chunk)
{
    const pool_job *job = arg;
    const kl_pool_shape *s = job->s;
    const int64_t rows = s->out[0] * s->out[1];
    int64_t at = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    channels part = {0, s->channels};
    if (job->channel_parts) {
        const kl_split split = {s->channels, job->channel_parts};
        part.from = kl_split_begin(split, chunk % job->channel_parts);
        part.count = kl_split_begin(split, chunk % job->channel_parts + 1) - part.from;
        at = chunk / job->channel_parts * rows;
        end = at + rows;
    }
    size_t size = job->wide ? sizeof(double) : sizeof(float);
    char *scratch =
        job->backward ? job->scratch + (size_t)chunk * (size_t)s->channels * size : NULL;
    for (; at < end; at++) {
        int64_t n = at / rows, d = at % rows / s->out[1], h = at % s->out[1];
        for (int64_t w = 0; w < s->out[2]; w++) {
            window win = window_at(s, d, h, w);
            int64_t out_at = at * s->out[2] + w;
            if (job->backward && job->wide)
                backward_f64(job, n, out_at, win, part, (double *)(void *)scratch);
            else if (job->backward)
                backward_f32(job, n, out_at, win, part, (float *)(void *)scratch);
            else if (job->wide)
                forward_f64(job, n, out_at, win);
            else
                forward_f32(job, n, out_at, win);
        }
    }
}

/* Output rows in chunks of enough work. */
static kl_split split_rows(const kl_pool_shape *s)
{
    int64_t rows = s->batch * s->out[0] * s->out[1];
    int64_t work = s->channels * s->in[2];
    if (!s->adaptive)
        work = s->out[2] * s->channels * s->window[0] * s->window[1] * s->window[2];
    return kl_split_make(rows, 1 + 32768 / (work + 1));
}

static void run_forward(const kl_pool_shape *s, bool maximum, bool wide, const void *x, void *y)
{
    pool_job job = {
        .s = s, .maximum = maximum, .wide = wide, .x = x, .out = y, .split = split_rows(s)};
    kl_parallel_for(job.split.chunks, pool_chunk, &job);
}

static bool run_backward(const kl_pool_shape *s, bool maximum, bool wide, const void *x,
                         const void *y, const void *dy, void *dx)
{
    size_t size = wide ? sizeof(double) : sizeof(float);
    pool_job job = {.s = s,
                    .maximum = maximum,
                    .wide = wide,
                    .backward = true,
                    .x = x,
                    .y = y,
                    .dy = dy,
                    .out = dx,
                    .split = split_rows(s)};
    const bool apart = !s->adaptive && s->stride[0] >= s->window[0] && s->stride[1] >= s->window[1];
    if (!apart) {
        int64_t parts = s->batch < IMAGES ? (IMAGES - 1) / (s->batch + !s->batch) + 1 : 1;
        if (parts > s->channels / CHANNELS)
            parts = s->channels / CHANNELS;
        job.channel_parts = parts > 1 ? parts : 1;
        job.split.chunks = s->batch * job.channel_parts;
    }
    job.scratch = kl_block_alloc((size_t)job.split.chunks * (size_t)s->channels * size + 1);
    if (!job.scratch)
        return false;
    memset(dx, 0, (size_t)(s->batch * s->in[0] * s->in[1] * s->in[2] * s->channels) * size);
    kl_parallel_for(job.split.chunks, pool_chunk, &job);
    kl_block_free(job.scratch);
    return true;
}

void kl_max_pool_f32(const kl_pool_shape *s, const float *x, float *y)
{
    run_forward(s, true, false, x, y);
}

void kl_average_pool_f32(const kl_pool_shape *s, const float *x, float *y)
{
    run_forward(s, false, false, x, y);
}

bool kl_max_pool_grad_f32(const kl_pool_shape *s, const float *x, const float *y, const float *dy,
                          float *dx)
{
    return run_backward(s, true, false, x, y, dy, dx);
}

bool kl_average_pool_grad_f32(const kl_pool_shape *s, const float *dy, float *dx)
{
    return run_backward(s, false, false, NULL, NULL, dy, dx);
}

void kl_max_pool_f64(const kl_pool_shape *s, const double *x, double *y)
{
    run_forward(s, true, true, x, y);
}

void kl_average_pool_f64(const kl_pool_shape *s, const double *x, double *y)
{
    run_forward(s, false, true, x, y);
}

bool kl_max_pool_grad_f64(const kl_pool_shape *s, const double *x, const double *y,
                          const double *dy, double *dx)
{
    return run_backward(s, true, true, x, y, dy, dx);
}

bool kl_average_pool_grad_f64(const kl_pool_shape *s, const double *dy, double *dx)
{
    return run_backward(s, false, true, NULL, NULL, dy, dx);
}
