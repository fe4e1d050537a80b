#include "kernels/spectrum.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "kernels/spectrum_table.h"

static const double pi = 3.14159265358979323846;

static const kl_spectrum_table *table(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return &kl_spectrum_avx512;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return &kl_spectrum_avx2;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_spectrum_neon;
#endif
    default:
        return &kl_spectrum_portable;
    }
}

static void put(void *array, bool wide, int64_t i, double value)
{
    if (wide)
        ((double *)array)[i] = value;
    else
        ((float *)array)[i] = (float)value;
}

static void find_factors(kl_spectrum *s)
{
    int64_t n = s->points;
    while (n % 4 == 0) {
        s->factors[s->factor_count++] = 4;
        n /= 4;
    }
    for (int64_t p = 2; n > 1; p++)
        while (n % p == 0 || p * p > n) {
            if (p * p > n)
                p = n;
            s->factors[s->factor_count++] = (int)p;
            n /= p;
            if (n == 1)
                break;
        }
}

kl_spectrum *kl_spectrum_new(int64_t length, const double *window, bool wide)
{
    kl_spectrum *s = kl_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    size_t size = wide ? sizeof(double) : sizeof(float);
    s->length = length;
    s->half = length % 2 == 0;
    s->points = s->half ? length / 2 : length;
    s->bins = length / 2 + 1;
    s->wide = wide;
    find_factors(s);
    s->window = kl_malloc_array((size_t)length, size);
    s->cosines = kl_malloc_array((size_t)s->points, size);
    s->sines = kl_malloc_array((size_t)s->points, size);
    s->unpack_re = kl_malloc_array((size_t)s->bins, size);
    s->unpack_im = kl_malloc_array((size_t)s->bins, size);
    if (!s->window || !s->cosines || !s->sines || !s->unpack_re || !s->unpack_im) {
        kl_spectrum_free(s);
        return NULL;
    }
    for (int64_t i = 0; i < length; i++)
        put(s->window, wide, i, window[i]);
    for (int64_t i = 0; i < s->points; i++) {
        double angle = -2 * pi * (double)i / (double)s->points;
        put(s->cosines, wide, i, cos(angle));
        put(s->sines, wide, i, sin(angle));
    }
    for (int64_t i = 0; i < s->bins; i++) {
        double angle = -2 * pi * (double)i / (double)length;
        put(s->unpack_re, wide, i, cos(angle));
        put(s->unpack_im, wide, i, sin(angle));
    }
    return s;
}

void kl_spectrum_free(kl_spectrum *s)
{
    if (!s)
        return;
    kl_free(s->window);
    kl_free(s->cosines);
    kl_free(s->sines);
    kl_free(s->unpack_re);
    kl_free(s->unpack_im);
    kl_free(s);
}

typedef struct bands_job {
    const kl_band_job *job;
    kl_split split;
    int64_t groups; /* of lanes, a signal */
    size_t element, room;
    char *work;
    const char *signals;
    char *out;
} bands_job;

static void bands_chunk(void *arg, int64_t chunk)
{
    const bands_job *j = arg;
    const kl_band_job *job = j->job;
    char *work = j->work + (size_t)chunk * j->room;
    int64_t end = kl_split_begin(j->split, chunk + 1);
    for (int64_t i = kl_split_begin(j->split, chunk); i < end; i++) {
        int64_t signal = i / j->groups, group = i % j->groups;
        const void *in = j->signals + (size_t)(signal * job->samples) * j->element;
        void *out = j->out + (size_t)(signal * job->bands->count * job->frames) * j->element;
        (job->spectrum->wide ? table()->bands_double
                             : table()->bands_float)(job, in, group * KL_SPECTRUM_LANES, work, out);
    }
}

bool kl_spectrum_bands(const kl_band_job *job, const void *signals, void *out)
{
    const kl_spectrum *s = job->spectrum;
    bands_job j = {.job = job,
                   .groups = (job->frames + KL_SPECTRUM_LANES - 1) / KL_SPECTRUM_LANES,
                   .element = s->wide ? sizeof(double) : sizeof(float),
                   .signals = signals,
                   .out = out};
    j.split = kl_split_make(job->signals * j.groups, 1 + 4096 / s->length);
    j.room = 4 * (size_t)(s->points + 1) * KL_SPECTRUM_LANES * j.element;
    j.work = kl_block_alloc((size_t)j.split.chunks * j.room);
    if (!j.work)
        return false;
    kl_parallel_for(j.split.chunks, bands_chunk, &j);
    kl_block_free(j.work);
    return true;
}
