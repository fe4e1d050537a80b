/*
 * The loops over blocks of scores, once for every instruction set: included by a source that
 * defines KL_TABLE, the name of its table, and is compiled with that set's flags.
 */
#include <math.h>

#include "kernels/attention_table.h"
#include "kernels/vmath_impl.h"

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

/* e^x for x <= 0, 0 below the smallest normal number. */
static inline float exp_f32(float x)
{
    float e = v_exp_normal(x < -87.f ? -87.f : x);
    return x < -87.f ? 0.f : e;
}

static inline double exp_f64(double x)
{
    return exp(x);
}

static inline float log_f32(float x)
{
    return v_log(x);
}

static inline double log_f64(double x)
{
    return log(x);
}

static inline int64_t within(int64_t at, int64_t low, int64_t high)
{
    return at < low ? low : at > high ? high : at;
}

/* Lanes of partial results, so that sums don't wait for each other; their order is fixed. */
#define LANES(T) ((int64_t)(VECTOR_BYTES / sizeof(T)))

#define DEFINE_LOOPS(T, S)                                                                         \
    typedef T vec_##S __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));   \
    /* Minus infinity where a key doesn't count; false if none of the row does. */                 \
    static bool hide_##S(const kl_score_block *b, int64_t r, T *s)                                 \
    {                                                                                              \
        const int64_t low = within(b->low + r, 0, b->cols);                                        \
        const int64_t high = within(b->high + r, low, b->cols);                                    \
        for (int64_t c = 0; c < low; c++)                                                          \
            s[c] = (T)-INFINITY;                                                                   \
        for (int64_t c = high; c < b->cols; c++)                                                   \
            s[c] = (T)-INFINITY;                                                                   \
        if (!b->mask)                                                                              \
            return low < high;                                                                     \
        const uint8_t *m = b->mask + r * b->mask_row;                                              \
        if (b->mask_col == 1) {                                                                    \
            for (int64_t c = 0; c < b->cols; c++)                                                  \
                s[c] = m[c] ? s[c] : (T)-INFINITY;                                                 \
        } else {                                                                                   \
            for (int64_t c = 0; c < b->cols; c++)                                                  \
                s[c] = m[c * b->mask_col] ? s[c] : (T)-INFINITY;                                   \
        }                                                                                          \
        return low < high;                                                                         \
    }                                                                                              \
    /* Each row's largest lane by lane; then across the lanes, all rows side by side, as each      \
       step waits for the one before. */                                                           \
    static void largest_##S(int64_t n, const T *x, T *lanes)                                       \
    {                                                                                              \
        vec_##S top = (vec_##S){0} - (T)INFINITY;                                                  \
        int64_t i = 0;                                                                             \
        for (; i + LANES(T) <= n; i += LANES(T)) {                                                 \
            vec_##S y = *(const vec_##S *)(const void *)(x + i);                                   \
            const __typeof__(y > top) more = y > top;                                              \
            top = (vec_##S)((more & (__typeof__(more))y) | (~more & (__typeof__(more))top));       \
        }                                                                                          \
        *(vec_##S *)(void *)lanes = top;                                                           \
        for (int64_t l = 0; i < n; i++, l++)                                                       \
            lanes[l] = x[i] > lanes[l] ? x[i] : lanes[l];                                          \
    }                                                                                              \
    static void join_largest_##S(int64_t rows, T *lanes)                                           \
    {                                                                                              \
        for (int64_t half = LANES(T) / 2; half; half /= 2)                                         \
            for (int64_t r = 0; r < rows; r++)                                                     \
                for (int64_t l = 0; l < half; l++)                                                 \
                    lanes[r * LANES(T) + l] =                                                      \
                        lanes[r * LANES(T) + l + half] > lanes[r * LANES(T) + l]                   \
                            ? lanes[r * LANES(T) + l + half]                                       \
                            : lanes[r * LANES(T) + l];                                             \
    }                                                                                              \
    static void join_sums_##S(int64_t rows, T *lanes)                                              \
    {                                                                                              \
        for (int64_t half = LANES(T) / 2; half; half /= 2)                                         \
            for (int64_t r = 0; r < rows; r++)                                                     \
                for (int64_t l = 0; l < half; l++)                                                 \
                    lanes[r * LANES(T) + l] += lanes[r * LANES(T) + l + half];                     \
    }                                                                                              \
    /* s = exp(scale s - most), and the sum of it lane by lane. */                                 \
    static void exponentials_##S(int64_t n, T *s, T scale, T most, T *lanes)                       \
    {                                                                                              \
        T part[LANES(T)] = {0};                                                                    \
        int64_t even = n / LANES(T) * LANES(T);                                                    \
        for (int64_t at = 0; at < even; at += LANES(T))                                            \
            for (int64_t l = 0; l < LANES(T); l++) {                                               \
                s[at + l] = exp_##S(s[at + l] * scale - most);                                     \
                part[l] += s[at + l];                                                              \
            }                                                                                      \
        for (int64_t l = 0; l < LANES(T); l++)                                                     \
            lanes[l] = part[l];                                                                    \
        for (int64_t i = even; i < n; i++) {                                                       \
            s[i] = exp_##S(s[i] * scale - most);                                                   \
            lanes[i - even] += s[i];                                                               \
        }                                                                                          \
    }                                                                                              \
    /* The row's maximum so far, and what was summed under the one before scaled to it. */         \
    static void raise_##S(const kl_score_block *b, int64_t r, T top)                               \
    {                                                                                              \
        T *most = b->most, *total = b->total;                                                      \
        if (!(top > most[r]))                                                                      \
            return;                                                                                \
        if (most[r] != (T)-INFINITY) {                                                             \
            T factor = exp_##S(most[r] - top);                                                     \
            T *out = (T *)b->out + r * b->out_ld;                                                  \
            for (int64_t c = 0; c < b->out_cols; c++)                                              \
                out[c] *= factor;                                                                  \
            total[r] *= factor;                                                                    \
        }                                                                                          \
        most[r] = top;                                                                             \
    }                                                                                              \
    static void forward_##S(const kl_score_block *b)                                               \
    {                                                                                              \
        T lanes[KL_SCORE_ROWS * LANES(T)], *most = b->most, *total = b->total;                     \
        const T scale = (T)b->scale;                                                               \
        const bool whole = !b->mask && b->low + b->rows <= 1 && b->high >= b->cols;                \
        for (int64_t r = 0; r < b->rows; r++) {                                                    \
            T *s = (T *)b->scores + r * b->ld;                                                     \
            if (!whole)                                                                            \
                hide_##S(b, r, s);                                                                 \
            largest_##S(b->cols, s, lanes + r * LANES(T));                                         \
        }                                                                                          \
        join_largest_##S(b->rows, lanes);                                                          \
        for (int64_t r = 0; r < b->rows; r++) {                                                    \
            T *s = (T *)b->scores + r * b->ld;                                                     \
            if (lanes[r * LANES(T)] == (T)-INFINITY) {                                             \
                /* Nothing counts, or all is NaN and stays so. */                                  \
                for (int64_t c = 0; c < b->cols; c++)                                              \
                    s[c] = s[c] != s[c] ? s[c] : 0;                                                \
                for (int64_t l = 0; l < LANES(T); l++)                                             \
                    lanes[r * LANES(T) + l] = l < b->cols ? s[l] : 0;                              \
                continue;                                                                          \
            }                                                                                      \
            raise_##S(b, r, lanes[r * LANES(T)] * scale);                                          \
            exponentials_##S(b->cols, s, scale, most[r], lanes + r * LANES(T));                    \
        }                                                                                          \
        join_sums_##S(b->rows, lanes);                                                             \
        for (int64_t r = 0; r < b->rows; r++)                                                      \
            total[r] += lanes[r * LANES(T)];                                                       \
    }                                                                                              \
    static void backward_##S(const kl_score_block *b)                                              \
    {                                                                                              \
        const T *lse = b->lse, *delta = b->delta;                                                  \
        const T scale = (T)b->scale, back = (T)b->grad_scale;                                      \
        const bool whole = !b->mask && b->low + b->rows <= 1 && b->high >= b->cols;                \
        for (int64_t r = 0; r < b->rows; r++) {                                                    \
            T *s = (T *)b->scores + r * b->ld, *g = (T *)b->grad + r * b->ld;                      \
            const T sum = lse[r], d = delta[r];                                                    \
            if ((!whole && !hide_##S(b, r, s)) || sum == (T)INFINITY) {                            \
                for (int64_t c = 0; c < b->cols; c++)                                              \
                    s[c] = g[c] = 0;                                                               \
                continue;                                                                          \
            }                                                                                      \
            for (int64_t c = 0; c < b->cols; c++) {                                                \
                T p = exp_##S(s[c] * scale - sum);                                                 \
                s[c] = p;                                                                          \
                g[c] = p * (g[c] - d) * back;                                                      \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void finish_##S(int64_t n, const void *from, double total, double most, void *to,       \
                           void *lse)                                                              \
    {                                                                                              \
        const T *x = from;                                                                         \
        T *y = to;                                                                                 \
        const bool empty = most == -INFINITY && total == 0;                                        \
        const T factor = empty ? 0 : 1 / (T)total;                                                 \
        for (int64_t c = 0; c < n; c++)                                                            \
            y[c] = x[c] * factor;                                                                  \
        *(T *)lse = empty ? (T)INFINITY : (T)most + log_##S((T)total);                             \
    }                                                                                              \
    static double dot_##S(int64_t n, const void *xs, const void *ys)                               \
    {                                                                                              \
        const T *x = xs, *y = ys;                                                                  \
        T part[LANES(T)] = {0};                                                                    \
        int64_t even = n / LANES(T) * LANES(T);                                                    \
        for (int64_t at = 0; at < even; at += LANES(T))                                            \
            for (int64_t l = 0; l < LANES(T); l++)                                                 \
                part[l] += x[at + l] * y[at + l];                                                  \
        for (int64_t i = even; i < n; i++)                                                         \
            part[i - even] += x[i] * y[i];                                                         \
        for (int64_t half = LANES(T) / 2; half; half /= 2)                                         \
            for (int64_t l = 0; l < half; l++)                                                     \
                part[l] += part[l + half];                                                         \
        return (double)part[0];                                                                    \
    }                                                                                              \
    static void add_##S(int64_t n, const void *from, void *to)                                     \
    {                                                                                              \
        const T *x = from;                                                                         \
        T *y = to;                                                                                 \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] += x[i];                                                                          \
    }
DEFINE_LOOPS(float, f32)
DEFINE_LOOPS(double, f64)

#define LOOPS(S)                                                                                   \
    {                                                                                              \
        .forward = forward_##S, .backward = backward_##S, .finish = finish_##S, .dot = dot_##S,    \
        .add = add_##S                                                                             \
    }
const kl_attention_table KL_TABLE = {.single = LOOPS(f32), .wide = LOOPS(f64)};
