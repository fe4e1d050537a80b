/* Normalization by groups of channels: statistics of each sample and group. */
#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/norm.h"
#include "kernels/norm_moments.h"
#include "kernels/norm_table.h"

/* Elements of a line summed in the type itself. */
#define LINE 4096
/* Elements that are worth a chunk. */
#define GRAIN 32768
/* From so many samples on, each is one chunk's whole: what its sums read is still in the cache
   where it is read again. */
#define MANY_SAMPLES 16

/* What one chunk works in. */
typedef struct scratch {
    double *first, *second, *counts; /* [channels]: means, squares, counts; back: two sums */
    double *dgamma, *dbeta;          /* [channels]: of all samples so far */
    char *strips;                    /* [2, width] */
    char *mean, *params[3];          /* [width]: of one sample, repeated */
} scratch;

typedef struct job {
    const kl_group_norm *norm;
    const kl_norm_grad *grad; /* NULL: forward */
    const kl_norm_loops *loops;
    size_t size;         /* of an element */
    int64_t units, unit; /* of a sample: rows of channels, or lines of one channel; a unit's
                            elements */
    int64_t width;       /* of rows side by side */
    kl_split split;      /* of samples, or of one sample's units */
    scratch *chunks;
    const char *x, *dy;
    char *out;
    int64_t sample; /* where its units are split */
} job;

static const char *unit_of(const job *j, const char *array, int64_t sample, int64_t unit)
{
    return array + (size_t)((sample * j->units + unit) * j->unit) * j->size;
}

/* Lines in order; their channels come round. */
static void gather_lines(const job *j, scratch *s, int64_t sample, int64_t begin, int64_t end)
{
    const kl_group_norm *norm = j->norm;
    for (int64_t line = begin; line < end; line++) {
        int64_t c = line % norm->channels;
        const char *x = unit_of(j, j->x, sample, line);
        const char *dy = j->grad ? unit_of(j, j->dy, sample, line) : NULL;
        for (int64_t at = 0; at < norm->after; at += LINE) {
            int64_t n = norm->after - at < LINE ? norm->after - at : LINE;
            size_t offset = (size_t)at * j->size;
            double a, b;
            if (dy) {
                j->loops->line_sums(n, x + offset, kl_norm_value(s->mean, norm->wide, c),
                                    dy + offset, &a, &b);
                s->first[c] += a;
                s->second[c] += b;
            } else {
                j->loops->line_moments(n, x + offset, &a, &b);
                kl_join_moments(&s->counts[c], &s->first[c], &s->second[c], (double)n, a, b);
            }
        }
    }
}

static void add_columns(bool wide, int64_t n, const void *more, double *sum)
{
    if (wide)
        for (int64_t c = 0; c < n; c++)
            sum[c] += ((const double *)more)[c];
    else
        for (int64_t c = 0; c < n; c++)
            sum[c] += (double)((const float *)more)[c];
}

static void gather_rows(const job *j, scratch *s, int64_t sample, int64_t begin, int64_t end)
{
    const bool wide = j->norm->wide;
    int64_t n = j->norm->channels, repeat = j->width / n, rows;
    char *one = s->strips, *two = s->strips + (size_t)j->width * j->size;
    double count = 0;
    for (int64_t row = begin; row < end; row += rows * repeat) {
        if (end - row < repeat)
            repeat = 1;
        rows = (end - row) / repeat;
        rows = rows < KL_NORM_STRIP ? rows : KL_NORM_STRIP;
        const char *x = unit_of(j, j->x, sample, row);
        if (j->grad)
            j->loops->sums(rows, n * repeat, x, s->mean, unit_of(j, j->dy, sample, row), one, two);
        else
            j->loops->moments(rows, n * repeat, x, one, two);
        for (int64_t k = 0; k < repeat; k++) {
            const size_t at = (size_t)(k * n) * j->size;
            if (j->grad) {
                add_columns(wide, n, one + at, s->first);
                add_columns(wide, n, two + at, s->second);
            } else {
                kl_join_columns(wide, n, count, (double)rows, one + at, two + at, s->first,
                                s->second);
                count += (double)rows;
            }
        }
    }
    for (int64_t c = 0; c < n; c++)
        s->counts[c] = count;
}

/* The sums over a sample's units; back, `mean` must be set. */
static void gather(const job *j, scratch *s, int64_t sample, int64_t begin, int64_t end)
{
    memset(s->first, 0, (size_t)(3 * j->norm->channels) * sizeof *s->first);
    if (j->grad && !j->grad->dy)
        return;
    if (j->norm->after > 1)
        gather_lines(j, s, sample, begin, end);
    else
        gather_rows(j, s, sample, begin, end);
}

static void repeat_value(const job *j, char *array, int64_t channel, double v)
{
    for (int64_t k = channel; k < j->width; k += j->norm->channels)
        kl_norm_set(array, j->norm->wide, k, v);
}

static double parameter(const void *array, bool wide, int64_t i, double otherwise)
{
    return array ? kl_norm_value(array, wide, i) : otherwise;
}

static void set_means(const job *j, scratch *s, int64_t sample)
{
    const kl_group_norm *norm = j->norm;
    int64_t each = norm->channels / norm->groups;
    for (int64_t c = 0; c < norm->channels; c++)
        repeat_value(j, s->mean, c,
                     kl_norm_value(norm->mean, norm->wide, sample * norm->groups + c / each));
}

/* From the sums to what y is made by. */
static void settle_group(const job *j, scratch *s, int64_t sample, int64_t group)
{
    const kl_group_norm *norm = j->norm;
    int64_t each = norm->channels / norm->groups, at = sample * norm->groups + group;
    double count = 0, mean = 0, squares = 0;
    for (int64_t c = group * each; c < (group + 1) * each; c++)
        kl_join_moments(&count, &mean, &squares, s->counts[c], s->first[c], s->second[c]);
    kl_norm_set(norm->mean, norm->wide, at, mean);
    kl_norm_set(norm->variance, norm->wide, at, squares / count);
    double inverse = 1 / sqrt(kl_norm_value(norm->variance, norm->wide, at) + norm->epsilon);
    for (int64_t c = group * each; c < (group + 1) * each; c++) {
        repeat_value(j, s->mean, c, mean);
        repeat_value(j, s->params[0], c, parameter(norm->gamma, norm->wide, c, 1) * inverse);
        repeat_value(j, s->params[1], c, parameter(norm->beta, norm->wide, c, 0));
    }
}

/* From the sums to what dx is made by. */
static void settle_group_back(const job *j, scratch *s, int64_t sample, int64_t group)
{
    const kl_group_norm *norm = j->norm;
    int64_t each = norm->channels / norm->groups, at = sample * norm->groups + group;
    double inverse = 1 / sqrt(kl_norm_value(norm->variance, norm->wide, at) + norm->epsilon);
    double count = (double)(norm->before * norm->after * each), sum = 0, product = 0;
    for (int64_t c = group * each; c < (group + 1) * each; c++) {
        double gamma = parameter(norm->gamma, norm->wide, c, 1);
        sum += gamma * s->first[c];
        product += gamma * s->second[c];
        s->dgamma[c] += s->second[c] * inverse;
        s->dbeta[c] += s->first[c];
    }
    double from_mean = parameter(j->grad->dmean, norm->wide, at, 0);
    double from_variance = parameter(j->grad->dvariance, norm->wide, at, 0);
    double slope = (2 * from_variance - inverse * inverse * inverse * product) / count;
    double shift = (from_mean - inverse * sum) / count;
    /* A lone value is its own mean: nothing but rounding would be left of its gradient. */
    bool lone = count == 1;
    for (int64_t c = group * each; c < (group + 1) * each; c++) {
        double scale = lone ? 0 : inverse * parameter(norm->gamma, norm->wide, c, 1);
        repeat_value(j, s->params[0], c, j->grad->dy ? scale : 0);
        repeat_value(j, s->params[1], c, slope);
        repeat_value(j, s->params[2], c, lone ? from_mean : shift);
    }
}

static void settle(const job *j, scratch *s, int64_t sample)
{
    for (int64_t group = 0; group < j->norm->groups; group++)
        if (j->grad)
            settle_group_back(j, s, sample, group);
        else
            settle_group(j, s, sample, group);
}

static void spread_lines(const job *j, const scratch *s, int64_t sample, int64_t begin, int64_t end)
{
    const bool wide = j->norm->wide;
    for (int64_t line = begin; line < end; line++) {
        int64_t c = line % j->norm->channels;
        const char *x = unit_of(j, j->x, sample, line);
        char *out = j->out + (unit_of(j, j->x, sample, line) - j->x);
        double mean = kl_norm_value(s->mean, wide, c), a = kl_norm_value(s->params[0], wide, c);
        double b = kl_norm_value(s->params[1], wide, c);
        if (j->grad)
            j->loops->line_combine(j->unit, x, mean, unit_of(j, j->dy, sample, line), a, b,
                                   kl_norm_value(s->params[2], wide, c), out);
        else
            j->loops->line_apply(j->unit, x, mean, a, b, out);
    }
}

static void spread_rows(const job *j, const scratch *s, int64_t sample, int64_t begin, int64_t end)
{
    int64_t n = j->norm->channels, repeat = j->width / n, rows;
    for (int64_t row = begin; row < end; row += rows * repeat) {
        if (end - row < repeat)
            repeat = 1;
        rows = (end - row) / repeat;
        const char *x = unit_of(j, j->x, sample, row);
        char *out = j->out + (x - j->x);
        if (j->grad)
            j->loops->combine(rows, n * repeat, x, s->mean, unit_of(j, j->dy, sample, row),
                              s->params[0], s->params[1], s->params[2], out);
        else
            j->loops->apply(rows, n * repeat, x, s->mean, s->params[0], s->params[1], out);
    }
}

static void spread(const job *j, const scratch *s, int64_t sample, int64_t begin, int64_t end)
{
    if (j->norm->after > 1)
        spread_lines(j, s, sample, begin, end);
    else
        spread_rows(j, s, sample, begin, end);
}

static void samples_chunk(void *arg, int64_t chunk)
{
    const job *j = arg;
    scratch *s = &j->chunks[chunk];
    int64_t end = kl_split_begin(j->split, chunk + 1);
    for (int64_t sample = kl_split_begin(j->split, chunk); sample < end; sample++) {
        if (j->grad)
            set_means(j, s, sample);
        gather(j, s, sample, 0, j->units);
        settle(j, s, sample);
        spread(j, s, sample, 0, j->units);
    }
}

static void gather_chunk(void *arg, int64_t chunk)
{
    const job *j = arg;
    if (j->grad)
        set_means(j, &j->chunks[chunk], j->sample);
    gather(j, &j->chunks[chunk], j->sample, kl_split_begin(j->split, chunk),
           kl_split_begin(j->split, chunk + 1));
}

static void spread_chunk(void *arg, int64_t chunk)
{
    const job *j = arg;
    spread(j, j->chunks, j->sample, kl_split_begin(j->split, chunk),
           kl_split_begin(j->split, chunk + 1));
}

/* All chunks' sums into the first's. */
static void join_chunks(const job *j)
{
    scratch *to = j->chunks;
    for (int64_t k = 1; k < j->split.chunks; k++) {
        const scratch *from = &j->chunks[k];
        for (int64_t c = 0; c < j->norm->channels; c++) {
            if (j->grad) {
                to->first[c] += from->first[c];
                to->second[c] += from->second[c];
            } else if (from->counts[c] > 0) {
                kl_join_moments(&to->counts[c], &to->first[c], &to->second[c], from->counts[c],
                                from->first[c], from->second[c]);
            }
        }
    }
}

/* All of a job's memory is one block; NULL with KL_ERROR_MEMORY. */
static void *job_begin(job *j)
{
    const kl_group_norm *norm = j->norm;
    int64_t n = norm->channels;
    size_t sums = (size_t)(5 * n) * sizeof(double), arrays = (size_t)(6 * j->width) * j->size;
    arrays = (arrays + 63) / 64 * 64;
    size_t chunks = (size_t)j->split.chunks, list = chunks * sizeof(scratch);
    list = (list + 63) / 64 * 64;
    char *block = kl_block_alloc(list + chunks * (sums + arrays));
    if (!block)
        return NULL;
    j->chunks = (scratch *)(void *)block;
    for (size_t k = 0; k < chunks; k++) {
        char *at = block + list + k * (sums + arrays);
        memset(at, 0, sums);
        scratch *s = &j->chunks[k];
        s->first = (double *)(void *)at;
        s->second = s->first + n;
        s->counts = s->second + n;
        s->dgamma = s->counts + n;
        s->dbeta = s->dgamma + n;
        s->strips = at + sums;
        s->mean = s->strips + (size_t)(2 * j->width) * j->size;
        for (int i = 0; i < 3; i++)
            s->params[i] = s->mean + (size_t)((i + 1) * j->width) * j->size;
    }
    return block;
}

static void write_parameters(const job *j)
{
    for (int64_t c = 0; c < j->norm->channels; c++) {
        double dgamma = 0, dbeta = 0;
        for (int64_t k = 0; k < j->split.chunks; k++) {
            dgamma += j->chunks[k].dgamma[c];
            dbeta += j->chunks[k].dbeta[c];
        }
        kl_norm_set(j->grad->dgamma, j->norm->wide, c, dgamma);
        kl_norm_set(j->grad->dbeta, j->norm->wide, c, dbeta);
    }
}

static bool run(const kl_group_norm *norm, const kl_norm_grad *grad, void *out)
{
    int64_t n = norm->channels, all = norm->before * n * norm->after;
    bool lines = norm->after > 1, whole = norm->samples >= MANY_SAMPLES || all < 2 * GRAIN;
    job j = {.norm = norm,
             .grad = grad,
             .loops = kl_norm_loops_for(norm->wide),
             .size = norm->wide ? sizeof(double) : sizeof(float),
             .units = lines ? norm->before * n : norm->before,
             .unit = lines ? norm->after : n,
             .width = !lines && n < KL_NORM_NARROW ? n * KL_NORM_REPEAT : n,
             .x = norm->x,
             /* Without dy its coefficient is 0: any array of finite numbers does. */
             .dy = grad && grad->dy ? grad->dy : norm->x,
             .out = out};
    j.split = whole ? kl_split_make(norm->samples, 1 + GRAIN / all)
                    : kl_split_make(j.units, 1 + GRAIN / j.unit);
    void *block = job_begin(&j);
    if (!block)
        return false;
    if (whole)
        kl_parallel_for(j.split.chunks, samples_chunk, &j);
    for (j.sample = 0; !whole && j.sample < norm->samples; j.sample++) {
        kl_parallel_for(j.split.chunks, gather_chunk, &j);
        join_chunks(&j);
        settle(&j, j.chunks, j.sample);
        kl_parallel_for(j.split.chunks, spread_chunk, &j);
    }
    if (grad)
        write_parameters(&j);
    kl_block_free(block);
    return true;
}

bool kl_groups_norm(const kl_group_norm *norm, void *y)
{
    return run(norm, NULL, y);
}

bool kl_groups_norm_grad(const kl_group_norm *norm, const kl_norm_grad *grad)
{
    return run(norm, grad, grad->dx);
}

typedef struct affine {
    const kl_norm_loops *loops;
    bool wide, lines;
    int64_t channels, unit, width;
    size_t size;
    kl_split split;
    const char *x, *zero, *scale, *shift;
    char *y;
} affine;

static void affine_chunk(void *arg, int64_t chunk)
{
    const affine *a = arg;
    int64_t at = kl_split_begin(a->split, chunk), end = kl_split_begin(a->split, chunk + 1);
    size_t offset = (size_t)(at * a->unit) * a->size;
    if (!a->lines) {
        int64_t repeat = a->width / a->channels, rows = (end - at) / repeat;
        size_t done = (size_t)(rows * a->width) * a->size;
        a->loops->apply(rows, a->width, a->x + offset, a->zero, a->scale, a->shift, a->y + offset);
        a->loops->apply((end - at) - rows * repeat, a->channels, a->x + offset + done, a->zero,
                        a->scale, a->shift, a->y + offset + done);
        return;
    }
    for (; at < end; at++, offset += (size_t)a->unit * a->size)
        a->loops->line_apply(a->unit, a->x + offset, 0,
                             kl_norm_value(a->scale, a->wide, at % a->channels),
                             kl_norm_value(a->shift, a->wide, at % a->channels), a->y + offset);
}

bool kl_scale_shift(bool wide, int64_t before, int64_t channels, int64_t after, const void *x,
                    const void *scale, const void *shift, void *y)
{
    bool lines = after > 1;
    affine a = {.loops = kl_norm_loops_for(wide),
                .wide = wide,
                .lines = lines,
                .channels = channels,
                .unit = lines ? after : channels,
                .width = !lines && channels < KL_NORM_NARROW ? channels * KL_NORM_REPEAT : channels,
                .size = wide ? sizeof(double) : sizeof(float),
                .x = x,
                .y = y};
    a.split = kl_split_make(lines ? before * channels : before, 1 + GRAIN / a.unit);
    size_t array = (size_t)a.width * a.size;
    char *block = kl_block_alloc(3 * array);
    if (!block)
        return false;
    memset(block, 0, array);
    for (int64_t c = 0; c < a.width; c++) {
        kl_norm_set(block + array, wide, c, kl_norm_value(scale, wide, c % channels));
        kl_norm_set(block + 2 * array, wide, c,
                    shift ? kl_norm_value(shift, wide, c % channels) : 0);
    }
    a.zero = block;
    a.scale = block + array;
    a.shift = block + 2 * array;
    kl_parallel_for(a.split.chunks, affine_chunk, &a);
    kl_block_free(block);
    return true;
}
