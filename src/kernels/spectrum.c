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

/* ---- Windows ---- */

/* a0 - a1 cos t + a2 cos 2t - ..., t from 0 to 2 pi. */
static double cosine_sum(double place, const double *a)
{
    double sum = 0;
    for (int k = 0; k < 5; k++)
        sum += (k % 2 ? -1 : 1) * a[k] * cos(2 * pi * k * place);
    return sum;
}

static double parzen(double distance)
{
    double x = fabs(distance);
    return x <= 0.5 ? 1 - 6 * x * x * (1 - x) : 2 * (1 - x) * (1 - x) * (1 - x);
}

/* The window's value at sample i of m. */
typedef double shape_fn(int64_t i, int64_t m);

static double boxcar(int64_t i, int64_t m)
{
    return 1;
}

static double bartlett(int64_t i, int64_t m)
{
    double x = 2 * (double)i / (double)(m - 1);
    return x <= 1 ? x : 2 - x;
}

static double triang(int64_t i, int64_t m)
{
    double n = (double)(i < (m + 1) / 2 ? i + 1 : m - i);
    return m % 2 ? 2 * n / ((double)m + 1) : (2 * n - 1) / (double)m;
}

static double parzen_at(int64_t i, int64_t m)
{
    return parzen(((double)i - (double)(m - 1) / 2) / ((double)m / 2));
}

static double bohman(int64_t i, int64_t m)
{
    double x = fabs(2 * (double)i / (double)(m - 1) - 1);
    return i == 0 || i == m - 1 ? 0 : (1 - x) * cos(pi * x) + sin(pi * x) / pi;
}

static double cosine(int64_t i, int64_t m)
{
    return sin(pi / (double)m * ((double)i + 0.5));
}

static double barthann(int64_t i, int64_t m)
{
    double x = fabs((double)i / (double)(m - 1) - 0.5);
    return 0.62 - 0.48 * x + 0.38 * cos(2 * pi * x);
}

static double lanczos(int64_t i, int64_t m)
{
    double x = 2 * (double)i / (double)(m - 1) - 1;
    return x == 0 ? 1 : sin(pi * x) / (pi * x);
}

static double tukey(int64_t i, int64_t m)
{
    double width = floor(0.5 * (double)(m - 1) / 2), n = (double)i, last = (double)(m - 1);
    if (n <= width)
        return 0.5 * (1 + cos(pi * (-1 + 2 * n / 0.5 / last)));
    if (n < last - width)
        return 1;
    return 0.5 * (1 + cos(pi * (-2 / 0.5 + 1 + 2 * n / 0.5 / last)));
}

static const struct {
    const char *names; /* "a|b" */
    shape_fn *shape;   /* NULL: a sum of cosines */
    double a[5];
} windows[] = {
    {"hann|han", NULL, {0.5, 0.5}},
    {"hamming|hamm|ham", NULL, {0.54, 0.46}},
    {"blackman|black|blk", NULL, {0.42, 0.5, 0.08}},
    {"nuttall|nutl|nut", NULL, {0.3635819, 0.4891775, 0.1365995, 0.0106411}},
    {"blackmanharris|blackharr|bkh", NULL, {0.35875, 0.48829, 0.14128, 0.01168}},
    {"flattop|flat|flt", NULL, {0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368}},
    {"boxcar|box|ones|rect|rectangular", boxcar, {0}},
    {"bartlett|bart|brt", bartlett, {0}},
    {"triang|triangle|tri", triang, {0}},
    {"parzen|parz|par", parzen_at, {0}},
    {"bohman|bman|bmn", bohman, {0}},
    {"cosine|halfcosine", cosine, {0}},
    {"barthann|brthan|bth", barthann, {0}},
    {"lanczos|sinc", lanczos, {0}},
    {"tukey|tuk", tukey, {0}},
};

static bool is_among(const char *names, const char *name)
{
    size_t length = strlen(name);
    while (*names) {
        size_t next = strcspn(names, "|");
        if (next == length && !memcmp(names, name, length))
            return true;
        names += next + (names[next] == '|');
    }
    return false;
}

bool kl_window_values(const char *name, int64_t count, bool periodic, double *out)
{
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
        if (!is_among(windows[w].names, name))
            continue;
        /* A periodic window is a longer one without its last value. */
        int64_t m = periodic ? count + 1 : count;
        for (int64_t i = 0; i < count; i++)
            out[i] = count == 1         ? 1
                     : windows[w].shape ? windows[w].shape(i, m)
                                        : cosine_sum((double)i / (double)(m - 1), windows[w].a);
        return true;
    }
    return false;
}

/* ---- Plans ---- */

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
