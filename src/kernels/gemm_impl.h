/*
 * The microkernels of one instruction set and element type. Set before inclusion: T, LANES,
 * NAME(x), the tile shapes by SHAPES(X) as X(rows, vectors) and VECTORS and ROWS of kl_tile_set;
 * optionally LOAD_PART(p, n) and STORE_PART(p, v, n) for the first n lanes of a vector.
 */

typedef T NAME(vec) __attribute__((vector_size(LANES * sizeof(T))));
typedef T NAME(uvec) __attribute__((vector_size(LANES * sizeof(T)), aligned(sizeof(T)), may_alias));
#define V           NAME(vec)
#define LOAD(p)     ((V) * (const NAME(uvec) *)(p))
#define STORE(p, v) (*(NAME(uvec) *)(p) = (v))

#ifdef LOAD_PART
#define PART_CALL static inline
#else
#define PART_CALL __attribute__((noinline)) static
#endif

PART_CALL V NAME(load_part)(const T *p, int64_t n)
{
#ifdef LOAD_PART
    return LOAD_PART(p, n);
#else
    T lanes[LANES] = {0};
    for (int64_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return LOAD(lanes);
#endif
}

PART_CALL void NAME(store_part)(T *p, V v, int64_t n)
{
#ifdef STORE_PART
    STORE_PART(p, v, n);
#else
    T lanes[LANES];
    STORE(lanes, v);
    for (int64_t i = 0; i < n; i++)
        p[i] = lanes[i];
#endif
}

static inline V NAME(relu)(V v)
{
    return (V)((__typeof__(v < 0))v & ~(v < 0));
}

/* Adds bias and C and stores: the way for tiles whose last vector is cut to `part` lanes. */
__attribute__((noinline)) static void NAME(finish_part)(const kl_tile *t, const V *acc, int rows,
                                                        int vectors, int64_t part)
{
    const T *bias = t->bias;
    for (int v = 0; v < vectors; v++) {
        int64_t n = v == vectors - 1 ? part : LANES;
        V add = bias ? NAME(load_part)(bias + v * LANES, n) : (V){0};
        for (int r = 0; r < rows; r++) {
            T *c = (T *)t->c + t->c_rows[r] + v * LANES;
            V sum = acc[r * vectors + v] + add;
            if (t->accumulate)
                sum += NAME(load_part)(c, n);
            NAME(store_part)(c, t->relu ? NAME(relu)(sum) : sum, n);
        }
    }
}

/* Adds the products of element j of each row of A with a row of B. */
__attribute__((always_inline)) static inline void NAME(step)(V *acc, const T *const *a, int64_t j,
                                                             const T *b, const int rows,
                                                             const int vectors)
{
    V bv[KL_TILE_VECTORS];
    KL_UNROLL
    for (int v = 0; v < vectors; v++)
        bv[v] = LOAD(b + v * LANES);
    KL_UNROLL
    for (int r = 0; r < rows; r++) {
        V x = a[r][j] - (V){0};
        KL_UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r * vectors + v] += x * bv[v];
    }
}

__attribute__((always_inline)) static inline void NAME(tile)(const kl_tile *t, const int rows,
                                                             const int vectors)
{
    V acc[KL_TILE_ROWS * KL_TILE_VECTORS];
    KL_UNROLL
    for (int i = 0; i < rows * vectors; i++)
        acc[i] = (V){0};
    int64_t a_col = t->a_col, b_row = t->b_row, k = t->k, outer = t->a_outer ? t->outer : 1;
    const T *a[KL_TILE_ROWS];
    if (t->a_outer && k == 1) {
        KL_UNROLL
        for (int r = 0; r < rows; r++)
            a[r] = (const T *)t->a + t->a_rows[r];
        for (int64_t o = 0; o < outer; o++)
            NAME(step)(acc, a, t->a_outer[o], (const T *)t->b + t->b_outer[o], rows, vectors);
        outer = 0;
    }
    for (int64_t o = 0; o < outer; o++) {
        const T *at = (const T *)t->a + (t->a_outer ? t->a_outer[o] : 0);
        const T *b = (const T *)t->b + (t->a_outer ? t->b_outer[o] : 0);
        KL_UNROLL
        for (int r = 0; r < rows; r++)
            a[r] = at + t->a_rows[r];
        int64_t left = k, j = 0;
        for (; left > 0; left--, j += a_col, b += b_row)
            NAME(step)(acc, a, j, b, rows, vectors);
    }
    int64_t part = t->cols - (vectors - 1) * LANES;
    if (part < LANES) {
        V out[KL_TILE_ROWS * KL_TILE_VECTORS];
        KL_UNROLL
        for (int i = 0; i < rows * vectors; i++)
            out[i] = acc[i];
        NAME(finish_part)(t, out, rows, vectors, part);
        return;
    }
    const T *bias = t->bias;
    T *c[KL_TILE_ROWS];
    bool relu = t->relu;
    KL_UNROLL
    for (int r = 0; r < rows; r++)
        c[r] = (T *)t->c + t->c_rows[r];
    if (bias) {
        KL_UNROLL
        for (int i = 0; i < rows * vectors; i++)
            acc[i] += LOAD(bias + i % vectors * LANES);
    }
    if (t->accumulate) {
        KL_UNROLL
        for (int i = 0; i < rows * vectors; i++)
            acc[i] += LOAD(c[i / vectors] + i % vectors * LANES);
    }
    if (relu) {
        KL_UNROLL
        for (int i = 0; i < rows * vectors; i++)
            acc[i] = NAME(relu)(acc[i]);
    }
    KL_UNROLL
    for (int r = 0; r < rows; r++) {
        KL_UNROLL
        for (int v = 0; v < vectors; v++)
            STORE(c[r] + v * LANES, acc[r * vectors + v]);
    }
}

#define DEFINE_TILE(rows, vectors)                                                                 \
    static void NAME(tile_##rows##x##vectors)(const kl_tile *t)                                    \
    {                                                                                              \
        NAME(tile)(t, rows, vectors);                                                              \
    }
SHAPES(DEFINE_TILE)

typedef T NAME(four) __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));

/* Four columns of unit row stride, to rows of the panel. */
static inline void NAME(pack_four)(T *dst, int64_t width, const T *src, int64_t col, int64_t k)
{
    int64_t i = 0;
    for (; i + 4 <= k; i += 4, dst += 4 * width) {
        NAME(four) a = *(const NAME(four) *)(src + i);
        NAME(four) b = *(const NAME(four) *)(src + col + i);
        NAME(four) c = *(const NAME(four) *)(src + 2 * col + i);
        NAME(four) d = *(const NAME(four) *)(src + 3 * col + i);
        NAME(four) ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        NAME(four) cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        *(NAME(four) *)dst = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
        *(NAME(four) *)(dst + width) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
        ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        *(NAME(four) *)(dst + 2 * width) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
        *(NAME(four) *)(dst + 3 * width) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    }
    for (; i < k; i++, dst += width)
        for (int j = 0; j < 4; j++)
            dst[j] = src[j * col + i];
}

static void NAME(pack)(void *to, int64_t width, const void *from, int64_t row, int64_t col,
                       int64_t k, int64_t cols)
{
    enum { STEP = 32, AHEAD = 16 };
    T *dst = to;
    const T *src = from;
    int64_t j = 0, whole = cols / LANES * LANES, fours = cols / 4 * 4;
    if (col == 1) {
        /* Row by row, to read a cache line at once; by itself the processor fetches none ahead
           where rows lie pages apart. */
        for (; j + 2 * LANES <= whole; j += 2 * LANES)
            for (int64_t i = 0; i < k; i++) {
                const T *from_row = src + i * row + j;
                __builtin_prefetch(from_row + (i + AHEAD < k ? AHEAD * row : 0));
                STORE(dst + i * width + j, LOAD(from_row));
                STORE(dst + i * width + j + LANES, LOAD(from_row + LANES));
            }
        for (; j < whole; j += LANES)
            for (int64_t i = 0; i < k; i++)
                STORE(dst + i * width + j, LOAD(src + i * row + j));
        for (int64_t i = 0; j < cols && i < k; i++)
            STORE(dst + i * width + j, NAME(load_part)(src + i * row + j, cols - j));
        j = j < cols ? j + LANES : j;
    } else if (row == 1) {
        /* In steps of k, for which the panel's rows stay in the first cache. */
        for (int64_t i = 0; i < k; i += STEP)
            for (j = 0; j < fours; j += 4)
                NAME(pack_four)
        (dst + i * width + j, width, src + j * col + i, col, k - i < STEP ? k - i : STEP);
        j = fours;
    }
    for (; j < cols; j++)
        for (int64_t i = 0; i < k; i++)
            dst[i * width + j] = src[i * row + j * col];
    for (; j < width; j++)
        for (int64_t i = 0; i < k; i++)
            dst[i * width + j] = 0;
}

/* The sum of the lanes, halves onto halves. */
static inline T NAME(total)(V v)
{
    T lanes[LANES];
    STORE(lanes, v);
#if LANES >= 4
    const NAME(four) *at = (const NAME(four) *)(const void *)lanes;
    NAME(four) sum = at[0];
    if (LANES == 8)
        sum = at[0] + at[LANES / 4 - 1];
    else if (LANES == 16)
        sum = (at[0] + at[LANES / 8]) + (at[LANES / 16] + at[LANES / 4 - 1]);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
#else
    return lanes[0] + lanes[1];
#endif
}

__attribute__((noinline)) static void NAME(finish_dots)(const kl_dots *d, const V *acc,
                                                        int64_t from, int rows, int cols)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = from; col < from + cols; col++) {
            T *c = (T *)d->c + row * d->c_row + col * d->c_col;
            T sum = NAME(total)(*acc++);
            if (d->bias)
                sum += ((const T *)d->bias)[row * d->bias_row + col * d->bias_col];
            if (d->accumulate)
                sum += *c;
            *c = d->relu && sum < 0 ? 0 : sum;
        }
}

/* `cols` columns from column j on. */
__attribute__((always_inline)) static inline void NAME(dots_of)(const kl_dots *d, int64_t from,
                                                                const int rows, const int cols)
{
    V acc[16];
    const T *a = d->a, *b = (const T *)d->b + from * d->b_col;
    int64_t k = 0, whole = d->k / LANES * LANES;
    KL_UNROLL
    for (int i = 0; i < rows * cols; i++)
        acc[i] = (V){0};
    for (; k < whole; k += LANES) {
        KL_UNROLL
        for (int j = 0; j < cols; j++) {
            V y = LOAD(b + j * d->b_col + k);
            KL_UNROLL
            for (int r = 0; r < rows; r++)
                acc[r * cols + j] += y * LOAD(a + r * d->a_row + k);
        }
    }
    if (k < d->k) {
        KL_UNROLL
        for (int j = 0; j < cols; j++) {
            V y = NAME(load_part)(b + j * d->b_col + k, d->k - k);
            KL_UNROLL
            for (int r = 0; r < rows; r++)
                acc[r * cols + j] += y * NAME(load_part)(a + r * d->a_row + k, d->k - k);
        }
    }
    V out[16];
    KL_UNROLL
    for (int i = 0; i < rows * cols; i++)
        out[i] = acc[i];
    NAME(finish_dots)(d, out, from, rows, cols);
}

__attribute__((noinline)) static void NAME(finish_narrow)(const kl_tile *t, const V *acc,
                                                          int64_t from, int pixels, int cols)
{
    for (int64_t p = from; p < from + pixels; p++)
        for (int64_t col = 0; col < cols; col++) {
            T *c = (T *)t->c + t->c_rows[p] + col;
            T sum = NAME(total)(*acc++);
            if (t->bias)
                sum += ((const T *)t->bias)[col];
            if (t->accumulate)
                sum += *c;
            *c = t->relu && sum < 0 ? 0 : sum;
        }
}

/* Pixels [from, from + pixels) of a narrow tile. */
__attribute__((always_inline)) static inline void NAME(narrow_tile)(const kl_tile *t, int64_t from,
                                                                    const int pixels,
                                                                    const int cols)
{
    V acc[16];
    int64_t whole = t->k / LANES * LANES;
    KL_UNROLL
    for (int i = 0; i < pixels * cols; i++)
        acc[i] = (V){0};
    for (int64_t o = 0; o < t->outer; o++) {
        const T *a = (const T *)t->a + t->a_outer[o], *b = (const T *)t->b + t->b_outer[o];
        int64_t k = 0;
        for (; k < whole; k += LANES) {
            KL_UNROLL
            for (int j = 0; j < cols; j++) {
                V y = LOAD(b + j * t->b_row + k);
                KL_UNROLL
                for (int p = 0; p < pixels; p++)
                    acc[p * cols + j] += y * LOAD(a + t->a_rows[from + p] + k);
            }
        }
        if (k == t->k)
            continue;
        KL_UNROLL
        for (int j = 0; j < cols; j++) {
            V y = NAME(load_part)(b + j * t->b_row + k, t->k - k);
            KL_UNROLL
            for (int p = 0; p < pixels; p++)
                acc[p * cols + j] += y * NAME(load_part)(a + t->a_rows[from + p] + k, t->k - k);
        }
    }
    V out[16];
    KL_UNROLL
    for (int i = 0; i < pixels * cols; i++)
        out[i] = acc[i];
    NAME(finish_narrow)(t, out, from, pixels, cols);
}

/* LEAN sets are spared the wider forms: those that only run where no better set is at hand. */
#define NARROW(cols)                                                                               \
    case cols:                                                                                     \
        for (; p + 4 <= pixels; p += 4)                                                            \
            NAME(narrow_tile)(t, p, 4, cols);                                                      \
        for (; p < pixels; p++)                                                                    \
            NAME(narrow_tile)(t, p, 1, cols);                                                      \
        break

static void NAME(narrow)(const kl_tile *t, int64_t pixels)
{
#ifdef LEAN
    kl_tile column = *t;
    for (int64_t c = 0; c < t->cols; c++) {
        for (int64_t p = 0; p < pixels; p++)
            NAME(narrow_tile)(&column, p, 1, 1);
        column.b = (const T *)column.b + t->b_row;
        column.c = (T *)column.c + 1;
        column.bias = t->bias ? (const T *)column.bias + 1 : NULL;
    }
#else
    int64_t p = 0;
    switch (t->cols) {
        NARROW(1);
        NARROW(2);
        NARROW(3);
        NARROW(4);
    default:
        break;
    }
#endif
}

#define DOTS(rows)                                                                                 \
    case rows:                                                                                     \
        for (; j + 4 <= d->n; j += 4)                                                              \
            NAME(dots_of)(d, j, rows, 4);                                                          \
        for (; j < d->n; j++)                                                                      \
            NAME(dots_of)(d, j, rows, 1);                                                          \
        break

static void NAME(dots)(const kl_dots *d)
{
#ifdef LEAN
    kl_dots row = *d;
    for (int64_t r = 0; r < d->m; r++) {
        int64_t j = 0;
        for (; j + 4 <= d->n; j += 4)
            NAME(dots_of)(&row, j, 1, 4);
        for (; j < d->n; j++)
            NAME(dots_of)(&row, j, 1, 1);
        row.a = (const T *)row.a + d->a_row;
        row.c = (T *)row.c + d->c_row;
        row.bias = d->bias ? (const T *)row.bias + d->bias_row : NULL;
    }
#else
    int64_t j = 0;
    switch (d->m) {
        DOTS(1);
        DOTS(2);
        DOTS(3);
        DOTS(4);
    default:
        break;
    }
#endif
}

#include "kernels/depthwise_impl.h"

#define TILE_ENTRY(r, v) .tile[r][v] = NAME(tile_##r##x##v),
const kl_tile_set NAME(kl_tiles) = {
    .size = sizeof(T),
    .lanes = LANES,
    .vectors = VECTORS,
    .rows = {ROWS},
    SHAPES(TILE_ENTRY).pack = NAME(pack),
    .dots = NAME(dots),
    .narrow = NAME(narrow),
    .depthwise = NAME(depthwise),
    .depthwise_grad = NAME(depthwise_grad),
};

#undef V
#undef PART_CALL
#undef LOAD
#undef STORE
#undef DEFINE_TILE
#undef DOTS
#undef NARROW
#undef TILE_ENTRY
