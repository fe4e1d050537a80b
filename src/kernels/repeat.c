#include <string.h>

#include "base/thread_pool.h"
#include "kernels/box.h"

enum {
    GRAIN = 65536, /* bytes of the larger array below which a chunk isn't worth a thread */
    COPIES = 64
};

/*
 * Neighbouring axes that aren't repeated are one; then come: rows over the outer axes, the last
 * repeated axis (`width` places, `times` each), and what lies inside it.
 */
typedef struct repeat_job {
    int outer;
    int64_t shape[KL_MAX_RANK], factors[KL_MAX_RANK];
    int64_t rows, copies; /* rows of the smaller array; how often each stands in the larger */
    int64_t width, times, inner;
    size_t element;
    int64_t offsets[COPIES]; /* of the copies, in rows, where there are so many at most */
    kl_split parts;          /* of the width */
    kl_split split;          /* of all rows' parts */
    const char *in;
    char *out;
} repeat_job;

/* By how many rows copy `copy` stands behind copy 0. */
static int64_t find_offset(const repeat_job *job, int64_t copy)
{
    int64_t at = 0, step = 1;
    for (int i = job->outer - 1; i >= 0; i--) {
        at += copy % job->factors[i] * step;
        step *= job->shape[i] * job->factors[i];
        copy /= job->factors[i];
    }
    return at;
}

static repeat_job job_of(const kl_repeats *r, size_t element, const void *in, void *out)
{
    repeat_job job = {
        .rows = 1, .copies = 1, .width = 1, .times = 1, .inner = 1, .element = element};
    int last = r->rank - 1;
    while (last >= 0 && r->factors[last] == 1)
        job.inner *= r->shape[last--];
    if (last >= 0) {
        job.width = r->shape[last];
        job.times = r->factors[last];
    }
    for (int i = 0; i < last; i++) {
        int k = job.outer - 1;
        if (k >= 0 && job.factors[k] == 1 && r->factors[i] == 1) {
            job.shape[k] *= r->shape[i];
        } else {
            job.shape[job.outer] = r->shape[i];
            job.factors[job.outer++] = r->factors[i];
        }
        job.rows *= r->shape[i];
        job.copies *= r->factors[i];
    }
    for (int64_t copy = 0; copy < job.copies && copy < COPIES; copy++)
        job.offsets[copy] = find_offset(&job, copy);
    job.in = in;
    job.out = out;
    int64_t wide = job.copies * job.times * job.inner * (int64_t)element, bytes = wide * job.width;
    /* Few long rows are cut. */
    job.parts = kl_split_make(job.width, job.rows < 16 ? GRAIN / (wide + 1) + 1 : job.width);
    bytes /= job.parts.chunks;
    job.split =
        kl_split_make(job.rows * job.parts.chunks, bytes >= GRAIN ? 1 : GRAIN / (bytes + 1) + 1);
    return job;
}

/* The larger array's row for copy 0 of a row of the smaller one. */
static int64_t first_copy(const repeat_job *job, int64_t row)
{
    int64_t at = 0, step = 1;
    for (int i = job->outer - 1; i >= 0; i--) {
        at += row % job->shape[i] * job->factors[i] * step;
        step *= job->shape[i] * job->factors[i];
        row /= job->shape[i];
    }
    return at;
}

/* A part of a row: its places, and where they begin in the smaller and in the larger array. */
typedef struct piece {
    int64_t width, narrow, wide;
} piece;

static piece piece_at(const repeat_job *job, int64_t at)
{
    int64_t row = at / job->parts.chunks, part = at % job->parts.chunks;
    int64_t from = kl_split_begin(job->parts, part);
    return (piece){.width = kl_split_begin(job->parts, part + 1) - from,
                   .narrow = row * job->width + from,
                   .wide = (first_copy(job, row) * job->width + from) * job->times};
}

/* The piece after p, which is piece `at`: as a rule the next row along the innermost axis. */
static piece next_piece(const repeat_job *job, int64_t at, piece p)
{
    const int last = job->outer - 1;
    if (job->parts.chunks > 1 || last < 0 || (at + 1) % job->shape[last] == 0)
        return piece_at(job, at + 1);
    p.narrow += job->width;
    p.wide += job->factors[last] * job->width * job->times;
    return p;
}

static int64_t copy_offset(const repeat_job *job, int64_t copy)
{
    return copy < COPIES ? job->offsets[copy] : find_offset(job, copy);
}

#define SPREAD(T)                                                                                  \
    static void spread_##T(int64_t width, int64_t times, const T *restrict in, T *restrict out)    \
    {                                                                                              \
        if (times == 2) {                                                                          \
            for (int64_t i = 0; i < width; i++)                                                    \
                out[2 * i] = out[2 * i + 1] = in[i];                                               \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < width; i++)                                                        \
            for (int64_t k = 0; k < times; k++)                                                    \
                out[i * times + k] = in[i];                                                        \
    }
SPREAD(uint8_t)
SPREAD(uint16_t)
SPREAD(uint32_t)
SPREAD(uint64_t)

static void spread_row(const repeat_job *job, int64_t width, const char *in, char *out)
{
    const size_t unit = (size_t)job->inner * job->element;
    if (job->times == 1) {
        memcpy(out, in, (size_t)width * unit);
    } else if (unit == 1) {
        spread_uint8_t(width, job->times, (const void *)in, (void *)out);
    } else if (unit == 2) {
        spread_uint16_t(width, job->times, (const void *)in, (void *)out);
    } else if (unit == 4) {
        spread_uint32_t(width, job->times, (const void *)in, (void *)out);
    } else if (unit == 8) {
        spread_uint64_t(width, job->times, (const void *)in, (void *)out);
    } else if (unit == 12) {
        /* Pixels of three floats. */
        for (int64_t i = 0; i < width; i++)
            for (int64_t k = 0; k < job->times; k++)
                memcpy(out + (i * job->times + k) * 12, in + i * 12, 12);
    } else {
        for (int64_t i = 0; i < width; i++)
            for (int64_t k = 0; k < job->times; k++)
                memcpy(out + (size_t)(i * job->times + k) * unit, in + (size_t)i * unit, unit);
    }
}

static void repeat_chunk(void *arg, int64_t chunk)
{
    const repeat_job *job = arg;
    const size_t unit = (size_t)job->inner * job->element;
    const int64_t row = job->width * job->times, end = kl_split_begin(job->split, chunk + 1);
    int64_t at = kl_split_begin(job->split, chunk);
    for (piece p = piece_at(job, at); at < end; p = next_piece(job, at++, p)) {
        char *out = job->out + (size_t)p.wide * unit;
        spread_row(job, p.width, job->in + (size_t)p.narrow * unit, out);
        for (int64_t copy = 1; copy < job->copies; copy++)
            memcpy(out + (size_t)(copy_offset(job, copy) * row) * unit, out,
                   (size_t)(p.width * job->times) * unit);
    }
}

static void run(const repeat_job *job, kl_chunk_fn *chunk)
{
    repeat_job copy = *job;
    if (!job->rows || !job->width || !job->inner)
        return;
    if (job->split.chunks == 1)
        chunk(&copy, 0);
    else
        kl_parallel_for(job->split.chunks, chunk, &copy);
}

void kl_repeat_elements(const kl_repeats *repeats, size_t element, const void *in, void *out)
{
    repeat_job job = job_of(repeats, element, in, out);
    run(&job, repeat_chunk);
}

/* Sums of one wide row, set at the first copy and added at the others. */
#define SUM(T, name)                                                                               \
    static inline void gather_##name(int64_t width, int64_t times, int64_t inner, bool add,        \
                                     const T *restrict in, T *restrict out)                        \
    {                                                                                              \
        if (inner == 1 && times == 2) {                                                            \
            if (add)                                                                               \
                for (int64_t i = 0; i < width; i++)                                                \
                    out[i] += in[2 * i] + in[2 * i + 1];                                           \
            else                                                                                   \
                for (int64_t i = 0; i < width; i++)                                                \
                    out[i] = in[2 * i] + in[2 * i + 1];                                            \
            return;                                                                                \
        }                                                                                          \
        if (inner == 1) {                                                                          \
            for (int64_t i = 0; i < width; i++) {                                                  \
                T sum = add ? out[i] : 0;                                                          \
                for (int64_t k = 0; k < times; k++)                                                \
                    sum += in[i * times + k];                                                      \
                out[i] = sum;                                                                      \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < width; i++, out += inner, in += times * inner) {                   \
            int64_t k = 0;                                                                         \
            if (!add) {                                                                            \
                const T *next = times > 1 ? in + inner : NULL;                                     \
                for (int64_t c = 0; c < inner; c++)                                                \
                    out[c] = next ? in[c] + next[c] : in[c];                                       \
                k = times > 1 ? 2 : 1;                                                             \
            }                                                                                      \
            for (; k + 2 <= times; k += 2) {                                                       \
                const T *first = in + k * inner, *second = first + inner;                          \
                for (int64_t c = 0; c < inner; c++)                                                \
                    out[c] += first[c] + second[c];                                                \
            }                                                                                      \
            if (k < times)                                                                         \
                for (int64_t c = 0; c < inner; c++)                                                \
                    out[c] += in[k * inner + c];                                                   \
        }                                                                                          \
    }                                                                                              \
    static void sum_chunk_##name(void *arg, int64_t chunk)                                         \
    {                                                                                              \
        const repeat_job *job = arg;                                                               \
        const int64_t row = job->width * job->times, end = kl_split_begin(job->split, chunk + 1);  \
        int64_t at = kl_split_begin(job->split, chunk);                                            \
        for (piece p = piece_at(job, at); at < end; p = next_piece(job, at++, p)) {                \
            const T *in = (const T *)(const void *)job->in + p.wide * job->inner;                  \
            T *out = (T *)(void *)job->out + p.narrow * job->inner;                                \
            for (int64_t copy = 0; copy < job->copies; copy++)                                     \
                gather_##name(p.width, job->times, job->inner, copy > 0,                           \
                              in + copy_offset(job, copy) * row * job->inner, out);                \
        }                                                                                          \
    }                                                                                              \
    void kl_sum_repeats_##name(const kl_repeats *repeats, const T *in, T *out)                     \
    {                                                                                              \
        repeat_job job = job_of(repeats, sizeof(T), in, out);                                      \
        run(&job, sum_chunk_##name);                                                               \
    }
SUM(float, f32)
SUM(double, f64)
