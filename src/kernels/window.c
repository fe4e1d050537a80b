#include <math.h>
#include <string.h>

#include "kernels/spectrum.h"

static const double pi = 3.14159265358979323846;

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
