#include <string.h>

#include "base/thread_pool.h"
#include "kernels/box.h"

/* Bytes of output below which a chunk isn't worth a thread. */
#define GRAIN 65536

typedef struct pad_job {
    int outer;                /* axes of rows */
    int64_t out[KL_MAX_RANK]; /* their sizes, padded */
    int64_t before[KL_MAX_RANK], in[KL_MAX_RANK];
    size_t left, row, right; /* bytes of an output row: fill, copy, fill */
    size_t element;
    uint64_t pattern;
    bool zeros;
    kl_split split;
    const char *from;
    char *to;
} pad_job;

static void fill(const pad_job *job, char *to, size_t bytes)
{
    if (job->zeros && bytes != 4) {
        memset(to, 0, bytes);
        return;
    }
    for (size_t at = 0; at < bytes; at += job->element)
        memcpy(to + at, &job->pattern, job->element);
}

/* Where output row `row` comes from, -1 if it is padding. */
static int64_t source_row(const pad_job *job, int64_t row)
{
    int64_t source = 0, step = 1;
    for (int i = job->outer - 1; i >= 0; i--) {
        int64_t at = row % job->out[i] - job->before[i];
        row /= job->out[i];
        if (at < 0 || at >= job->in[i])
            return -1;
        source += at * step;
        step *= job->in[i];
    }
    return source;
}

static void pad_chunk(void *arg, int64_t chunk)
{
    const pad_job *job = arg;
    const size_t whole = job->left + job->row + job->right;
    const int64_t end = kl_split_begin(job->split, chunk + 1);
    int64_t row = kl_split_begin(job->split, chunk);
    char *to = job->to + (size_t)row * whole;
    /* Along the innermost axis of rows, sources follow each other. */
    const int last = job->outer - 1;
    const int64_t length = last < 0 ? 1 : job->out[last], first = last < 0 ? 0 : job->before[last];
    const int64_t behind = last < 0 ? 1 : first + job->in[last];
    int64_t at = row % length, source = -1;
    for (; row < end; row++, to += whole) {
        if (at < first || at >= behind)
            source = -1;
        else
            source = source < 0 || at == first ? source_row(job, row) : source + 1;
        at = at + 1 == length ? 0 : at + 1;
        if (source < 0) {
            fill(job, to, whole);
            continue;
        }
        fill(job, to, job->left);
        memcpy(to + job->left, job->from + (size_t)source * job->row, job->row);
        fill(job, to + job->left + job->row, job->right);
    }
}

void kl_pad_box(const kl_box *box, const void *in, void *out)
{
    pad_job job = {.element = box->element, .zeros = true, .from = in, .to = out};
    memcpy(&job.pattern, box->fill, box->element);
    job.zeros = !job.pattern;
    int last = box->rank - 1;
    int64_t inner = 1, rows = 1;
    while (last > 0 && !box->pads[2 * last] && !box->pads[2 * last + 1])
        inner *= box->shape[last--];
    if (last >= 0) {
        size_t unit = (size_t)inner * box->element;
        job.left = (size_t)box->pads[2 * last] * unit;
        job.right = (size_t)box->pads[2 * last + 1] * unit;
        job.row = (size_t)box->shape[last] * unit;
    } else {
        job.row = box->element;
    }
    /* Neighbouring axes without padding are one. */
    for (int i = 0; i < last; i++) {
        int64_t before = box->pads[2 * i], after = box->pads[2 * i + 1];
        int k = job.outer - 1;
        bool joins = k >= 0 && !before && !after && job.out[k] == job.in[k];
        if (joins) {
            job.in[k] *= box->shape[i];
            job.out[k] = job.in[k];
        } else {
            k = job.outer++;
            job.in[k] = box->shape[i];
            job.before[k] = before;
            job.out[k] = box->shape[i] + before + after;
        }
        rows *= box->shape[i] + before + after;
    }
    size_t whole = job.left + job.row + job.right;
    if (!rows || !whole)
        return;
    job.split = kl_split_make(rows, (int64_t)(GRAIN / whole) + 1);
    if (job.split.chunks == 1)
        pad_chunk(&job, 0);
    else
        kl_parallel_for(job.split.chunks, pad_chunk, &job);
}
