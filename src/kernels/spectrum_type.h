/* One type's transforms: included by spectrum_impl.h with T, TYPED, SQRT and POW. */

typedef T TYPED(vec) __attribute__((vector_size(LANES * sizeof(T)), aligned(64)));
#define VEC TYPED(vec)

/* A pass of radix 2 over n points at a stride. */
static void TYPED(pass2)(int64_t n, int64_t stride, int64_t turn, const T *cosines, const T *sines,
                         const VEC *re, const VEC *im, VEC *to_re, VEC *to_im)
{
    const int64_t m = n / 2, far = m * stride;
    for (int64_t q = 0; q < m; q++) {
        const T c = cosines[q * turn], s = sines[q * turn];
        for (int64_t r = 0; r < stride; r++) {
            const int64_t a = r + stride * q, o = r + stride * 2 * q;
            VEC ar = re[a], ai = im[a], br = re[a + far], bi = im[a + far];
            VEC dr = ar - br, di = ai - bi;
            to_re[o] = ar + br;
            to_im[o] = ai + bi;
            to_re[o + stride] = dr * c - di * s;
            to_im[o + stride] = dr * s + di * c;
        }
    }
}

static void TYPED(pass4)(int64_t n, int64_t stride, int64_t turn, const T *cosines, const T *sines,
                         const VEC *re, const VEC *im, VEC *to_re, VEC *to_im)
{
    const int64_t m = n / 4, far = m * stride;
    for (int64_t q = 0; q < m; q++) {
        const T c1 = cosines[q * turn], s1 = sines[q * turn];
        const T c2 = cosines[2 * q * turn], s2 = sines[2 * q * turn];
        const T c3 = cosines[3 * q * turn], s3 = sines[3 * q * turn];
        for (int64_t r = 0; r < stride; r++) {
            const int64_t a = r + stride * q, o = r + stride * 4 * q;
            VEC ar = re[a], ai = im[a], br = re[a + far], bi = im[a + far];
            VEC cr = re[a + 2 * far], ci = im[a + 2 * far];
            VEC dr = re[a + 3 * far], di = im[a + 3 * far];
            VEC pr = ar + cr, pi = ai + ci, mr = ar - cr, mi = ai - ci;
            VEC qr = br + dr, qi = bi + di, tr = bi - di, ti = dr - br; /* -i (b - d) */
            VEC xr = mr + tr, xi = mi + ti, yr = pr - qr, yi = pi - qi, zr = mr - tr, zi = mi - ti;
            to_re[o] = pr + qr;
            to_im[o] = pi + qi;
            to_re[o + stride] = xr * c1 - xi * s1;
            to_im[o + stride] = xr * s1 + xi * c1;
            to_re[o + 2 * stride] = yr * c2 - yi * s2;
            to_im[o + 2 * stride] = yr * s2 + yi * c2;
            to_re[o + 3 * stride] = zr * c3 - zi * s3;
            to_im[o + 3 * stride] = zr * s3 + zi * c3;
        }
    }
}

/* Any radix, by its definition. */
static void TYPED(pass_any)(int64_t n, int64_t stride, int64_t turn, int64_t points, int radix,
                            const T *cosines, const T *sines, const VEC *re, const VEC *im,
                            VEC *to_re, VEC *to_im)
{
    const int64_t m = n / radix, part = points / radix;
    for (int64_t q = 0; q < m; q++)
        for (int j = 0; j < radix; j++) {
            const int64_t spin = q * j % n * turn;
            for (int64_t r = 0; r < stride; r++) {
                VEC sr = {0}, si = {0};
                for (int k = 0; k < radix; k++) {
                    const int64_t a = r + stride * (q + m * k);
                    const int64_t w = (int64_t)j * k % radix * part;
                    sr += re[a] * cosines[w] - im[a] * sines[w];
                    si += re[a] * sines[w] + im[a] * cosines[w];
                }
                const int64_t o = r + stride * (radix * q + j);
                to_re[o] = sr * cosines[spin] - si * sines[spin];
                to_im[o] = sr * sines[spin] + si * cosines[spin];
            }
        }
}

/* Transforms re, im; the other pair is scratch. Whether the result is in the other pair. */
static bool TYPED(transform)(const kl_spectrum *s, VEC *re, VEC *im, VEC *re2, VEC *im2)
{
    const T *cosines = s->cosines, *sines = s->sines;
    int64_t n = s->points, stride = 1;
    bool swapped = false;
    for (int f = 0; f < s->factor_count; f++) {
        const int radix = s->factors[f];
        const VEC *fr = swapped ? re2 : re, *fi = swapped ? im2 : im;
        VEC *tr = swapped ? re : re2, *ti = swapped ? im : im2;
        if (radix == 4)
            TYPED(pass4)(n, stride, stride, cosines, sines, fr, fi, tr, ti);
        else if (radix == 2)
            TYPED(pass2)(n, stride, stride, cosines, sines, fr, fi, tr, ti);
        else
            TYPED(pass_any)(n, stride, stride, s->points, radix, cosines, sines, fr, fi, tr, ti);
        n /= radix;
        stride *= radix;
        swapped = !swapped;
    }
    return swapped;
}

/* Sample `at` of a signal that is mirrored at its ends (the end itself once). */
static inline T TYPED(sample)(const T *x, int64_t samples, int64_t at)
{
    at = at < 0 ? -at : at;
    return x[at < samples ? at : 2 * (samples - 1) - at];
}

/* Windowed samples, a frame a lane; pairs of samples are one complex point where `half`. */
static void TYPED(load)(const kl_band_job *job, const T *x, int64_t first, VEC *re, VEC *im)
{
    const kl_spectrum *s = job->spectrum;
    const T *window = s->window;
    for (int lane = 0; lane < LANES; lane++) {
        int64_t frame = first + lane < job->frames ? first + lane : job->frames - 1;
        int64_t at = frame * job->step - job->before;
        T *to_re = (T *)re + lane, *to_im = (T *)im + lane;
        const bool inside = at >= 0 && at + s->length <= job->samples;
        for (int64_t i = 0; i < s->points; i++) {
            int64_t k = s->half ? 2 * i : i;
            T a = inside ? x[at + k] : TYPED(sample)(x, job->samples, at + k);
            T b = 0;
            if (s->half)
                b = inside ? x[at + k + 1] : TYPED(sample)(x, job->samples, at + k + 1);
            to_re[i * LANES] = a * window[k];
            to_im[i * LANES] = s->half ? b * window[k + 1] : 0;
        }
    }
}

/* The real signal's spectrum from that of its pairs, and its squared magnitudes into `out`. */
static void TYPED(squares)(const kl_spectrum *s, const VEC *re, const VEC *im, VEC *out)
{
    const T *cosines = s->unpack_re, *sines = s->unpack_im;
    const int64_t n = s->points;
    for (int64_t k = 0; k < s->bins; k++) {
        VEC xr, xi;
        if (s->half) {
            const int64_t a = k == n ? 0 : k, b = k == 0 ? 0 : n - k;
            VEC er = (re[a] + re[b]) * (T)0.5, ei = (im[a] - im[b]) * (T)0.5;
            VEC or = (im[a] + im[b]) * (T)0.5, oi = (re[b] - re[a]) * (T)0.5;
            xr = er + or *cosines[k] - oi * sines[k];
            xi = ei + or *sines[k] + oi * cosines[k];
        } else {
            xr = re[k];
            xi = im[k];
        }
        out[k] = xr * xr + xi * xi;
    }
}

static void TYPED(bands)(const kl_band_job *job, const void *signal, int64_t first, void *work,
                         void *result)
{
    const kl_spectrum *s = job->spectrum;
    const kl_bands *b = job->bands;
    VEC *re = work, *im = re + s->points + 1, *re2 = im + s->points + 1, *im2 = re2 + s->points + 1;
    TYPED(load)(job, signal, first, re, im);
    bool swapped = TYPED(transform)(s, re, im, re2, im2);
    /* The scratch pair is two arrays on end: room for all bins. */
    VEC *power = swapped ? re : re2;
    TYPED(squares)(s, swapped ? re2 : re, swapped ? im2 : im, power);
    if (job->power != 2) {
        T *each = (T *)power;
        for (int64_t i = 0; i < s->bins * LANES; i++)
            each[i] = job->power == 1 ? SQRT(each[i]) : POW(SQRT(each[i]), (T)job->power);
    }
    const int64_t left = job->frames - first;
    const size_t bytes = (size_t)(left < LANES ? left : LANES) * sizeof(T);
    for (int64_t band = 0; band < b->count; band++) {
        VEC sum = {0};
        const double *weights = b->weights + b->first[band] - b->low[band];
        for (int64_t k = b->low[band]; k < b->high[band]; k++)
            sum += power[k] * (T)weights[k];
        memcpy((T *)result + band * job->frames + first, &sum, bytes);
    }
}

#undef VEC
#undef T
#undef TYPED
#undef SQRT
#undef POW
