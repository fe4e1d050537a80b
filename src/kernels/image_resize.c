#include "kernels/image_resize.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/image_resize_table.h"
#include "kernels/isa.h"

/* Elements of output below which a chunk isn't worth a thread. */
#define GRAIN 4096

static const kl_resize_table *table(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return &kl_resize_avx512;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return &kl_resize_avx2;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_resize_neon;
#endif
    default:
        return &kl_resize_portable;
    }
}

/* ---- Weights ---- */

static float triangle(float x)
{
    return x < 1 ? 1 - x : 0;
}

static float keys_cubic(float x)
{
    if (x >= 2)
        return 0;
    if (x >= 1)
        return ((-0.5F * x + 2.5F) * x - 4.F) * x + 2.F;
    return ((1.5F * x - 2.5F) * x) * x + 1.F;
}

static float mitchell_cubic(float x)
{
    if (x >= 2)
        return 0;
    if (x >= 1)
        return ((-7.F / 18.F * x + 2.F) * x - 10.F / 3.F) * x + 16.F / 9.F;
    return (7.F / 6.F * x - 2.F) * x * x + 8.F / 9.F;
}

/* Within three standard deviations of half a pixel. */
static float gaussian(float x)
{
    return x < 1.5F ? expf(-2.F * x * x) : 0;
}

static float lanczos(float x, float radius)
{
    const float pi = 3.14159265359F;
    if (x > radius)
        return 0;
    if (x <= 1e-3F)
        return 1;
    return radius * sinf(pi * x) * sinf(pi * x / radius) / (pi * pi * x * x);
}

static float kernel(kl_resize_method method, float x)
{
    switch (method) {
    case KL_RESIZE_LANCZOS3:
        return lanczos(x, 3);
    case KL_RESIZE_LANCZOS5:
        return lanczos(x, 5);
    case KL_RESIZE_BICUBIC:
        return keys_cubic(x);
    case KL_RESIZE_MITCHELLCUBIC:
        return mitchell_cubic(x);
    case KL_RESIZE_GAUSSIAN:
        return gaussian(x);
    default:
        return triangle(x);
    }
}

static float radius_of(kl_resize_method method)
{
    switch (method) {
    case KL_RESIZE_LANCZOS3:
        return 3;
    case KL_RESIZE_LANCZOS5:
        return 5;
    case KL_RESIZE_BICUBIC:
    case KL_RESIZE_MITCHELLCUBIC:
        return 2;
    case KL_RESIZE_GAUSSIAN:
        return 1.5F;
    default:
        return 1;
    }
}

static int64_t bound(int64_t at, int64_t length)
{
    return at < 0 ? 0 : at < length ? at : length - 1;
}

/* A run of weights from `first` on, which may begin before or end beyond the input, moved inside:
   what falls outside must have weight 0 there. */
static void put_run(kl_resize_axis *a, int64_t i, int64_t first, int64_t count, const float *w)
{
    int64_t start = first < 0 ? 0 : first;
    if (start + a->taps > a->in)
        start = a->in - a->taps;
    a->start[i] = (int32_t)start;
    float *out = a->weights + i * a->taps;
    memset(out, 0, (size_t)a->taps * sizeof *out);
    for (int64_t k = 0; k < count; k++) {
        int64_t at = first + k - start;
        if (at >= 0 && at < a->taps)
            out[at] = w[k];
    }
}

static void bilinear_run(kl_resize_axis *a, int64_t i)
{
    float scale = (float)a->in / (float)a->out;
    float at = ((float)i + 0.5F) * scale - 0.5F;
    float low = floorf(at), part = at - low;
    int64_t lower = low > 0 ? (int64_t)low : 0, upper = bound((int64_t)ceilf(at), a->in);
    /* At an edge both are the same pixel. */
    float weights[2] = {lower == upper ? 1 : 1 - part, lower == upper ? 0 : part};
    put_run(a, i, lower, 2, weights);
}

static void nearest_run(kl_resize_axis *a, int64_t i)
{
    float scale = (float)a->in / (float)a->out;
    int64_t at = (int64_t)floorf(((float)i + 0.5F) * scale);
    const float one = 1;
    put_run(a, i, bound(at, a->in), 1, &one);
}

/* The weights stand in steps of 1/1024 of a pixel, as in TensorFlow; those outside the image are
   left out. */
static void bicubic_run(kl_resize_axis *a, int64_t i)
{
    float scale = (float)a->in / (float)a->out;
    float at = ((float)i + 0.5F) * scale - 0.5F;
    float low = floorf(at);
    int64_t place = (int64_t)low;
    float part = (float)lrintf((at - low) * 1024) / 1024.F, sum = 0;
    const float distances[4] = {1 + part, part, 1 - part, 2 - part};
    float weights[4];
    for (int k = 0; k < 4; k++) {
        int64_t from = place - 1 + k;
        weights[k] = from >= 0 && from < a->in ? keys_cubic(distances[k]) : 0;
        sum += weights[k];
    }
    for (int k = 0; k < 4 && fabsf(sum) >= 1000 * FLT_MIN; k++)
        weights[k] /= sum;
    put_run(a, i, place - 1, 4, weights);
}

/* By how much each input pixel is covered. */
static void area_run(kl_resize_axis *a, int64_t i, float *weights)
{
    float scale = (float)a->in / (float)a->out;
    float from = (float)i * scale, to = (float)(i + 1) * scale;
    int64_t first = (int64_t)floorf(from), end = (int64_t)ceilf(to), last = a->in - 1;
    if (first > last)
        first = last;
    int64_t count = end - first;
    memset(weights, 0, (size_t)(a->taps + 2) * sizeof *weights);
    for (int64_t k = 0; k < count; k++) {
        float at = (float)(first + k);
        float part =
            at < from ? (at + 1 > to ? scale : at + 1 - from) : (at + 1 > to ? to - at : 1.F);
        /* Beyond the end the last pixel counts again. */
        weights[bound(first + k, a->in) - first] += part / scale;
    }
    put_run(a, i, first, count < a->taps + 2 ? count : a->taps + 2, weights);
}

/* TensorFlow's ScaleAndTranslate. */
static void kernel_run(kl_resize_axis *a, kl_resize_method method, bool antialias, int64_t i,
                       float *weights)
{
    float scale = (float)a->out / (float)a->in, inverse = 1.F / scale;
    float wide = antialias && inverse > 1 ? inverse : 1.F;
    float reach = radius_of(method) * wide, at = ((float)i + 0.5F) * inverse, sum = 0;
    int64_t first = bound((int64_t)ceilf(at - reach - 0.5F), a->in);
    int64_t end = bound((int64_t)floorf(at + reach - 0.5F), a->in) + 1;
    int64_t count = end - first < a->taps ? end - first : a->taps;
    if (at < 0 || at > (float)a->in)
        count = 0;
    for (int64_t k = 0; k < count; k++) {
        float distance = (float)(first + k) + 0.5F - at;
        weights[k] = kernel(method, fabsf(distance / wide));
        sum += weights[k];
    }
    float norm = fabsf(sum) >= 1000 * FLT_MIN ? 1.F / sum : 0;
    for (int64_t k = 0; k < count; k++)
        weights[k] *= norm;
    put_run(a, i, first, count, weights);
}

static bool uses_kernel(kl_resize_method method, bool antialias)
{
    return method >= KL_RESIZE_LANCZOS3 ||
           (antialias && (method == KL_RESIZE_BILINEAR || method == KL_RESIZE_BICUBIC));
}

static int64_t taps_of(kl_resize_method method, bool antialias, int64_t in, int64_t out)
{
    float inverse = (float)in / (float)out;
    int64_t taps;
    if (uses_kernel(method, antialias))
        taps = 2 * (int64_t)ceilf(radius_of(method) * (antialias && inverse > 1 ? inverse : 1)) + 1;
    else if (method == KL_RESIZE_AREA)
        taps = (int64_t)ceilf(inverse) + 1;
    else
        taps = method == KL_RESIZE_NEAREST ? 1 : method == KL_RESIZE_BICUBIC ? 4 : 2;
    return taps < in ? taps : in;
}

/* Whether output i has the weights of output i - period, `inputs` inputs on. */
static bool repeats(const kl_resize_axis *a, int64_t i, int64_t period, int64_t inputs)
{
    return a->start[i] == a->start[i - period] + inputs &&
           !memcmp(a->weights + i * a->taps, a->weights + (i - period) * a->taps,
                   (size_t)a->taps * sizeof *a->weights);
}

/* Looks from the middle to both ends. */
static void find_regular(kl_resize_axis *a)
{
    a->doubles = a->out == 2 * a->in;
    a->halves = a->in == 2 * a->out;
    if (a->out < 8 || (!a->doubles && !a->halves))
        return;
    const int64_t period = a->doubles ? 2 : 1, inputs = a->doubles ? 1 : 2;
    int64_t middle = a->out / 4 * 2, from = middle, to = middle;
    while (from - period >= 0 && repeats(a, from, period, inputs) &&
           (!a->doubles || repeats(a, from + 1, period, inputs)))
        from -= period;
    while (to + period < a->out && repeats(a, to + period, period, inputs))
        to++;
    a->regular_from = (from + 1) / 2 * 2;
    a->regular_to = to / 2 * 2;
}

bool kl_resize_axis_make(kl_resize_axis *a, kl_resize_method method, bool antialias, int64_t in,
                         int64_t out)
{
    *a = (kl_resize_axis){.in = in, .out = out, .taps = taps_of(method, antialias, in, out)};
    a->lerp = method == KL_RESIZE_BILINEAR && !antialias && a->taps == 2;
    a->start = kl_block_alloc((size_t)out * sizeof *a->start);
    a->weights = kl_block_alloc((size_t)(out * a->taps) * sizeof *a->weights);
    float *scratch = kl_block_alloc((size_t)(a->taps + 2) * sizeof *scratch);
    bool good = a->start && a->weights && scratch;
    for (int64_t i = 0; good && i < out; i++) {
        if (uses_kernel(method, antialias))
            kernel_run(a, method, antialias, i, scratch);
        else if (method == KL_RESIZE_AREA)
            area_run(a, i, scratch);
        else if (method == KL_RESIZE_NEAREST)
            nearest_run(a, i);
        else if (method == KL_RESIZE_BICUBIC)
            bicubic_run(a, i);
        else
            bilinear_run(a, i);
    }
    kl_block_free(scratch);
    if (good)
        find_regular(a);
    if (!good)
        kl_resize_axis_free(a);
    return good;
}

bool kl_resize_axis_transpose(const kl_resize_axis *a, kl_resize_axis *t)
{
    *t = (kl_resize_axis){.in = a->out, .out = a->in};
    t->start = kl_block_alloc((size_t)t->out * sizeof *t->start);
    int32_t *end = kl_block_alloc((size_t)t->out * sizeof *end);
    bool good = t->start && end;
    for (int64_t i = 0; good && i < t->out; i++) {
        t->start[i] = INT32_MAX;
        end[i] = 0;
    }
    for (int64_t o = 0; good && o < a->out; o++)
        for (int64_t k = 0; k < a->taps; k++) {
            int64_t i = a->start[o] + k;
            if (a->weights[o * a->taps + k] == 0)
                continue;
            t->start[i] = o < t->start[i] ? (int32_t)o : t->start[i];
            end[i] = (int32_t)o + 1;
        }
    t->taps = 1;
    for (int64_t i = 0; good && i < t->out; i++)
        if (end[i] - t->start[i] > t->taps)
            t->taps = end[i] - t->start[i];
    t->weights = good ? kl_block_alloc((size_t)(t->out * t->taps) * sizeof *t->weights) : NULL;
    good = t->weights != NULL;
    for (int64_t i = 0; good && i < t->out; i++) {
        /* What no output reads goes on where the run before it stands. */
        if (!end[i])
            t->start[i] = i ? t->start[i - 1] : 0;
        if (t->start[i] > t->in - t->taps)
            t->start[i] = (int32_t)(t->in - t->taps);
        memset(t->weights + i * t->taps, 0, (size_t)t->taps * sizeof *t->weights);
    }
    for (int64_t o = 0; good && o < a->out; o++)
        for (int64_t k = 0; k < a->taps; k++) {
            int64_t i = a->start[o] + k;
            float w = a->weights[o * a->taps + k];
            if (w != 0)
                t->weights[i * t->taps + o - t->start[i]] = w;
        }
    kl_block_free(end);
    if (good)
        find_regular(t);
    else
        kl_resize_axis_free(t);
    return good;
}

void kl_resize_axis_free(kl_resize_axis *a)
{
    kl_block_free(a->start);
    kl_block_free(a->weights);
    a->start = NULL;
    a->weights = NULL;
}

/* ---- Images ---- */

typedef struct resize_job {
    const kl_resize *resize;
    kl_split split; /* of the output rows of all planes */
    int64_t planes, channels;
    const kl_resize_table *loops;
    float *rings; /* a chunk: rows.taps rows of the output's width */
    const float **rows;
    int64_t *tags;
    const char *in;
    float *out;
} resize_job;

/* Whole images, or planes where channels come first. */
static resize_job job_of(const kl_resize *r, const void *in, float *out)
{
    const kl_images *s = &r->images;
    resize_job job = {.resize = r,
                      .planes = s->batch * (s->channels_first ? s->channels : 1),
                      .channels = s->channels_first ? 1 : s->channels,
                      .loops = table(),
                      .in = in,
                      .out = out};
    int64_t row = r->columns.out * job.channels;
    job.split = kl_split_make(job.planes * r->rows.out, row >= GRAIN ? 1 : GRAIN / (row + 1) + 1);
    return job;
}

/* Input rows go to the output's width once each, into a ring of as many as a run has; runs only
   move on. */
typedef struct row_ring {
    float *at;
    const float **rows; /* of a run */
    int64_t *tags;      /* which input row each place has */
} row_ring;

/* The rows that output row y reads, made where they aren't there; in is the plane's first row. */
static void fill_ring(const resize_job *job, const row_ring *ring, const char *in, int64_t readable,
                      int64_t y)
{
    const kl_resize *r = job->resize;
    const int64_t taps = r->rows.taps, width = r->columns.out * job->channels;
    const int64_t line = r->columns.in * job->channels;
    const float *weights = r->rows.weights + y * taps;
    int64_t from = r->rows.start[y], slot = from % taps;
    for (int64_t t = 0; t < taps; t++, from++) {
        float *row = ring->at + slot * width;
        if (ring->tags[slot] != from && weights[t] != 0) {
            const int64_t at = from * line;
            (r->bytes ? job->loops->row_byte : job->loops->row_float)(
                &r->columns, job->channels, in + (size_t)at * (r->bytes ? 1 : sizeof(float)),
                readable - at, row);
            ring->tags[slot] = from;
        }
        ring->rows[t] = row;
        slot = slot + 1 == taps ? 0 : slot + 1;
    }
}

/* The sum of the ring's rows. */
static void blend_ring(const resize_job *job, const row_ring *ring, int64_t y, float *out)
{
    const kl_resize_axis *axis = &job->resize->rows;
    const int64_t width = job->resize->columns.out * job->channels;
    const float *weights = axis->weights + y * axis->taps;
    int64_t first = 0, last = axis->taps;
    while (first < last && weights[first] == 0)
        first++;
    while (last > first && weights[last - 1] == 0)
        last--;
    /* Rows of weight 0 may not have been made. */
    for (int64_t t = first; t < last; t++)
        if (weights[t] == 0)
            ring->rows[t] = ring->rows[first];
    if (first == last)
        memset(out, 0, (size_t)width * sizeof(float));
    else if (axis->lerp && last - first == 2)
        job->loops->lerp(width, ring->rows[0], ring->rows[1], weights[1], out);
    else
        job->loops->blend(width, last - first, ring->rows + first, weights + first, out);
}

static void resize_chunk(void *arg, int64_t chunk)
{
    const resize_job *job = arg;
    const kl_resize *r = job->resize;
    const int64_t taps = r->rows.taps, width = r->columns.out * job->channels;
    const int64_t plane = r->columns.in * job->channels * r->rows.in;
    const row_ring ring = {job->rings + chunk * taps * width, job->rows + chunk * taps,
                           job->tags + chunk * taps};
    int64_t o = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    int64_t p = o / r->rows.out, y = o % r->rows.out;
    memset(ring.tags, 0xFF, (size_t)taps * sizeof *ring.tags);
    for (; o < end; o++) {
        const size_t element = r->bytes ? 1 : sizeof(float);
        fill_ring(job, &ring, job->in + (size_t)(p * plane) * element, (job->planes - p) * plane,
                  y);
        blend_ring(job, &ring, y, job->out + o * width);
        if (++y < r->rows.out)
            continue;
        y = 0;
        p++;
        memset(ring.tags, 0xFF, (size_t)taps * sizeof *ring.tags);
    }
}

bool kl_resize_images(const kl_resize *r, const void *in, float *out)
{
    resize_job job = job_of(r, in, out);
    size_t chunks = (size_t)job.split.chunks, taps = (size_t)r->rows.taps;
    job.rings = kl_block_alloc(chunks * taps * (size_t)(r->columns.out * job.channels) * 4);
    job.rows = kl_block_alloc(chunks * taps * sizeof *job.rows);
    job.tags = kl_block_alloc(chunks * taps * sizeof *job.tags);
    bool good = job.rings && job.rows && job.tags;
    if (good)
        kl_parallel_for(job.split.chunks, resize_chunk, &job);
    kl_block_free(job.rings);
    kl_block_free(job.rows);
    kl_block_free(job.tags);
    return good;
}

void kl_round_to_bytes(int64_t count, const float *in, uint8_t *out)
{
    /* Beyond 2^23 a float has no fraction: the sum rounds. */
    const float shift = 12582912.F;
    for (int64_t i = 0; i < count; i++) {
        float v = in[i] > 0 ? in[i] : 0;
        v = v < 255 ? v : 255;
        out[i] = (uint8_t)(int32_t)(v + shift - shift);
    }
}

typedef struct nearest_job {
    const kl_resize *resize;
    kl_split split;
    int64_t planes;
    size_t pixel;
    const char *in;
    char *out;
} nearest_job;

#define PICK(bytes)                                                                                \
    case bytes:                                                                                    \
        for (int64_t x = 0; x < a->out; x++)                                                       \
            memcpy(out + x * (bytes), in + a->start[x] * (bytes), bytes);                          \
        break;

static void pick_pixels(const kl_resize_axis *a, size_t pixel, const char *in, char *out)
{
    switch (pixel) {
        PICK(1)
        PICK(2)
        PICK(3)
        PICK(4)
        PICK(8)
        PICK(12)
        PICK(16)
    default:
        for (int64_t x = 0; x < a->out; x++)
            memcpy(out + (size_t)x * pixel, in + (size_t)a->start[x] * pixel, pixel);
    }
}

static void nearest_chunk(void *arg, int64_t chunk)
{
    const nearest_job *job = arg;
    const kl_resize_axis *rows = &job->resize->rows, *columns = &job->resize->columns;
    const size_t in_line = (size_t)columns->in * job->pixel;
    const size_t out_line = (size_t)columns->out * job->pixel;
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t o = kl_split_begin(job->split, chunk); o < end; o++) {
        int64_t p = o / rows->out, y = o % rows->out;
        char *out = job->out + (size_t)o * out_line;
        /* A row like the one above is copied from it. */
        if (o > kl_split_begin(job->split, chunk) && y && rows->start[y] == rows->start[y - 1])
            memcpy(out, out - out_line, out_line);
        else
            pick_pixels(columns, job->pixel,
                        job->in + (size_t)(p * rows->in + rows->start[y]) * in_line, out);
    }
}

void kl_resize_nearest(const kl_resize *r, size_t element, const void *in, void *out)
{
    const kl_images *s = &r->images;
    nearest_job job = {.resize = r,
                       .planes = s->batch * (s->channels_first ? s->channels : 1),
                       .pixel = element * (size_t)(s->channels_first ? 1 : s->channels),
                       .in = in,
                       .out = out};
    int64_t row = r->columns.out * (int64_t)job.pixel / 4 + 1;
    job.split = kl_split_make(job.planes * r->rows.out, row >= GRAIN ? 1 : GRAIN / row + 1);
    kl_parallel_for(job.split.chunks, nearest_chunk, &job);
}
