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

#define DEPTHWISE(pixels)                                                                          \
    do {                                                                                           \
        int64_t c = 0;                                                                             \
        for (; c + 2 * LANES <= t->cols; c += 2 * LANES)                                           \
            NAME(depthwise_tile)(t, pixel, c, pixels, 2, 0);                                       \
        for (; c + LANES <= t->cols; c += LANES)                                                   \
            NAME(depthwise_tile)(t, pixel, c, pixels, 1, 0);                                       \
        if (c < t->cols)                                                                           \
            NAME(depthwise_tile)(t, pixel, c, pixels, 1, t->cols - c);                             \
    } while (0)

enum { NAME(AHEAD) = 16 }; /* pixels */

static void NAME(depthwise)(const kl_tile *t, int64_t pixels)
{
    int64_t pixel = 0;
    for (; pixel + 4 <= pixels; pixel += 4) {
        /* The last tap is the first to reach new rows of the image. */
        for (int64_t p = pixel + NAME(AHEAD); t->outer && p < pixel + NAME(AHEAD) + 4 && p < pixels;
             p++) {
            const T *next = (const T *)t->a + t->a_rows[p] + t->a_outer[t->outer - 1];
            for (int64_t c = 0; c < t->cols; c += 64 / (int64_t)sizeof(T))
                __builtin_prefetch(next + c, 0, 3);
        }
        DEPTHWISE(4);
    }
    for (; pixel < pixels; pixel++)
        DEPTHWISE(1);
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
