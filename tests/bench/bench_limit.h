/*
 * The multiply-add limit: independent multiply-adds on registers, in the vectors of the instruction
 * set in use.
 */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <stdint.h>

#include "kernels/isa.h"

enum { BENCH_LIMIT_STEPS = 1 << 20 };

#define BENCH_LIMIT(name, lanes, count, flags)                                                     \
    typedef float name##_vec __attribute__((vector_size(lanes * 4)));                              \
    flags static void name(void)                                                                   \
    {                                                                                              \
        name##_vec acc[count] = {{0}}, x, y;                                                       \
        for (int i = 0; i < lanes; i++)                                                            \
            x[i] = 0.5f, y[i] = 1;                                                                 \
        __asm__ volatile("" : "+m"(x), "+m"(y));                                                   \
        for (int64_t step = 0; step < BENCH_LIMIT_STEPS; step++) {                                 \
            _Pragma("GCC unroll 12")                                                               \
            for (int i = 0; i < count; i++)                                                        \
                acc[i] = acc[i] * x + y;                                                           \
        }                                                                                          \
        for (int i = 1; i < count; i++)                                                            \
            acc[0] += acc[i] * (float)i;                                                           \
        __asm__ volatile("" : : "m"(acc[0]));                                                      \
    }

BENCH_LIMIT(bench_limit_16, 4, 12, )
#if defined(__x86_64__)
BENCH_LIMIT(bench_limit_32, 8, 12, __attribute__((target("avx2,fma"))))
BENCH_LIMIT(bench_limit_64, 16, 12, __attribute__((target("avx512f"))))
#endif

static void bench_limit_run(void)
{
#if defined(__x86_64__)
    if (kl_isa_get() == KL_ISA_AVX512)
        bench_limit_64();
    else if (kl_isa_get() == KL_ISA_AVX2)
        bench_limit_32();
    else
#endif
        bench_limit_16();
}

static double bench_limit_flops(void)
{
    int lanes = kl_isa_get() == KL_ISA_AVX512 ? 16 : kl_isa_get() == KL_ISA_AVX2 ? 8 : 4;
    return 2.0 * 12 * lanes * BENCH_LIMIT_STEPS;
}

#endif
