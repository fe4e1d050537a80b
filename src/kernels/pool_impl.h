/*
 * The loops of pooling, once for every instruction set: included by a source that defines KL_TABLE,
 * the name of its table, and is compiled with that set's flags. A window's result is in registers
 * while its places are seen.
 */
#include "kernels/pool_table.h"

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#ifdef __clang__
#define POOL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define POOL_UNROLL _Pragma("GCC unroll 4")
#endif

#define POOL_INLINE __attribute__((always_inline)) static inline

/* Calls body with `at`, the offset of each place of p's window. */
#define EACH_PLACE(p, body)                                                                        \
    for (int64_t d = 0, at0 = 0; d < (p)->size[0]; d++, at0 += (p)->step[0])                       \
        for (int64_t h = 0, at1 = at0; h < (p)->size[1]; h++, at1 += (p)->step[1])                 \
            for (int64_t w = 0, at = at1; w < (p)->size[2]; w++, at += (p)->step[2])               \
    body

/* For vectors V of T, whose comparisons give vectors of I; `vectors` of them from channel c on of
   pixel i. */
#define DEFINE_VECTORS(T, I, V, BYTES)                                                             \
    typedef T V __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));                \
    typedef I V##_bits __attribute__((vector_size(BYTES)));                                        \
    enum { V##_LANES = (BYTES) / sizeof(T) };                                                      \
    /* NaN passes. */                                                                              \
    POOL_INLINE V V##_greater(V a, V b)                                                            \
    {                                                                                              \
        V##_bits take = (V##_bits)(b > a) | (V##_bits)(b != b);                                    \
        return (V)((take & (V##_bits)b) | (~take & (V##_bits)a));                                  \
    }                                                                                              \
    POOL_INLINE void V##_maximum(const kl_pool_pixels *p, int64_t i, int64_t c, const int vectors) \
    {                                                                                              \
        const T *x = (const T *)p->x + i * p->x_step + c;                                          \
        V *y = (V *)(void *)((T *)p->out + i * p->y_step + c), most[4];                            \
        POOL_UNROLL                                                                                \
        for (int v = 0; v < vectors; v++)                                                          \
            most[v] = ((const V *)(const void *)x)[v];                                             \
        EACH_PLACE(p, {                                                                            \
            const V *from = (const V *)(const void *)(x + at);                                     \
            POOL_UNROLL                                                                            \
            for (int v = 0; v < vectors; v++)                                                      \
                most[v] = V##_greater(most[v], from[v]);                                           \
        })                                                                                         \
        POOL_UNROLL                                                                                \
        for (int v = 0; v < vectors; v++)                                                          \
            y[v] = most[v];                                                                        \
    }                                                                                              \
    POOL_INLINE void V##_average(const kl_pool_pixels *p, int64_t i, int64_t c, const int vectors) \
    {                                                                                              \
        const T *x = (const T *)p->x + i * p->x_step + c, scale = (T)(1 / p->count);               \
        V *y = (V *)(void *)((T *)p->out + i * p->y_step + c), sum[4];                             \
        POOL_UNROLL                                                                                \
        for (int v = 0; v < vectors; v++)                                                          \
            sum[v] = (V){0};                                                                       \
        EACH_PLACE(p, {                                                                            \
            const V *from = (const V *)(const void *)(x + at);                                     \
            POOL_UNROLL                                                                            \
            for (int v = 0; v < vectors; v++)                                                      \
                sum[v] += from[v];                                                                 \
        })                                                                                         \
        POOL_UNROLL                                                                                \
        for (int v = 0; v < vectors; v++)                                                          \
            y[v] = sum[v] * scale;                                                                 \
    }                                                                                              \
    POOL_INLINE void V##_maximum_back(const kl_pool_pixels *p, int64_t i, int64_t c,               \
                                      const int vectors)                                           \
    {                                                                                              \
        const T *x = (const T *)p->x + i * p->x_step + c;                                          \
        const V *y = (const V *)(const void *)((const T *)p->y + i * p->y_step + c);               \
        const V *dy = (const V *)(const void *)((const T *)p->dy + i * p->y_step + c);             \
        T *dx = (T *)p->out + i * p->x_step + c;                                                   \
        int64_t skip = p->skip;                                                                    \
        bool add = p->add;                                                                         \
        V most[4];                                                                                 \
        V##_bits left[4]; /* the gradient, where no place has taken it yet */                      \
        POOL_UNROLL                                                                                \
        for (int v = 0; v < vectors; v++) {                                                        \
            most[v] = y[v];                                                                        \
            left[v] = (V##_bits)dy[v];                                                             \
        }                                                                                          \
        EACH_PLACE(p, {                                                                            \
            const V *from = (const V *)(const void *)(x + at);                                     \
            V *to = (V *)(void *)(dx + at);                                                        \
            bool counts = --skip < 0;                                                              \
            POOL_UNROLL                                                                            \
            for (int v = 0; v < vectors; v++) {                                                    \
                V##_bits hit = (V##_bits)(from[v] == most[v]);                                     \
                V gradient = (V)(left[v] & hit);                                                   \
                left[v] &= ~hit;                                                                   \
                if (add)                                                                           \
                    gradient += to[v];                                                             \
                if (counts)                                                                        \
                    to[v] = gradient;                                                              \
            }                                                                                      \
        })                                                                                         \
    }                                                                                              \
    POOL_INLINE void V##_average_back(const kl_pool_pixels *p, int64_t i, int64_t c,               \
                                      const int vectors)                                           \
    {                                                                                              \
        const V *dy = (const V *)(const void *)((const T *)p->dy + i * p->y_step + c);             \
        T *dx = (T *)p->out + i * p->x_step + c, scale = (T)(1 / p->count);                        \
        bool add = p->add;                                                                         \
        V gradient[4];                                                                             \
        POOL_UNROLL                                                                                \
        for (int v = 0; v < vectors; v++)                                                          \
            gradient[v] = dy[v] * scale;                                                           \
        EACH_PLACE(p, {                                                                            \
            V *to = (V *)(void *)(dx + at);                                                        \
            POOL_UNROLL                                                                            \
            for (int v = 0; v < vectors; v++) {                                                    \
                if (add)                                                                           \
                    to[v] += gradient[v];                                                          \
                else                                                                               \
                    to[v] = gradient[v];                                                           \
            }                                                                                      \
        })                                                                                         \
    }

DEFINE_VECTORS(float, int32_t, float_vector, VECTOR_BYTES)
DEFINE_VECTORS(float, int32_t, float_one, 4)
DEFINE_VECTORS(double, int64_t, double_vector, VECTOR_BYTES)
DEFINE_VECTORS(double, int64_t, double_one, 8)

/* Channels go by some vectors, by one, and the last ones alone. */
#define DEFINE_LOOP(T, name)                                                                       \
    static void T##_##name(const kl_pool_pixels *p)                                                \
    {                                                                                              \
        enum { LANES = T##_vector_LANES };                                                         \
        for (int64_t i = 0; i < p->pixels; i++) {                                                  \
            int64_t c = 0;                                                                         \
            for (; c + 4 * LANES <= p->channels; c += 4 * LANES)                                   \
                T##_vector_##name(p, i, c, 4);                                                     \
            for (; c + LANES <= p->channels; c += LANES)                                           \
                T##_vector_##name(p, i, c, 1);                                                     \
            for (; c < p->channels; c++)                                                           \
                T##_one_##name(p, i, c, 1);                                                        \
        }                                                                                          \
    }
#define DEFINE_LOOPS(T)                                                                            \
    DEFINE_LOOP(T, maximum)                                                                        \
    DEFINE_LOOP(T, average)                                                                        \
    DEFINE_LOOP(T, maximum_back)                                                                   \
    DEFINE_LOOP(T, average_back)
DEFINE_LOOPS(float)
DEFINE_LOOPS(double)

const kl_pool_table KL_TABLE = {
    .single = {float_maximum, float_average, float_maximum_back, float_average_back},
    .wide = {double_maximum, double_average, double_maximum_back, double_average_back},
};
