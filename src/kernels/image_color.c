#include "kernels/image_color.h"

#include <math.h>
#include <string.h>

#include "base/thread_pool.h"

#define GRAIN 16384

typedef struct color_job color_job;
typedef void range_fn(const color_job *job, int64_t image, int64_t from, int64_t to);

struct color_job {
    const kl_images *images;
    kl_split split; /* of an image's pixels or elements */
    range_fn *run;
    const double *hue, *saturation;
    double range[2];
    const uint8_t *shifts;
    const void *in;
    void *out;
    bool wide; /* equalization: */
    int64_t bins, *counts;
    double *table;
};

static inline float clip_float(float v, float low, float high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

static inline double clip_double(double v, double low, double high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

#define T           float
#define TYPED(name) name##_float
#include "kernels/image_color_type.h"

#define T           double
#define TYPED(name) name##_double
#include "kernels/image_color_type.h"

static void run_chunk(void *arg, int64_t chunk)
{
    const color_job *job = arg;
    int64_t image = chunk / job->split.chunks, part = chunk % job->split.chunks;
    job->run(job, image, kl_split_begin(job->split, part), kl_split_begin(job->split, part + 1));
}

void kl_adjust_colors(const kl_images *images, bool wide, const double *hue,
                      const double *saturation, const double range[2], const void *in, void *out)
{
    color_job job = {.images = images,
                     .split = kl_split_make(images->height * images->width, GRAIN),
                     .run = wide ? adjust_double : adjust_float,
                     .hue = hue,
                     .saturation = saturation,
                     .range = {range[0], range[1]},
                     .in = in,
                     .out = out};
    kl_parallel_for(images->batch * job.split.chunks, run_chunk, &job);
}

void kl_posterize(const kl_images *images, bool wide, const uint8_t *shifts, const void *in,
                  void *out)
{
    color_job job = {.images = images,
                     .split =
                         kl_split_make(images->height * images->width * images->channels, GRAIN),
                     .run = wide ? posterize_double : posterize_float,
                     .shifts = shifts,
                     .in = in,
                     .out = out};
    kl_parallel_for(images->batch * job.split.chunks, run_chunk, &job);
}

/* One channel: its histogram, the table made of it, and the look-up. */
static void equalize_channel(void *arg, int64_t channel)
{
    const color_job *job = arg;
    const int64_t bins = job->bins;
    int64_t *counts = job->counts + channel * bins, used = 0, sum = 0, first = 0;
    double *table = job->table + channel * bins;
    memset(counts, 0, (size_t)bins * sizeof *counts);
    if (job->wide)
        count_double(job, channel, bins, counts);
    else
        count_float(job, channel, bins, counts);
    for (int64_t i = 0; i < bins; i++) {
        used += counts[i] > 0;
        first = first ? first : counts[i];
        sum += counts[i];
        counts[i] = sum;
    }
    if (used <= 1) {
        if (job->wide)
            copy_channel_double(job, channel);
        else
            copy_channel_float(job, channel);
        return;
    }
    for (int64_t i = 0; i < bins; i++)
        table[i] =
            clip_double(rint((double)(counts[i] - first) * 255 / (double)(sum - first)), 0, 255);
    if (job->wide)
        look_up_double(job, channel, bins, table);
    else
        look_up_float(job, channel, bins, table);
}

void kl_equalize(const kl_images *images, bool wide, int64_t bins, int64_t *counts, double *table,
                 const void *in, void *out)
{
    color_job job = {.images = images,
                     .in = in,
                     .out = out,
                     .wide = wide,
                     .bins = bins,
                     .counts = counts,
                     .table = table};
    kl_parallel_for(images->channels, equalize_channel, &job);
}

/* ---- Contrast limited adaptive histogram equalization ---- */

typedef struct clahe_job {
    const kl_images *images;
    int64_t grid[2], tile[2];
    float clip_limit;
    float *tables;
    const float *in;
    float *out;
} clahe_job;

/* Position mirrored at the end, the last element doubled, until it is inside. */
static int64_t mirrored(int64_t at, int64_t length)
{
    int64_t period = 2 * length;
    at %= period;
    return at < length ? at : period - 1 - at;
}

static int level(float value)
{
    return (int)clip_float(value, 0, 255);
}

/* One tile of one channel: a table from a value to the normalized sum of counts below it. */
static void clahe_tile(void *arg, int64_t index)
{
    const clahe_job *job = arg;
    const kl_images *s = job->images;
    int64_t channel = index % s->channels, tile = index / s->channels;
    int64_t tx = tile % job->grid[1], ty = tile / job->grid[1] % job->grid[0];
    int64_t image = tile / (job->grid[0] * job->grid[1]);
    const float *in = job->in + image * s->height * s->width * s->channels + channel;
    const float area = (float)(job->tile[0] * job->tile[1]);
    float *table = job->tables + index * 256;
    memset(table, 0, 256 * sizeof *table);
    for (int64_t y = ty * job->tile[0]; y < (ty + 1) * job->tile[0]; y++)
        for (int64_t x = tx * job->tile[1]; x < (tx + 1) * job->tile[1]; x++)
            table[level(
                in[(mirrored(y, s->height) * s->width + mirrored(x, s->width)) * s->channels])] +=
                1;
    if (job->clip_limit > 0) {
        float limit = job->clip_limit * area / 256.F, excess = 0;
        for (int i = 0; i < 256; i++) {
            float kept = table[i] < limit ? table[i] : limit;
            excess += table[i] - kept;
            table[i] = kept;
        }
        for (int i = 0; i < 256; i++)
            table[i] += excess / 256.F;
    }
    for (int i = 1; i < 256; i++)
        table[i] += table[i - 1];
    float least = table[0], span = area - least;
    span = span == 0 ? 1 : span;
    for (int i = 0; i < 256; i++)
        table[i] = clip_float((table[i] - least) * 255.F / span, 0, 255);
}

/* Between which tiles position `at` lies, ends repeated, and how far toward the second. */
static float between(int64_t at, int64_t tile, int64_t tiles, int64_t *first, int64_t *second)
{
    float place = ((float)at - (float)tile / 2.F) / (float)tile;
    float low = floorf(place);
    int64_t t = (int64_t)low;
    *first = t < 0 ? 0 : t < tiles ? t : tiles - 1;
    *second = t + 1 < tiles ? t + 1 : tiles - 1;
    return place - low;
}

static void clahe_row(void *arg, int64_t row)
{
    const clahe_job *job = arg;
    const kl_images *s = job->images;
    int64_t image = row / s->height, y = row % s->height;
    int64_t top, below;
    float wy = between(y, job->tile[0], job->grid[0], &top, &below);
    const int64_t across = job->grid[1] * s->channels * 256;
    const float *tables = job->tables + image * job->grid[0] * across;
    for (int64_t x = 0; x < s->width; x++) {
        int64_t left, right;
        float wx = between(x, job->tile[1], job->grid[1], &left, &right);
        for (int64_t c = 0; c < s->channels; c++) {
            int64_t at = (row * s->width + x) * s->channels + c;
            int64_t value = c * 256 + level(job->in[at]);
            int64_t l = left * s->channels * 256 + value, r = right * s->channels * 256 + value;
            float upper = tables[top * across + l] * (1 - wx) + tables[top * across + r] * wx;
            float lower = tables[below * across + l] * (1 - wx) + tables[below * across + r] * wx;
            job->out[at] = upper * (1 - wy) + lower * wy;
        }
    }
}

void kl_clahe(const kl_images *images, const int64_t grid[2], float clip_limit, float *tables,
              const float *in, float *out)
{
    clahe_job job = {
        .images = images,
        .grid = {grid[0], grid[1]},
        .tile = {(images->height + grid[0] - 1) / grid[0], (images->width + grid[1] - 1) / grid[1]},
        .clip_limit = clip_limit,
        .tables = tables,
        .in = in,
        .out = out};
    kl_parallel_for(images->batch * grid[0] * grid[1] * images->channels, clahe_tile, &job);
    kl_parallel_for(images->batch * images->height, clahe_row, &job);
}
