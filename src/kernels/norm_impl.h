/*
 * The loops of normalizations, once for every instruction set: included by a source that defines
 * KL_TABLE, the name of its table, and is compiled with that set's flags.
 */
#include <math.h>

#include "kernels/norm_table.h"

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

/*
 * Columns go by several vectors, and the rest one by one; sums stay in registers. Moments are
 * summed around the first row, which they are at least as far from the mean as: what cancels is
 * little.
 */
#define DEFINE_LOOPS(T, S)                                                                         \
    typedef T vec_##S __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));   \
    enum { LANES_##S = VECTOR_BYTES / sizeof(T) };                                                 \
    static inline vec_##S load_##S(const T *at)                                                    \
    {                                                                                              \
        return *(const vec_##S *)(const void *)at;                                                 \
    }                                                                                              \
    static inline void store_##S(T *at, vec_##S v)                                                 \
    {                                                                                              \
        *(vec_##S *)(void *)at = v;                                                                \
    }                                                                                              \
    static inline void moments_pair_##S(int64_t rows, int64_t width, const T *x, T *mean,          \
                                        T *squares)                                                \
    {                                                                                              \
        const vec_##S f0 = load_##S(x), f1 = load_##S(x + LANES_##S);                              \
        vec_##S m0 = {0}, m1 = {0}, s0 = {0}, s1 = {0}, n0 = {0}, n1 = {0}, t0 = {0}, t1 = {0};    \
        int64_t r = 1;                                                                             \
        for (; r + 1 < rows; r += 2) {                                                             \
            const T *at = x + r * width, *next = at + width;                                       \
            vec_##S d0 = load_##S(at) - f0, d1 = load_##S(at + LANES_##S) - f1;                    \
            vec_##S e0 = load_##S(next) - f0, e1 = load_##S(next + LANES_##S) - f1;                \
            m0 += d0;                                                                              \
            m1 += d1;                                                                              \
            s0 += d0 * d0;                                                                         \
            s1 += d1 * d1;                                                                         \
            n0 += e0;                                                                              \
            n1 += e1;                                                                              \
            t0 += e0 * e0;                                                                         \
            t1 += e1 * e1;                                                                         \
        }                                                                                          \
        for (; r < rows; r++) {                                                                    \
            const T *at = x + r * width;                                                           \
            vec_##S d0 = load_##S(at) - f0, d1 = load_##S(at + LANES_##S) - f1;                    \
            m0 += d0;                                                                              \
            m1 += d1;                                                                              \
            s0 += d0 * d0;                                                                         \
            s1 += d1 * d1;                                                                         \
        }                                                                                          \
        m0 = (m0 + n0) / (T)rows;                                                                  \
        m1 = (m1 + n1) / (T)rows;                                                                  \
        store_##S(mean, f0 + m0);                                                                  \
        store_##S(mean + LANES_##S, f1 + m1);                                                      \
        store_##S(squares, s0 + t0 - m0 * m0 * (T)rows);                                           \
        store_##S(squares + LANES_##S, s1 + t1 - m1 * m1 * (T)rows);                               \
    }                                                                                              \
    static void moments_##S(int64_t rows, int64_t width, const void *xs, void *means,              \
                            void *sums_of_squares)                                                 \
    {                                                                                              \
        const T *x = xs;                                                                           \
        T *mean = means, *squares = sums_of_squares;                                               \
        int64_t j = 0;                                                                             \
        for (; j + 2 * LANES_##S <= width; j += 2 * LANES_##S)                                     \
            moments_pair_##S(rows, width, x + j, mean + j, squares + j);                           \
        for (; j < width; j++) {                                                                   \
            T m = 0, s = 0;                                                                        \
            for (int64_t r = 1; r < rows; r++) {                                                   \
                T d = x[r * width + j] - x[j];                                                     \
                m += d;                                                                            \
                s += d * d;                                                                        \
            }                                                                                      \
            m /= (T)rows;                                                                          \
            mean[j] = x[j] + m;                                                                    \
            squares[j] = s - m * m * (T)rows;                                                      \
        }                                                                                          \
        for (j = 0; j < width; j++)                                                                \
            squares[j] = squares[j] < 0 ? 0 : squares[j];                                          \
    }                                                                                              \
    static void sums_##S(int64_t rows, int64_t width, const void *xs, const void *means,           \
                         const void *dys, void *sum, void *product)                                \
    {                                                                                              \
        const T *x = xs, *mean = means, *dy = dys;                                                 \
        T *sum1 = sum, *sum2 = product;                                                            \
        int64_t j = 0;                                                                             \
        for (; j + 2 * LANES_##S <= width; j += 2 * LANES_##S) {                                   \
            const vec_##S *m = (const vec_##S *)(const void *)(mean + j);                          \
            vec_##S m0 = m[0], m1 = m[1], s0 = {0}, s1 = {0}, p0 = {0}, p1 = {0};                  \
            for (int64_t r = 0; r < rows; r++) {                                                   \
                const vec_##S *at = (const vec_##S *)(const void *)(x + r * width + j);            \
                const vec_##S *g = (const vec_##S *)(const void *)(dy + r * width + j);            \
                s0 += g[0];                                                                        \
                s1 += g[1];                                                                        \
                p0 += g[0] * (at[0] - m0);                                                         \
                p1 += g[1] * (at[1] - m1);                                                         \
            }                                                                                      \
            ((vec_##S *)(void *)(sum1 + j))[0] = s0;                                               \
            ((vec_##S *)(void *)(sum1 + j))[1] = s1;                                               \
            ((vec_##S *)(void *)(sum2 + j))[0] = p0;                                               \
            ((vec_##S *)(void *)(sum2 + j))[1] = p1;                                               \
        }                                                                                          \
        for (; j < width; j++) {                                                                   \
            T s = 0, p = 0;                                                                        \
            for (int64_t r = 0; r < rows; r++) {                                                   \
                s += dy[r * width + j];                                                            \
                p += dy[r * width + j] * (x[r * width + j] - mean[j]);                             \
            }                                                                                      \
            sum1[j] = s;                                                                           \
            sum2[j] = p;                                                                           \
        }                                                                                          \
    }                                                                                              \
    static void apply_##S(int64_t rows, int64_t width, const void *xs, const void *means,          \
                          const void *scales, const void *shifts, void *ys)                        \
    {                                                                                              \
        const T *restrict mean = means, *restrict scale = scales, *restrict shift = shifts;        \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            const T *restrict x = (const T *)xs + r * width;                                       \
            T *restrict y = (T *)ys + r * width;                                                   \
            for (int64_t j = 0; j < width; j++)                                                    \
                y[j] = (x[j] - mean[j]) * scale[j] + shift[j];                                     \
        }                                                                                          \
    }                                                                                              \
    static void combine_##S(int64_t rows, int64_t width, const void *xs, const void *means,        \
                            const void *dys, const void *as, const void *bs, const void *cs,       \
                            void *dxs)                                                             \
    {                                                                                              \
        const T *restrict mean = means, *restrict a = as, *restrict b = bs, *restrict c = cs;      \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            const T *restrict x = (const T *)xs + r * width;                                       \
            const T *restrict dy = (const T *)dys + r * width;                                     \
            T *restrict dx = (T *)dxs + r * width;                                                 \
            for (int64_t j = 0; j < width; j++)                                                    \
                dx[j] = dy[j] * a[j] + (x[j] - mean[j]) * b[j] + c[j];                             \
        }                                                                                          \
    }

/* A row's sum of `term`, at element `k` with the row's first element i, in fixed lanes. */
#define ROW_LANES 32
#define ROW_SUM(T, result, term)                                                                   \
    T result;                                                                                      \
    do {                                                                                           \
        T part[ROW_LANES] = {0};                                                                   \
        int64_t even = width / ROW_LANES * ROW_LANES;                                              \
        for (int64_t at = 0; at < even; at += ROW_LANES)                                           \
            for (int lane = 0; lane < ROW_LANES; lane++) {                                         \
                const int64_t j = at + lane;                                                       \
                part[lane] += (term);                                                              \
            }                                                                                      \
        for (int64_t j = even; j < width; j++)                                                     \
            part[j - even] += (term);                                                              \
        for (int step = ROW_LANES / 2; step; step /= 2)                                            \
            for (int lane = 0; lane < step; lane++)                                                \
                part[lane] += part[lane + step];                                                   \
        result = part[0];                                                                          \
    } while (0)

#define DEFINE_ROWS(T, S, root)                                                                    \
    static void rows_forward_##S(bool uncentered, int64_t rows, int64_t width, const void *xs,     \
                                 const void *gammas, const void *betas, double epsilon,            \
                                 void *means, void *inverses, void *ys)                            \
    {                                                                                              \
        const T *restrict gamma = gammas, *restrict beta = betas;                                  \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            const T *restrict x = (const T *)xs + r * width;                                       \
            T *restrict y = (T *)ys + r * width;                                                   \
            T mean = 0;                                                                            \
            if (!uncentered) {                                                                     \
                ROW_SUM(T, sum, x[j]);                                                             \
                mean = sum / (T)width;                                                             \
            }                                                                                      \
            ROW_SUM(T, squares, (x[j] - mean) * (x[j] - mean));                                    \
            const T inverse = 1 / root(squares / (T)width + (T)epsilon);                           \
            for (int64_t j = 0; j < width; j++)                                                    \
                y[j] = (x[j] - mean) * inverse * gamma[j] + beta[j];                               \
            ((T *)means)[r] = mean;                                                                \
            ((T *)inverses)[r] = inverse;                                                          \
        }                                                                                          \
    }                                                                                              \
    /* One pass sums over a row and adds to dgamma and dbeta, a second makes dx. */                \
    static void row_back_##S(bool uncentered, int64_t width, const T *x, const T *gamma, T mean,   \
                             T inverse, const T *dy, T *dx, T *dgamma, T *dbeta)                   \
    {                                                                                              \
        vec_##S s0 = {0}, s1 = {0}, p0 = {0}, p1 = {0};                                            \
        int64_t j = 0, next = LANES_##S;                                                           \
        for (; next + LANES_##S <= width; j += 2 * LANES_##S, next += 2 * LANES_##S) {             \
            const vec_##S g0 = load_##S(dy + j), g1 = load_##S(dy + next);                         \
            const vec_##S n0 = (load_##S(x + j) - mean) * inverse;                                 \
            const vec_##S n1 = (load_##S(x + next) - mean) * inverse;                              \
            const vec_##S h0 = g0 * load_##S(gamma + j), h1 = g1 * load_##S(gamma + next);         \
            s0 += h0;                                                                              \
            s1 += h1;                                                                              \
            p0 += h0 * n0;                                                                         \
            p1 += h1 * n1;                                                                         \
            store_##S(dgamma + j, load_##S(dgamma + j) + g0 * n0);                                 \
            store_##S(dgamma + next, load_##S(dgamma + next) + g1 * n1);                           \
            store_##S(dbeta + j, load_##S(dbeta + j) + g0);                                        \
            store_##S(dbeta + next, load_##S(dbeta + next) + g1);                                  \
        }                                                                                          \
        s0 += s1;                                                                                  \
        p0 += p1;                                                                                  \
        T sum = 0, product = 0;                                                                    \
        for (int lane = 0; lane < LANES_##S; lane++) {                                             \
            sum += s0[lane];                                                                       \
            product += p0[lane];                                                                   \
        }                                                                                          \
        for (; j < width; j++) {                                                                   \
            const T n = (x[j] - mean) * inverse;                                                   \
            sum += dy[j] * gamma[j];                                                               \
            product += dy[j] * gamma[j] * n;                                                       \
            dgamma[j] += dy[j] * n;                                                                \
            dbeta[j] += dy[j];                                                                     \
        }                                                                                          \
        const T shift = uncentered ? 0 : sum / (T)width, slope = product * inverse / (T)width;     \
        for (j = 0, next = LANES_##S; next + LANES_##S <= width;                                   \
             j += 2 * LANES_##S, next += 2 * LANES_##S) {                                          \
            const vec_##S h0 = load_##S(dy + j) * load_##S(gamma + j) - shift;                     \
            const vec_##S h1 = load_##S(dy + next) * load_##S(gamma + next) - shift;               \
            store_##S(dx + j, (h0 - (load_##S(x + j) - mean) * slope) * inverse);                  \
            store_##S(dx + next, (h1 - (load_##S(x + next) - mean) * slope) * inverse);            \
        }                                                                                          \
        for (; j < width; j++)                                                                     \
            dx[j] = (dy[j] * gamma[j] - shift - (x[j] - mean) * slope) * inverse;                  \
    }                                                                                              \
    static void rows_backward_##S(bool uncentered, int64_t rows, int64_t width, const void *xs,    \
                                  const void *gammas, const void *means, const void *inverses,     \
                                  const void *dys, void *dxs, void *dgammas, void *dbetas)         \
    {                                                                                              \
        for (int64_t r = 0; r < rows; r++)                                                         \
            row_back_##S(uncentered, width, (const T *)xs + r * width, gammas,                     \
                         ((const T *)means)[r], ((const T *)inverses)[r],                          \
                         (const T *)dys + r * width, (T *)dxs + r * width, dgammas, dbetas);       \
    }                                                                                              \
    static void line_moments_##S(int64_t n, const void *xs, double *mean, double *squares)         \
    {                                                                                              \
        const T *restrict x = xs;                                                                  \
        const int64_t width = n;                                                                   \
        const T first = x[0];                                                                      \
        ROW_SUM(T, sum, x[j] - first);                                                             \
        const T shift = sum / (T)n;                                                                \
        ROW_SUM(T, around, (x[j] - first - shift) * (x[j] - first - shift));                       \
        *mean = (double)first + (double)shift;                                                     \
        *squares = (double)around;                                                                 \
    }                                                                                              \
    static void line_sums_##S(int64_t n, const void *xs, double center, const void *dys,           \
                              double *sum, double *product)                                        \
    {                                                                                              \
        const T *restrict x = xs, *restrict dy = dys;                                              \
        const int64_t width = n;                                                                   \
        const T mean = (T)center;                                                                  \
        ROW_SUM(T, first, dy[j]);                                                                  \
        ROW_SUM(T, second, dy[j] * (x[j] - mean));                                                 \
        *sum = (double)first;                                                                      \
        *product = (double)second;                                                                 \
    }                                                                                              \
    static void line_apply_##S(int64_t n, const void *xs, double center, double factor,            \
                               double added, void *ys)                                             \
    {                                                                                              \
        const T *restrict x = xs;                                                                  \
        T *restrict y = ys;                                                                        \
        const T mean = (T)center, scale = (T)factor, shift = (T)added;                             \
        for (int64_t j = 0; j < n; j++)                                                            \
            y[j] = (x[j] - mean) * scale + shift;                                                  \
    }                                                                                              \
    static void line_combine_##S(int64_t n, const void *xs, double center, const void *dys,        \
                                 double of_dy, double of_x, double added, void *dxs)               \
    {                                                                                              \
        const T *restrict x = xs, *restrict dy = dys;                                              \
        T *restrict dx = dxs;                                                                      \
        const T mean = (T)center, a = (T)of_dy, b = (T)of_x, c = (T)added;                         \
        for (int64_t j = 0; j < n; j++)                                                            \
            dx[j] = dy[j] * a + (x[j] - mean) * b + c;                                             \
    }

DEFINE_LOOPS(float, single)
DEFINE_LOOPS(double, wide)

DEFINE_ROWS(float, single, sqrtf)
DEFINE_ROWS(double, wide, sqrt)

#define LOOPS(S)                                                                                   \
    {                                                                                              \
        .moments = moments_##S, .sums = sums_##S, .apply = apply_##S, .combine = combine_##S,      \
        .line_moments = line_moments_##S, .line_sums = line_sums_##S,                              \
        .line_apply = line_apply_##S, .line_combine = line_combine_##S,                            \
        .rows_forward = rows_forward_##S, .rows_backward = rows_backward_##S                       \
    }
const kl_norm_table KL_TABLE = {.single = LOOPS(single), .wide = LOOPS(wide)};
