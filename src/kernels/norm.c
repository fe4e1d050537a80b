#include "kernels/norm.h"

#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "kernels/norm_moments.h"
#include "kernels/norm_table.h"

const kl_norm_loops *kl_norm_loops_for(bool wide)
{
    const kl_norm_table *table = &kl_norm_portable;
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        table = &kl_norm_avx512;
        break;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        table = &kl_norm_avx2;
        break;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        table = &kl_norm_neon;
        break;
#endif
    default:
        break;
    }
    return wide ? &table->wide : &table->single;
}

typedef struct norm_job norm_job;
typedef void rows_fn(const norm_job *job, int64_t chunk, int64_t row, int64_t rows, int64_t repeat);

struct norm_job {
    const kl_norm *norm;
    const kl_norm_loops *loops;
    kl_split split;
    int64_t width; /* of rows side by side */
    size_t size;   /* of an element */
    rows_fn *strip;
    const char *dy;
    char *out;
    char *mean, *params[3]; /* [width]: repeated */
    double *first, *second; /* [chunks, n] */
    double *counts;         /* [chunks] */
    char *strips;           /* [chunks, 2, width] */
};

/* Sets column j of a repeated parameter. */
static void repeat_value(const norm_job *job, char *array, int64_t j, double v)
{
    for (int64_t k = j; k < job->width; k += job->norm->n)
        kl_norm_set(array, job->norm->wide, k, v);
}

static char *strip_results(const norm_job *job, int64_t chunk, int which)
{
    return job->strips + (size_t)((chunk * 2 + which) * job->width) * job->size;
}

static const char *row_of(const norm_job *job, const void *array, int64_t row)
{
    return (const char *)array + (size_t)(row * job->norm->n) * job->size;
}

static void moments_strip(const norm_job *job, int64_t chunk, int64_t row, int64_t rows,
                          int64_t repeat)
{
    int64_t n = job->norm->n;
    char *mean = strip_results(job, chunk, 0), *squares = strip_results(job, chunk, 1);
    job->loops->moments(rows, n * repeat, row_of(job, job->norm->x, row), mean, squares);
    double before = job->counts[chunk];
    for (int64_t k = 0; k < repeat; k++) {
        const size_t at = (size_t)(k * n) * job->size;
        kl_join_columns(job->norm->wide, n, before + (double)(k * rows), (double)rows, mean + at,
                        squares + at, job->first + chunk * n, job->second + chunk * n);
    }
    job->counts[chunk] = before + (double)(rows * repeat);
}

static void sums_strip(const norm_job *job, int64_t chunk, int64_t row, int64_t rows,
                       int64_t repeat)
{
    int64_t n = job->norm->n;
    char *sum = strip_results(job, chunk, 0), *product = strip_results(job, chunk, 1);
    job->loops->sums(rows, n * repeat, row_of(job, job->norm->x, row), job->mean,
                     row_of(job, job->dy, row), sum, product);
    for (int64_t k = 0; k < repeat; k++)
        for (int64_t j = 0; j < n; j++) {
            job->first[chunk * n + j] += kl_norm_value(sum, job->norm->wide, k * n + j);
            job->second[chunk * n + j] += kl_norm_value(product, job->norm->wide, k * n + j);
        }
}

static void apply_strip(const norm_job *job, int64_t chunk, int64_t row, int64_t rows,
                        int64_t repeat)
{
    (void)chunk;
    job->loops->apply(rows, job->norm->n * repeat, row_of(job, job->norm->x, row), job->mean,
                      job->params[0], job->params[1],
                      job->out + (size_t)(row * job->norm->n) * job->size);
}

static void combine_strip(const norm_job *job, int64_t chunk, int64_t row, int64_t rows,
                          int64_t repeat)
{
    (void)chunk;
    job->loops->combine(rows, job->norm->n * repeat, row_of(job, job->norm->x, row), job->mean,
                        row_of(job, job->dy, row), job->params[0], job->params[1], job->params[2],
                        job->out + (size_t)(row * job->norm->n) * job->size);
}

static void norm_chunk(void *arg, int64_t chunk)
{
    const norm_job *job = arg;
    int64_t row = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    int64_t repeat = job->width / job->norm->n;
    while (row < end) {
        if (end - row < repeat)
            repeat = 1;
        int64_t rows = (end - row) / repeat;
        rows = rows < KL_NORM_STRIP ? rows : KL_NORM_STRIP;
        job->strip(job, chunk, row, rows, repeat);
        row += rows * repeat;
    }
}

static void run(norm_job *job, rows_fn *strip)
{
    job->strip = strip;
    kl_parallel_for(job->split.chunks, norm_chunk, job);
}

/* All of a job's memory is one block; NULL with KL_ERROR_MEMORY. */
static void *job_begin(norm_job *job, const kl_norm *norm)
{
    int64_t n = norm->n, width = n < KL_NORM_NARROW ? n * KL_NORM_REPEAT : n;
    *job = (norm_job){.norm = norm,
                      .loops = kl_norm_loops_for(norm->wide),
                      .split = kl_split_make(norm->rows, 1 + 32768 / n),
                      .width = width,
                      .size = norm->wide ? sizeof(double) : sizeof(float)};
    size_t partials = (size_t)(job->split.chunks * (2 * n + 1)) * sizeof(double);
    size_t array = (size_t)width * job->size;
    char *block = kl_block_alloc(partials + (size_t)(4 + 2 * job->split.chunks) * array);
    if (!block)
        return NULL;
    memset(block, 0, partials);
    job->first = (double *)(void *)block;
    job->second = job->first + job->split.chunks * n;
    job->counts = job->second + job->split.chunks * n;
    job->mean = block + partials;
    for (int i = 0; i < 3; i++)
        job->params[i] = job->mean + (size_t)(i + 1) * array;
    job->strips = job->mean + 4 * array;
    return block;
}

static double root_inverse(const kl_norm *norm, int64_t j)
{
    return 1 / sqrt(kl_norm_value(norm->variance, norm->wide, j) + norm->epsilon);
}

bool kl_batch_norm(const kl_norm *norm, void *y)
{
    norm_job job;
    void *block = job_begin(&job, norm);
    if (!block)
        return false;
    run(&job, moments_strip);
    for (int64_t j = 0; j < norm->n; j++) {
        double count = job.counts[0], mean = job.first[j], squares = job.second[j];
        for (int64_t k = 1; k < job.split.chunks; k++)
            kl_join_moments(&count, &mean, &squares, job.counts[k], job.first[k * norm->n + j],
                            job.second[k * norm->n + j]);
        kl_norm_set(norm->mean, norm->wide, j, mean);
        kl_norm_set(norm->variance, norm->wide, j, squares / count);
        double gamma = norm->gamma ? kl_norm_value(norm->gamma, norm->wide, j) : 1;
        repeat_value(&job, job.mean, j, mean);
        repeat_value(&job, job.params[0], j, gamma * root_inverse(norm, j));
        repeat_value(&job, job.params[1], j,
                     norm->beta ? kl_norm_value(norm->beta, norm->wide, j) : 0);
    }
    job.out = y;
    run(&job, apply_strip);
    kl_block_free(block);
    return true;
}

bool kl_batch_norm_grad(const kl_norm *norm, const kl_norm_grad *grad)
{
    norm_job job;
    void *block = job_begin(&job, norm);
    if (!block)
        return false;
    const double count = (double)norm->rows;
    /* Without dy its coefficient is 0: any array of finite numbers does. */
    job.dy = grad->dy ? grad->dy : norm->x;
    for (int64_t j = 0; j < norm->n; j++)
        repeat_value(&job, job.mean, j, kl_norm_value(norm->mean, norm->wide, j));
    if (grad->dy)
        run(&job, sums_strip);
    for (int64_t j = 0; j < norm->n; j++) {
        double sum = 0, product = 0, inverse = root_inverse(norm, j);
        for (int64_t k = 0; k < job.split.chunks; k++) {
            sum += job.first[k * norm->n + j];
            product += job.second[k * norm->n + j];
        }
        double scale = inverse * (norm->gamma ? kl_norm_value(norm->gamma, norm->wide, j) : 1);
        double from_mean = grad->dmean ? kl_norm_value(grad->dmean, norm->wide, j) : 0;
        double from_variance = grad->dvariance ? kl_norm_value(grad->dvariance, norm->wide, j) : 0;
        repeat_value(&job, job.params[0], j, grad->dy ? scale : 0);
        repeat_value(&job, job.params[1], j,
                     (2 * from_variance - scale * inverse * inverse * product) / count);
        repeat_value(&job, job.params[2], j, (from_mean - scale * sum) / count);
        kl_norm_set(grad->dgamma, norm->wide, j, product * inverse);
        kl_norm_set(grad->dbeta, norm->wide, j, sum);
    }
    job.out = grad->dx;
    run(&job, combine_strip);
    kl_block_free(block);
    return true;
}
