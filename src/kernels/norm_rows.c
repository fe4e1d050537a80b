#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/norm.h"
#include "kernels/norm_table.h"

/* Rows whose parts of dgamma and dbeta are summed in the type itself; strips are joined in double.
 */
#define STRIP 64

typedef struct rows_job {
    const kl_row_norm *norm;
    const kl_norm_loops *loops;
    kl_split split;
    size_t size; /* of an element */
    const char *gamma, *beta, *dy;
    char *out;
    double *totals; /* [chunks, 2, n]: of dgamma and dbeta */
    char *strips;   /* [chunks, 2, n] */
} rows_job;

static char *element(const rows_job *job, const void *array, int64_t i)
{
    return (char *)(uintptr_t)array + (size_t)i * job->size;
}

static void forward_chunk(void *arg, int64_t chunk)
{
    const rows_job *job = arg;
    const kl_row_norm *norm = job->norm;
    int64_t row = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    job->loops->rows_forward(
        norm->uncentered, end - row, norm->n, element(job, norm->x, row * norm->n), job->gamma,
        job->beta, norm->epsilon, element(job, norm->mean, row), element(job, norm->inverse, row),
        element(job, job->out, row * norm->n));
}

static void backward_chunk(void *arg, int64_t chunk)
{
    const rows_job *job = arg;
    const kl_row_norm *norm = job->norm;
    int64_t n = norm->n, end = kl_split_begin(job->split, chunk + 1), rows;
    char *strip = element(job, job->strips, 2 * chunk * n);
    double *totals = job->totals + 2 * chunk * n;
    for (int64_t row = kl_split_begin(job->split, chunk); row < end; row += rows) {
        rows = end - row < STRIP ? end - row : STRIP;
        memset(strip, 0, (size_t)(2 * n) * job->size);
        job->loops->rows_backward(norm->uncentered, rows, n, element(job, norm->x, row * n),
                                  job->gamma, element(job, norm->mean, row),
                                  element(job, norm->inverse, row), element(job, job->dy, row * n),
                                  element(job, job->out, row * n), strip, element(job, strip, n));
        for (int64_t j = 0; j < 2 * n; j++)
            totals[j] += norm->wide ? ((const double *)(const void *)strip)[j]
                                    : (double)((const float *)(const void *)strip)[j];
    }
}

/* An array of n equal numbers, for a gamma or beta that is missing. */
static char *constant(const rows_job *job, char *array, double v)
{
    for (int64_t j = 0; j < job->norm->n; j++)
        if (job->norm->wide)
            ((double *)(void *)array)[j] = v;
        else
            ((float *)(void *)array)[j] = (float)v;
    return array;
}

/* All of a job's memory is one block; NULL with KL_ERROR_MEMORY. */
static void *job_begin(rows_job *job, const kl_row_norm *norm, bool sums)
{
    *job = (rows_job){.norm = norm,
                      .loops = kl_norm_loops_for(norm->wide),
                      .split = kl_split_make(norm->rows, 1 + 32768 / norm->n),
                      .size = norm->wide ? sizeof(double) : sizeof(float)};
    size_t count = sums ? (size_t)(2 * job->split.chunks * norm->n) : 0;
    size_t array = (size_t)norm->n * job->size;
    char *block = kl_block_alloc(count * (sizeof(double) + job->size) + 2 * array);
    if (!block)
        return NULL;
    memset(block, 0, count * sizeof(double));
    job->totals = (double *)(void *)block;
    job->strips = block + count * sizeof(double);
    char *rest = job->strips + count * job->size;
    job->gamma = norm->gamma ? norm->gamma : constant(job, rest, 1);
    job->beta = norm->beta ? norm->beta : constant(job, rest + array, 0);
    return block;
}

bool kl_layer_norm(const kl_row_norm *norm, void *y)
{
    rows_job job;
    void *block = job_begin(&job, norm, false);
    if (!block)
        return false;
    job.out = y;
    kl_parallel_for(job.split.chunks, forward_chunk, &job);
    kl_block_free(block);
    return true;
}

bool kl_layer_norm_grad(const kl_row_norm *norm, const void *dy, void *dx, void *dgamma,
                        void *dbeta)
{
    rows_job job;
    void *block = job_begin(&job, norm, true);
    if (!block)
        return false;
    job.dy = dy;
    job.out = dx;
    kl_parallel_for(job.split.chunks, backward_chunk, &job);
    for (int64_t j = 0; j < 2 * norm->n; j++) {
        double total = 0;
        for (int64_t chunk = 0; chunk < job.split.chunks; chunk++)
            total += job.totals[2 * chunk * norm->n + j];
        void *to = j < norm->n ? dgamma : dbeta;
        if (norm->wide)
            ((double *)to)[j % norm->n] = total;
        else
            ((float *)to)[j % norm->n] = (float)total;
    }
    kl_block_free(block);
    return true;
}
