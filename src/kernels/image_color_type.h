/* The loops for one type: included by image_color.c with T and TYPED. */

static void TYPED(adjust)(const color_job *job, int64_t image, int64_t from, int64_t to)
{
    const kl_images *s = job->images;
    const int64_t plane = s->height * s->width;
    const int64_t pixel = s->channels_first ? 1 : 3, channel = s->channels_first ? plane : 1;
    const T *in = (const T *)job->in + image * plane * 3;
    T *out = (T *)job->out + image * plane * 3;
    const T low = (T)job->range[0], span = (T)job->range[1] - (T)job->range[0];
    const bool scaled = job->hue && (job->range[0] != 0 || job->range[1] != 1);
    const T add = job->hue ? (T)job->hue[image] : 0;
    const T times = job->saturation ? (T)job->saturation[image] : 1;
    for (int64_t i = from; i < to; i++) {
        T r = in[i * pixel], g = in[i * pixel + channel], b = in[i * pixel + 2 * channel];
        if (scaled) {
            r = (r - low) / span;
            g = (g - low) / span;
            b = (b - low) / span;
        }
        T v = r > g ? r : g, least = r < g ? r : g;
        v = v > b ? v : b;
        least = least < b ? least : b;
        T range = v - least, s1 = v > 0 ? range / v : 0;
        T norm = 1 / range * ((T)1 / (T)6);
        T h = r == v   ? norm * (g - b)
              : g == v ? norm * (b - r) + (T)2 / (T)6
                       : norm * (r - g) + (T)4 / (T)6;
        h = range > 0 ? h : 0;
        h = h < 0 ? h + 1 : h;
        if (job->hue) {
            h += add;
            h = h > 1 ? h - 1 : h;
            h = h < 0 ? h + 1 : h;
        } else {
            s1 = TYPED(clip)(s1 * times, low, (T)job->range[1]);
        }
        T dh = h * 6, keep = 1 - s1;
        T d3 = dh - 3, d2 = dh - 2, d4 = dh - 4;
        T dr = TYPED(clip)((d3 < 0 ? -d3 : d3) - 1, 0, 1);
        T dg = TYPED(clip)(2 - (d2 < 0 ? -d2 : d2), 0, 1);
        T db = TYPED(clip)(2 - (d4 < 0 ? -d4 : d4), 0, 1);
        r = (keep + s1 * dr) * v;
        g = (keep + s1 * dg) * v;
        b = (keep + s1 * db) * v;
        if (job->hue) {
            r = TYPED(clip)(r, 0, 1);
            g = TYPED(clip)(g, 0, 1);
            b = TYPED(clip)(b, 0, 1);
        }
        if (scaled) {
            r = r * span + low;
            g = g * span + low;
            b = b * span + low;
        }
        out[i * pixel] = r;
        out[i * pixel + channel] = g;
        out[i * pixel + 2 * channel] = b;
    }
}

static void TYPED(posterize)(const color_job *job, int64_t image, int64_t from, int64_t to)
{
    const kl_images *s = job->images;
    const int64_t size = s->height * s->width * s->channels;
    const T *in = (const T *)job->in + image * size;
    T *out = (T *)job->out + image * size;
    const unsigned mask = 0xFFU << job->shifts[image] & 0xFFU;
    for (int64_t i = from; i < to; i++) {
        T value = TYPED(clip)(in[i], (T)INT32_MIN, (T)(INT32_MAX / 2));
        out[i] = (T)((unsigned)(int32_t)value & mask);
    }
}

/* The bin of a value, as Keras's histogram has it: in float. */
static void TYPED(count)(const color_job *job, int64_t channel, int64_t bins, int64_t *counts)
{
    const kl_images *s = job->images;
    const int64_t plane = s->height * s->width;
    for (int64_t image = 0; image < s->batch; image++) {
        const T *in = (const T *)job->in + image * plane * s->channels +
                      channel * (s->channels_first ? plane : 1);
        const int64_t step = s->channels_first ? 1 : s->channels;
        for (int64_t i = 0; i < plane; i++) {
            float at = (float)in[i * step] * (float)(bins - 1) / 255.F;
            at = at > 0 ? at : 0;
            counts[at < (float)(bins - 1) ? (int64_t)at : bins - 1]++;
        }
    }
}

static void TYPED(look_up)(const color_job *job, int64_t channel, int64_t bins, const double *table)
{
    const kl_images *s = job->images;
    const int64_t plane = s->height * s->width;
    for (int64_t image = 0; image < s->batch; image++) {
        const int64_t first =
            image * plane * s->channels + channel * (s->channels_first ? plane : 1);
        const int64_t step = s->channels_first ? 1 : s->channels;
        const T *in = (const T *)job->in + first;
        T *out = (T *)job->out + first;
        for (int64_t i = 0; i < plane; i++) {
            T at = in[i * step] / (T)255 * (T)(bins - 1);
            out[i * step] = (T)table[(int64_t)TYPED(clip)(at, 0, (T)(bins - 1))];
        }
    }
}

static void TYPED(copy_channel)(const color_job *job, int64_t channel)
{
    const kl_images *s = job->images;
    const int64_t plane = s->height * s->width;
    for (int64_t image = 0; image < s->batch; image++) {
        const int64_t first =
            image * plane * s->channels + channel * (s->channels_first ? plane : 1);
        const int64_t step = s->channels_first ? 1 : s->channels;
        for (int64_t i = 0; i < plane; i++)
            ((T *)job->out)[first + i * step] = ((const T *)job->in)[first + i * step];
    }
}

#undef T
#undef TYPED
