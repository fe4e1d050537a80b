#include "kernels/image_warp.h"

#include <math.h>
#include <string.h>

#include "base/thread_pool.h"
#include "kernels/image_warp_table.h"
#include "kernels/isa.h"

/* Elements below which a row of work isn't worth a thread. */
#define GRAIN 32768

static const kl_warp_table *table(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return &kl_warp_avx512;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return &kl_warp_avx2;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_warp_neon;
#endif
    default:
        return &kl_warp_portable;
    }
}

static size_t input_size(kl_pixels pixels)
{
    return pixels == KL_PIXELS_DOUBLE ? 8 : pixels == KL_PIXELS_FLOAT ? 4 : 1;
}

static size_t output_size(kl_pixels pixels)
{
    return pixels == KL_PIXELS_DOUBLE ? 8 : pixels == KL_PIXELS_BYTE ? 1 : 4;
}

/* Rows of all images, split so that a chunk has GRAIN elements or more. */
static kl_split split_rows(const kl_images *s)
{
    int64_t row = s->width * s->channels;
    return kl_split_make(s->batch * s->height, row >= GRAIN ? 1 : GRAIN / (row > 0 ? row : 1));
}

typedef struct warp_job {
    const kl_warp *warp;
    kl_split split;
    const char *in;
    char *out;
    const void *dx, *dy; /* of displacements */
} warp_job;

/* Row `row` of an image as it is. */
static void keep_row(const kl_warp *w, int64_t row, const char *in, char *out)
{
    const kl_images *s = &w->images;
    int64_t runs = s->channels_first ? s->channels : 1;
    int64_t length = s->channels_first ? s->width : s->width * s->channels;
    for (int64_t c = 0; c < runs; c++) {
        int64_t at = c * s->height * s->width + row * length;
        if (w->pixels == KL_PIXELS_BYTE_FLOAT) {
            const uint8_t *from = (const uint8_t *)in + at;
            float *to = (float *)(void *)out + at;
            for (int64_t i = 0; i < length; i++)
                to[i] = (float)from[i];
        } else {
            size_t size = input_size(w->pixels);
            memcpy(out + (size_t)at * size, in + (size_t)at * size, (size_t)length * size);
        }
    }
}

static void warp_chunk(void *arg, int64_t chunk)
{
    const warp_job *job = arg;
    const kl_warp *w = job->warp;
    const kl_images *s = &w->images;
    const int64_t size = s->height * s->width * s->channels;
    kl_warp_row *warp_row = table()->rows[w->pixels];
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t r = kl_split_begin(job->split, chunk); r < end; r++) {
        int64_t image = r / s->height, row = r % s->height;
        const char *in = job->in + (size_t)(image * size) * input_size(w->pixels);
        char *out = job->out + (size_t)(image * size) * output_size(w->pixels);
        if (w->keep && w->keep[image])
            keep_row(w, row, in, out);
        else
            warp_row(w, w->maps + 8 * image, row, in, (s->batch - image) * size, out);
    }
}

void kl_warp_images(const kl_warp *warp, const void *in, void *out)
{
    warp_job job = {warp, split_rows(&warp->images), in, out, NULL, NULL};
    kl_parallel_for(job.split.chunks, warp_chunk, &job);
}

/* One image a chunk: rows of one image add to the same elements. */
static void warp_grad_chunk(void *arg, int64_t image)
{
    const warp_job *job = arg;
    const kl_warp *w = job->warp;
    const kl_images *s = &w->images;
    const size_t bytes = (size_t)(s->height * s->width * s->channels) * output_size(w->pixels);
    const char *dy = job->in + (size_t)image * bytes;
    char *dx = job->out + (size_t)image * bytes;
    if (w->keep && w->keep[image]) {
        memcpy(dx, dy, bytes);
        return;
    }
    for (int64_t row = 0; row < s->height; row++)
        table()->grads[w->pixels](w, w->maps + 8 * image, row, dy, dx);
}

void kl_warp_images_grad(const kl_warp *warp, const void *dy, void *dx)
{
    warp_job job = {warp, {0}, dy, dx, NULL, NULL};
    kl_parallel_for(warp->images.batch, warp_grad_chunk, &job);
}

/* ---- Displacement ---- */

static inline int64_t modulo(int64_t a, int64_t n)
{
    int64_t r = a % n;
    return r < 0 ? r + n : r;
}

/* Keras's map_coordinates: an index folded into 0..length-1; -1 where the fill value stands. */
static int64_t fold_index(kl_fill_mode fill, int64_t index, int64_t length)
{
    switch (fill) {
    case KL_FILL_WRAP:
        return modulo(index, length);
    case KL_FILL_REFLECT: {
        int64_t at = modulo(index < 0 ? -index : index, 2 * length);
        return at < length ? at : 2 * length - at - 1;
    }
    case KL_FILL_NEAREST:
        return index < 0 ? 0 : index < length ? index : length - 1;
    default:
        return index >= 0 && index < length ? index : -1;
    }
}

static double field_value(const warp_job *job, const void *field, int64_t at)
{
    return job->warp->pixels == KL_PIXELS_DOUBLE ? ((const double *)field)[at]
                                                 : (double)((const float *)field)[at];
}

/* Where a pixel is read from: up to four taps with weights. */
typedef struct taps {
    int count;
    int64_t at[4]; /* position in a plane, -1: outside */
    double weight[4];
} taps;

static taps find_taps(const kl_warp *w, double x, double y)
{
    const int64_t width = w->images.width, height = w->images.height;
    const double far = 1e9;
    x = x > -far ? x < far ? x : far : -far;
    y = y > -far ? y < far ? y : far : -far;
    double left = w->nearest ? rint(x) : floor(x), top = w->nearest ? rint(y) : floor(y);
    double right = w->nearest ? 0 : x - left, below = w->nearest ? 0 : y - top;
    taps t = {.count = w->nearest ? 1 : 4};
    for (int i = 0; i < t.count; i++) {
        int64_t tx = fold_index(w->fill, (int64_t)left + (i & 1), width);
        int64_t ty = fold_index(w->fill, (int64_t)top + (i >> 1), height);
        t.at[i] = tx < 0 || ty < 0 ? -1 : ty * width + tx;
        t.weight[i] = (i >> 1 ? below : 1 - below) * (i & 1 ? right : 1 - right);
    }
    return t;
}

static double element(const kl_warp *w, const char *in, int64_t at)
{
    if (at < 0)
        return w->fill_value;
    return w->pixels == KL_PIXELS_DOUBLE ? ((const double *)(const void *)in)[at]
                                         : (double)((const float *)(const void *)in)[at];
}

static void displace_chunk(void *arg, int64_t chunk)
{
    const warp_job *job = arg;
    const kl_warp *w = job->warp;
    const kl_images *s = &w->images;
    const int64_t plane = s->height * s->width, size = plane * s->channels;
    const int64_t pixel = s->channels_first ? 1 : s->channels;
    const int64_t channel = s->channels_first ? plane : 1;
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t r = kl_split_begin(job->split, chunk); r < end; r++) {
        int64_t image = r / s->height, row = r % s->height;
        const char *in = job->in + (size_t)(image * size) * input_size(w->pixels);
        char *out = job->out + (size_t)(image * size) * input_size(w->pixels);
        if (w->keep && w->keep[image]) {
            keep_row(w, row, in, out);
            continue;
        }
        for (int64_t x = 0; x < s->width; x++) {
            int64_t at = row * s->width + x;
            taps t = find_taps(w, (double)x + field_value(job, job->dx, image * plane + at),
                               (double)row + field_value(job, job->dy, image * plane + at));
            for (int64_t c = 0; c < s->channels; c++) {
                double sum = 0;
                for (int i = 0; i < t.count; i++)
                    sum += t.weight[i] *
                           element(w, in, t.at[i] < 0 ? -1 : t.at[i] * pixel + c * channel);
                if (w->pixels == KL_PIXELS_DOUBLE)
                    ((double *)(void *)out)[at * pixel + c * channel] = sum;
                else
                    ((float *)(void *)out)[at * pixel + c * channel] = (float)sum;
            }
        }
    }
}

void kl_displace_images(const kl_warp *warp, const void *in, const void *dx, const void *dy,
                        void *out)
{
    warp_job job = {warp, split_rows(&warp->images), in, out, dx, dy};
    kl_parallel_for(job.split.chunks, displace_chunk, &job);
}

/* ---- Mirroring ---- */

typedef struct flip_job {
    const kl_images *images;
    kl_split split;
    size_t element;
    const uint8_t *flips;
    const char *in;
    char *out;
} flip_job;

/* A run of pixels backwards; a constant size lets the copies be single moves. */
#define REVERSE(bytes)                                                                             \
    case bytes:                                                                                    \
        for (int64_t i = 0; i < count; i++)                                                        \
            memcpy(out + i * (bytes), in + (count - 1 - i) * (bytes), bytes);                      \
        break;

static void reverse_pixels(const char *in, char *out, int64_t count, size_t bytes)
{
    switch (bytes) {
        REVERSE(1)
        REVERSE(2)
        REVERSE(3)
        REVERSE(4)
        REVERSE(8)
        REVERSE(12)
        REVERSE(16)
    default:
        for (int64_t i = 0; i < count; i++)
            memcpy(out + (size_t)i * bytes, in + (size_t)(count - 1 - i) * bytes, bytes);
    }
}

static void flip_chunk(void *arg, int64_t chunk)
{
    const flip_job *job = arg;
    const kl_images *s = job->images;
    const int64_t planes = s->channels_first ? s->channels : 1;
    const size_t pixel = job->element * (size_t)(s->channels_first ? 1 : s->channels);
    const size_t line = pixel * (size_t)s->width;
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t r = kl_split_begin(job->split, chunk); r < end; r++) {
        int64_t image = r / s->height, row = r % s->height;
        uint8_t flip = job->flips[image];
        int64_t from = flip & 2 ? s->height - 1 - row : row;
        for (int64_t p = 0; p < planes; p++) {
            int64_t plane = (image * planes + p) * s->height;
            const char *in = job->in + (size_t)(plane + from) * line;
            char *out = job->out + (size_t)(plane + row) * line;
            if (flip & 1)
                reverse_pixels(in, out, s->width, pixel);
            else
                memcpy(out, in, line);
        }
    }
}

void kl_flip_images(const kl_images *images, size_t element, const uint8_t *flips, const void *in,
                    void *out)
{
    flip_job job = {images, split_rows(images), element, flips, in, out};
    kl_parallel_for(job.split.chunks, flip_chunk, &job);
}
