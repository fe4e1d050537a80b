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

/* Columns go by two vectors, by one, and the rest one by one; sums stay in registers. */
#define DEFINE_LOOPS(T, S)                                                                         \
    typedef T vec_##S __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));   \
    enum { LANES_##S = VECTOR_BYTES / sizeof(T) };                                                 \
    static inline void moments_pair_##S(int64_t rows, int64_t width, const T *x, T *mean,          \
                                        T *squares)                                                \
    {                                                                                              \
        vec_##S m0 = {0}, m1 = {0}, s0 = {0}, s1 = {0};                                            \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            const vec_##S *at = (const vec_##S *)(const void *)(x + r * width);                    \
            m0 += at[0];                                                                           \
            m1 += at[1];                                                                           \
        }                                                                                          \
        m0 /= (T)rows;                                                                             \
        m1 /= (T)rows;                                                                             \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            const vec_##S *at = (const vec_##S *)(const void *)(x + r * width);                    \
            vec_##S d0 = at[0] - m0, d1 = at[1] - m1;                                              \
            s0 += d0 * d0;                                                                         \
            s1 += d1 * d1;                                                                         \
        }                                                                                          \
        ((vec_##S *)(void *)mean)[0] = m0;                                                         \
        ((vec_##S *)(void *)mean)[1] = m1;                                                         \
        ((vec_##S *)(void *)squares)[0] = s0;                                                      \
        ((vec_##S *)(void *)squares)[1] = s1;                                                      \
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
            for (int64_t r = 0; r < rows; r++)                                                     \
                m += x[r * width + j];                                                             \
            m /= (T)rows;                                                                          \
            for (int64_t r = 0; r < rows; r++)                                                     \
                s += (x[r * width + j] - m) * (x[r * width + j] - m);                              \
            mean[j] = m;                                                                           \
            squares[j] = s;                                                                        \
        }                                                                                          \
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
    static void rows_forward_##S(int64_t rows, int64_t width, const void *xs, const void *gammas,  \
                                 const void *betas, double epsilon, void *means, void *inverses,   \
                                 void *ys)                                                         \
    {                                                                                              \
        const T *restrict gamma = gammas, *restrict beta = betas;                                  \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            const T *restrict x = (const T *)xs + r * width;                                       \
            T *restrict y = (T *)ys + r * width;                                                   \
            ROW_SUM(T, sum, x[j]);                                                                 \
            const T mean = sum / (T)width;                                                         \
            ROW_SUM(T, squares, (x[j] - mean) * (x[j] - mean));                                    \
            const T inverse = 1 / root(squares / (T)width + (T)epsilon);                           \
            for (int64_t j = 0; j < width; j++)                                                    \
                y[j] = (x[j] - mean) * inverse * gamma[j] + beta[j];                               \
            ((T *)means)[r] = mean;                                                                \
            ((T *)inverses)[r] = inverse;                                                          \
        }                                                                                          \
    }                                                                                              \
    static void rows_backward_##S(int64_t rows, int64_t width, const void *xs, const void *gammas, \
                                  const void *means, const void *inverses, const void *dys,        \
                                  void *dxs, void *dgammas, void *dbetas)                          \
    {                                                                                              \
        const T *restrict gamma = gammas;                                                          \
        T *restrict dgamma = dgammas, *restrict dbeta = dbetas;                                    \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            const T *restrict x = (const T *)xs + r * width;                                       \
            const T *restrict dy = (const T *)dys + r * width;                                     \
            T *restrict dx = (T *)dxs + r * width;                                                 \
            const T mean = ((const T *)means)[r], inverse = ((const T *)inverses)[r];              \
            ROW_SUM(T, sum, dy[j] * gamma[j]);                                                     \
            ROW_SUM(T, product, dy[j] * gamma[j] * (x[j] - mean));                                 \
            const T shift = sum / (T)width, slope = product * inverse * inverse / (T)width;        \
            /* Loops of few arrays each, so that the compiler can tell them apart. */              \
            for (int64_t j = 0; j < width; j++)                                                    \
                dx[j] = inverse * (dy[j] * gamma[j] - shift - (x[j] - mean) * slope);              \
            for (int64_t j = 0; j < width; j++)                                                    \
                dgamma[j] += dy[j] * (x[j] - mean) * inverse;                                      \
            for (int64_t j = 0; j < width; j++)                                                    \
                dbeta[j] += dy[j];                                                                 \
        }                                                                                          \
    }
DEFINE_ROWS(float, single, sqrtf)
DEFINE_ROWS(double, wide, sqrt)

DEFINE_LOOPS(float, single)
DEFINE_LOOPS(double, wide)

#define LOOPS(S)                                                                                   \
    {                                                                                              \
        .moments = moments_##S, .sums = sums_##S, .apply = apply_##S, .combine = combine_##S,      \
        .rows_forward = rows_forward_##S, .rows_backward = rows_backward_##S                       \
    }
const kl_norm_table KL_TABLE = {.single = LOOPS(single), .wide = LOOPS(wide)};
