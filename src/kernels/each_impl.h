/* Loops over the elements of arrays, for kernels that are compiled once an instruction set. */
#ifndef KL_KERNELS_EACH_IMPL_H
#define KL_KERNELS_EACH_IMPL_H

#include "kernels/elementwise_table.h"

/*
 * For i from 0 to n: a loop of whole vectors, which needs neither a vector tail nor a check for
 * overlap (element i depends on elements i alone), then the rest one by one. The sources are
 * compiled such that both stay small.
 */
#ifdef __OPTIMIZE_SIZE__
#define WHOLE_VECTORS
#else
#define WHOLE_VECTORS _Pragma("omp simd")
#endif
#define ONE_BY_ONE __asm__ volatile("") /* keeps the loop around it as it is */
#define EACH(i, n, ...)                                                                            \
    do {                                                                                           \
        const int64_t whole_ = (n) & ~(int64_t)(KL_UNARY_WHOLE - 1);                               \
        WHOLE_VECTORS                                                                              \
        for (int64_t i = 0; i < whole_; i++)                                                       \
            __VA_ARGS__                                                                            \
        for (int64_t i = whole_; i < (n); i++) {                                                   \
            ONE_BY_ONE;                                                                            \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)
#define EACH_float EACH
#define EACH_double(i, n, ...)                                                                     \
    for (int64_t i = 0; i < (n); i++) {                                                            \
        ONE_BY_ONE;                                                                                \
        __VA_ARGS__                                                                                \
    }
/* Of functions that get whole vectors alone. */
#define EACH_WHOLE_float(i, n, ...)                                                                \
    do {                                                                                           \
        const int64_t whole_ = (n) & ~(int64_t)(KL_UNARY_WHOLE - 1);                               \
        WHOLE_VECTORS                                                                              \
        for (int64_t i = 0; i < whole_; i++)                                                       \
            __VA_ARGS__                                                                            \
    } while (0)
#define EACH_WHOLE_double EACH_double

#endif
