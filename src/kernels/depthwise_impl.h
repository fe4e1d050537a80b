/* The depthwise kernels of one instruction set; part of gemm_impl.h, with its macros. */

/* `vectors` vectors of channels of `pixels` pixels, from channel `from` on; `part` lanes of the
   one vector, or all if 0. */
__attribute__((always_inline)) static inline void NAME(depthwise_tile)(const kl_tile *t,
                                                                       int64_t pixel, int64_t from,
                                                                       const int pixels,
                                                                       const int vectors,
                                                                       const int64_t part)
{
    V acc[8];
    const T *at[4];
    const T *w = (const T *)t->b + from, *bias = t->bias;
    int64_t outer = t->outer;
    KL_UNROLL
    for (int p = 0; p < pixels; p++)
        at[p] = (const T *)t->a + t->a_rows[pixel + p] + from;
    KL_UNROLL
    for (int v = 0; v < vectors; v++) {
        V start = {0};
        if (bias)
            start = part ? NAME(load_part)(bias + from, part) : LOAD(bias + from + v * LANES);
        KL_UNROLL
        for (int p = 0; p < pixels; p++)
            acc[p * vectors + v] = start;
    }
    for (int64_t o = 0; o < outer; o++) {
        int64_t a = t->a_outer[o], b = t->b_outer[o];
        KL_UNROLL
        for (int v = 0; v < vectors; v++) {
            V y = part ? NAME(load_part)(w + b, part) : LOAD(w + b + v * LANES);
            KL_UNROLL
            for (int p = 0; p < pixels; p++)
                acc[p * vectors + v] +=
                    y * (part ? NAME(load_part)(at[p] + a, part) : LOAD(at[p] + a + v * LANES));
        }
    }
    KL_UNROLL
    for (int p = 0; p < pixels; p++) {
        T *c = (T *)t->c + t->c_rows[pixel + p] + from;
        KL_UNROLL
        for (int v = 0; v < vectors; v++) {
            V sum = acc[p * vectors + v];
            if (t->accumulate)
                sum += part ? NAME(load_part)(c, part) : LOAD(c + v * LANES);
            if (t->relu)
                sum = NAME(relu)(sum);
            if (part)
                NAME(store_part)(c, sum, part);
            else
                STORE(c + v * LANES, sum);
        }
    }
}

enum { NAME(AHEAD) = 16, NAME(ALONG) = 4 }; /* pixels */

#ifndef LEAN
/* ALONG pixels of a row, `stride` taps apart, two vectors of channels from `from` on, under rows of
   `taps` taps: a place of the image is read once for all pixels that see it. Taps are added in the
   same order as by depthwise_tile. */
__attribute__((always_inline)) static inline void NAME(depthwise_along)(const kl_tile *t,
                                                                        int64_t pixel, int64_t from,
                                                                        const int stride,
                                                                        const int taps)
{
    V acc[NAME(ALONG)][2], w[8][2];
    const T *a = (const T *)t->a + t->a_rows[pixel] + from, *b = (const T *)t->b + from;
    int64_t step = (t->a_rows[pixel + 1] - t->a_rows[pixel]) / stride;
    KL_UNROLL
    for (int v = 0; v < 2; v++) {
        V start = t->bias ? LOAD((const T *)t->bias + from + v * LANES) : (V){0};
        KL_UNROLL
        for (int p = 0; p < NAME(ALONG); p++)
            acc[p][v] = start;
    }
    for (int64_t o = 0; o < t->outer; o += taps) {
        const T *at = a + t->a_outer[o];
        KL_UNROLL
        for (int k = 0; k < 2 * taps; k++)
            w[k / 2][k % 2] = LOAD(b + t->b_outer[o + k / 2] + k % 2 * LANES);
        KL_UNROLL
        for (int j = 0; j < (NAME(ALONG) - 1) * stride + taps; j++, at += step) {
            KL_UNROLL
            for (int v = 0; v < 2; v++) {
                V x = LOAD(at + v * LANES);
                KL_UNROLL
                for (int k = 0; k < taps; k++)
                    if (j >= k && (j - k) % stride == 0 && (j - k) / stride < NAME(ALONG))
                        acc[(j - k) / stride][v] += w[k][v] * x;
            }
        }
    }
    KL_UNROLL
    for (int p = 0; p < NAME(ALONG); p++) {
        T *c = (T *)t->c + t->c_rows[pixel + p] + from;
        KL_UNROLL
        for (int v = 0; v < 2; v++)
            STORE(c + v * LANES, t->relu ? NAME(relu)(acc[p][v]) : acc[p][v]);
    }
}

#define ALONG(stride, taps)                                                                        \
    case taps * 4 + stride:                                                                        \
        for (; c + 2 * LANES <= t->cols; c += 2 * LANES)                                           \
            NAME(depthwise_along)(t, pixel, c, stride, taps);                                      \
        break

/* Returns how many channels it has done. */
static int64_t NAME(depthwise_row)(const kl_tile *t, int64_t pixel, int64_t stride)
{
    int64_t c = 0;
    switch (t->k * 4 + stride) {
        ALONG(1, 1);
        ALONG(1, 2);
        ALONG(1, 3);
        ALONG(1, 5);
        ALONG(2, 3);
        ALONG(2, 5);
    default:
        break;
    }
    return c;
}

/* Stride of the ALONG pixels from `pixel` on in taps, or 0 if they lie otherwise. */
static int64_t NAME(stride_of)(const kl_tile *t, int64_t pixel)
{
    if (!t->k || t->accumulate || (t->k > 1 && t->outer < 2))
        return 0;
    int64_t step = t->a_rows[pixel + 1] - t->a_rows[pixel];
    int64_t tap = t->k > 1 ? t->a_outer[1] - t->a_outer[0] : step;
    for (int i = 2; i < NAME(ALONG); i++)
        if (t->a_rows[pixel + i] - t->a_rows[pixel + i - 1] != step)
            return 0;
    return step == tap ? 1 : step == 2 * tap ? 2 : 0;
}
#endif

#define DEPTHWISE(pixels, first)                                                                   \
    do {                                                                                           \
        int64_t c = (first);                                                                       \
        for (; c + 2 * LANES <= t->cols; c += 2 * LANES)                                           \
            NAME(depthwise_tile)(t, pixel, c, pixels, 2, 0);                                       \
        for (; c + LANES <= t->cols; c += LANES)                                                   \
            NAME(depthwise_tile)(t, pixel, c, pixels, 1, 0);                                       \
        if (c < t->cols)                                                                           \
            NAME(depthwise_tile)(t, pixel, c, pixels, 1, t->cols - c);                             \
    } while (0)

/* Brings near what pixels [from, to) are the first to read: the last tap's, or with a stride of 2
   the two last rows of taps, and all places from one pixel to the next. */
static inline void NAME(depthwise_ahead)(const kl_tile *t, int64_t from, int64_t to, int64_t stride)
{
    int64_t rows = stride == 2 && t->outer > t->k ? 2 : t->outer > 0;
    int64_t length = stride == 2 ? 2 * t->cols : t->cols;
    for (int64_t p = from; p < to; p++)
        for (int64_t r = 0; r < rows; r++) {
            const T *next = (const T *)t->a + t->a_rows[p] + t->a_outer[t->outer - 1 - r * t->k];
            for (int64_t c = 0; c < length; c += 64 / (int64_t)sizeof(T))
                __builtin_prefetch(next + c, 0, 3);
        }
}

static void NAME(depthwise)(const kl_tile *t, int64_t pixels)
{
    int64_t pixel = 0;
    for (; pixel + 4 <= pixels; pixel += 4) {
        int64_t done = 0, stride = 1, ahead = pixel + NAME(AHEAD);
#ifndef LEAN
        stride = NAME(stride_of)(t, pixel);
        done = NAME(depthwise_row)(t, pixel, stride);
#endif
        NAME(depthwise_ahead)(t, ahead, ahead + 4 < pixels ? ahead + 4 : pixels, stride);
        DEPTHWISE(4, done);
    }
    for (; pixel < pixels; pixel++)
        DEPTHWISE(1, 0);
}

/* The sums of `taps` taps for one vector of channels. */
__attribute__((always_inline)) static inline void NAME(depthwise_sums)(const kl_tile *t,
                                                                       int64_t tap, int64_t from,
                                                                       const int taps,
                                                                       const int64_t part)
{
    V acc[4];
    int64_t rows[4];
    KL_UNROLL
    for (int r = 0; r < taps; r++) {
        acc[r] = (V){0};
        rows[r] = t->a_rows[tap + r];
    }
    for (int64_t o = 0; o < t->outer; o++) {
        const T *a = (const T *)t->a + t->a_outer[o] + from;
        const T *b = (const T *)t->b + t->b_outer[o] + from;
        int64_t a_col = t->a_col, b_row = t->b_row;
        for (int64_t j = t->k; j > 0; j--, a += a_col, b += b_row) {
            V y = part ? NAME(load_part)(b, part) : LOAD(b);
            KL_UNROLL
            for (int r = 0; r < taps; r++)
                acc[r] += y * (part ? NAME(load_part)(a + rows[r], part) : LOAD(a + rows[r]));
        }
    }
    KL_UNROLL
    for (int r = 0; r < taps; r++) {
        T *c = (T *)t->c + t->c_rows[tap + r] + from;
        if (part) {
            if (t->accumulate)
                acc[r] += NAME(load_part)(c, part);
            NAME(store_part)(c, acc[r], part);
        } else {
            if (t->accumulate)
                acc[r] += LOAD(c);
            STORE(c, acc[r]);
        }
    }
}

#define DEPTHWISE_SUMS(taps)                                                                       \
    case taps:                                                                                     \
        if (part)                                                                                  \
            NAME(depthwise_sums)(t, tap, c, taps, part);                                           \
        else                                                                                       \
            NAME(depthwise_sums)(t, tap, c, taps, 0);                                              \
        break

static void NAME(depthwise_grad)(const kl_tile *t, int64_t taps)
{
    for (int64_t c = 0; c < t->cols; c += LANES) {
        int64_t part = t->cols - c < LANES ? t->cols - c : 0;
        int64_t steps = (taps + 3) / 4, tap = 0;
        for (int64_t i = 0; i < steps; i++) {
            int64_t count = taps / steps + (i < taps % steps);
            switch (count) {
                DEPTHWISE_SUMS(1);
                DEPTHWISE_SUMS(2);
                DEPTHWISE_SUMS(3);
                DEPTHWISE_SUMS(4);
            default:
                break;
            }
            tap += count;
        }
    }
}

#undef DEPTHWISE
#undef DEPTHWISE_SUMS
#undef ALONG
