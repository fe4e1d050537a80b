#include "kernels/pool.h"

#include <string.h>

#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "kernels/pool_table.h"

enum {
    WORK = 32768,           /* places seen, to be worth a chunk */
    BAND_WORK = 1 << 17,    /* with more of them an image falls into bands */
    BAND_BYTES = 256 << 10, /* going back a band stays in the second cache */
};

/*
 * A chunk is some bands of images: output positions along the first axis with more than one, and
 * going back the input positions from their first window to that of the next band. Windows of the
 * bands before that reach into a band are seen again for it, so that no band adds to another's.
 */
typedef struct pool_job {
    const kl_pool_shape *s;
    const kl_pool_loops *loops;
    bool maximum, backward;
    bool add; /* going back: windows overlap or leave places out */
    int64_t size;
    int axis;
    int64_t bands;
    kl_split split; /* of the bands of all images */
    const char *x, *y, *dy;
    char *out;
} pool_job;

static const kl_pool_loops *loops_for(bool wide)
{
    const kl_pool_table *table = &kl_pool_portable;
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        table = &kl_pool_avx512;
        break;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        table = &kl_pool_avx2;
        break;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        table = &kl_pool_neon;
        break;
#endif
    default:
        break;
    }
    return wide ? &table->wide : &table->single;
}

/* One band: output positions [out_begin, out_end) of image n, input positions [begin, end). */
typedef struct band {
    int64_t n, out_begin, out_end, begin, end;
} band;

typedef struct range {
    int64_t begin, end;
} range;

static range window_at(const kl_pool_shape *s, int axis, int64_t o)
{
    range r;
    kl_pool_window(s, axis, o, &r.begin, &r.end);
    return r;
}

static band band_at(const pool_job *job, int64_t index)
{
    const kl_pool_shape *s = job->s;
    const kl_split split = {s->out[job->axis], job->bands};
    int64_t part = index % job->bands;
    band b = {.n = index / job->bands, .end = s->in[job->axis]};
    b.out_begin = kl_split_begin(split, part);
    b.out_end = kl_split_begin(split, part + 1);
    if (part)
        b.begin = window_at(s, job->axis, b.out_begin).begin;
    if (part + 1 < job->bands)
        b.end = window_at(s, job->axis, b.out_end).begin;
    if (job->backward)
        while (b.out_begin > 0 && window_at(s, job->axis, b.out_begin - 1).end > b.begin)
            b.out_begin--;
    return b;
}

static int64_t length(range r)
{
    return r.end - r.begin;
}

/* The part of a window along `axis` that counts for the band, and how much of it lies before. */
static range part_of(const pool_job *job, const band *b, int axis, range window, int64_t *before)
{
    *before = 0;
    if (!job->backward || axis != job->axis)
        return window;
    window.end = window.end < b->end ? window.end : b->end;
    if (window.begin < b->begin) {
        *before = b->begin - window.begin;
        if (!job->maximum)
            window.begin = b->begin;
    }
    return window;
}

/* Runs the loops over `p`, whose window begins at the image's position `from` and whose first pixel
   is output `to`. */
static void run_pixels(const pool_job *job, kl_pool_pixels *p, int64_t from, int64_t to)
{
    int64_t channels = job->s->channels, x = from * channels * job->size;
    int64_t y = to * channels * job->size;
    const kl_pool_loops *k = job->loops;
    if (!job->backward) {
        p->x = job->x + x;
        p->out = job->out + y;
        (job->maximum ? k->maximum : k->average)(p);
        return;
    }
    p->dy = job->dy + y;
    p->out = job->out + x;
    if (job->maximum) {
        p->x = job->x + x;
        p->y = job->y + y;
    }
    (job->maximum ? k->maximum_back : k->average_back)(p);
}

/* Output pixels [begin, end) of row (d, h): pixels in turn whose windows are alike go together. */
static void run_row(const pool_job *job, const band *b, int64_t d, int64_t h, range pixels)
{
    const kl_pool_shape *s = job->s;
    const int64_t at[2] = {d, h}, channels = s->channels;
    int64_t before, skip = 0, count = 1;
    kl_pool_pixels p = {.channels = channels, .y_step = channels, .add = job->add};
    p.step[2] = channels;
    p.step[1] = s->in[2] * channels;
    p.step[0] = s->in[1] * p.step[1];
    int64_t from = b->n;
    for (int axis = 0; axis < 2; axis++) {
        range window = window_at(s, axis, at[axis]);
        count *= length(window);
        window = part_of(job, b, axis, window, &before);
        p.size[axis] = length(window);
        skip = skip * p.size[axis] + before;
        from = from * s->in[axis] + window.begin;
        if (p.size[axis] < 1)
            return;
    }
    int64_t to = ((b->n * s->out[0] + d) * s->out[1] + h) * s->out[2];
    int64_t w = pixels.begin;
    while (w < pixels.end) {
        range whole = window_at(s, 2, w);
        range window = part_of(job, b, 2, whole, &before);
        int64_t step = 0, first = w, own = before;
        for (w++; w < pixels.end; w++) {
            range whole_next = window_at(s, 2, w);
            range next = part_of(job, b, 2, whole_next, &before);
            if (w == first + 1)
                step = next.begin - window.begin;
            if (before != own || length(next) != length(window) ||
                length(whole_next) != length(whole) ||
                next.begin != window.begin + (w - first) * step)
                break;
        }
        p.pixels = w - first;
        p.x_step = step * channels;
        p.size[2] = length(window);
        p.count = (double)(count * length(whole));
        p.skip = job->axis == 2 ? own : skip * p.size[2];
        if (p.size[2] > 0)
            run_pixels(job, &p, from * s->in[2] + window.begin, to + first);
    }
}

static void run_band(const pool_job *job, const band *b)
{
    const kl_pool_shape *s = job->s;
    range out[3] = {{0, s->out[0]}, {0, s->out[1]}, {0, s->out[2]}};
    out[job->axis] = (range){b->out_begin, b->out_end};
    if (job->backward && job->add) {
        int64_t row = s->channels * job->size;
        for (int i = job->axis + 1; i < 3; i++)
            row *= s->in[i];
        memset(job->out + (b->n * s->in[job->axis] + b->begin) * row, 0,
               (size_t)((b->end - b->begin) * row));
    }
    for (int64_t d = out[0].begin; d < out[0].end; d++)
        for (int64_t h = out[1].begin; h < out[1].end; h++)
            run_row(job, b, d, h, out[2]);
}

static void pool_chunk(void *arg, int64_t chunk)
{
    const pool_job *job = arg;
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++) {
        band b = band_at(job, i);
        run_band(job, &b);
    }
}

/* Whether every place of the image lies in one window. */
static bool is_tiling(const kl_pool_shape *s)
{
    for (int i = 0; i < 3; i++) {
        int64_t end = 0;
        for (int64_t o = 0; o < s->out[i]; o++) {
            range window = window_at(s, i, o);
            if (window.begin != end)
                return false;
            end = window.end;
        }
        if (end != s->in[i])
            return false;
    }
    return true;
}

static void run(pool_job *job)
{
    const kl_pool_shape *s = job->s;
    while (job->axis < 2 && s->in[job->axis] == 1 && s->out[job->axis] == 1)
        job->axis++;
    int64_t work = s->channels, image = s->channels * job->size;
    for (int i = 0; i < 3; i++) {
        work *= s->adaptive ? s->in[i] : s->out[i] * s->window[i];
        image *= s->in[i];
    }
    job->bands = 1 + work / BAND_WORK;
    if (job->bands < image / BAND_BYTES)
        job->bands = image / BAND_BYTES;
    if (job->bands > s->out[job->axis])
        job->bands = s->out[job->axis];
    if (job->bands < 1)
        job->bands = 1;
    job->split = kl_split_make(s->batch * job->bands, 1 + WORK / (work / job->bands + 1));
    kl_parallel_for(job->split.chunks, pool_chunk, job);
}

#define DEFINE_POOL(T, name, is_wide)                                                              \
    void kl_max_pool_##name(const kl_pool_shape *s, const T *x, T *y)                              \
    {                                                                                              \
        run(&(pool_job){.s = s,                                                                    \
                        .loops = loops_for(is_wide),                                               \
                        .maximum = true,                                                           \
                        .size = sizeof(T),                                                         \
                        .x = (const char *)x,                                                      \
                        .out = (char *)y});                                                        \
    }                                                                                              \
    void kl_average_pool_##name(const kl_pool_shape *s, const T *x, T *y)                          \
    {                                                                                              \
        run(&(pool_job){.s = s,                                                                    \
                        .loops = loops_for(is_wide),                                               \
                        .size = sizeof(T),                                                         \
                        .x = (const char *)x,                                                      \
                        .out = (char *)y});                                                        \
    }                                                                                              \
    void kl_max_pool_grad_##name(const kl_pool_shape *s, const T *x, const T *y, const T *dy,      \
                                 T *dx)                                                            \
    {                                                                                              \
        run(&(pool_job){.s = s,                                                                    \
                        .loops = loops_for(is_wide),                                               \
                        .maximum = true,                                                           \
                        .backward = true,                                                          \
                        .add = !is_tiling(s),                                                      \
                        .size = sizeof(T),                                                         \
                        .x = (const char *)x,                                                      \
                        .y = (const char *)y,                                                      \
                        .dy = (const char *)dy,                                                    \
                        .out = (char *)dx});                                                       \
    }                                                                                              \
    void kl_average_pool_grad_##name(const kl_pool_shape *s, const T *dy, T *dx)                   \
    {                                                                                              \
        run(&(pool_job){.s = s,                                                                    \
                        .loops = loops_for(is_wide),                                               \
                        .backward = true,                                                          \
                        .add = !is_tiling(s),                                                      \
                        .size = sizeof(T),                                                         \
                        .dy = (const char *)dy,                                                    \
                        .out = (char *)dx});                                                       \
    }

DEFINE_POOL(float, f32, false)
DEFINE_POOL(double, f64, true)
