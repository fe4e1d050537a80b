#include "kernels/isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    [KL_ISA_PORTABLE] = "portable",
    [KL_ISA_NEON] = "neon",
    [KL_ISA_AVX2] = "avx2",
    [KL_ISA_AVX512] = "avx512",
};

static _Atomic int chosen = -1;

const char *kl_isa_name(kl_isa isa)
{
    return names[isa];
}

bool kl_isa_available(kl_isa isa)
{
    switch (isa) {
    case KL_ISA_PORTABLE:
        return true;
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return true;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
#endif
    default:
        return false;
    }
}

static kl_isa choose(void)
{
    int cap = KL_ISA_AVX512;
    const char *wish = getenv("KLAYERS_ISA");
    for (int i = 0; wish && i <= KL_ISA_AVX512; i++)
        if (!strcmp(wish, names[i]))
            cap = i;
    for (int i = cap; i > KL_ISA_PORTABLE; i--)
        if (kl_isa_available((kl_isa)i))
            return (kl_isa)i;
    return KL_ISA_PORTABLE;
}

kl_isa kl_isa_get(void)
{
    int isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (isa < 0) {
        isa = (int)choose();
        atomic_store_explicit(&chosen, isa, memory_order_relaxed);
    }
    return (kl_isa)isa;
}

bool kl_isa_set(kl_isa isa)
{
    if (!kl_isa_available(isa))
        return false;
    atomic_store(&chosen, (int)isa);
    return true;
}

const char *kl_kernel_isa(void)
{
    return kl_isa_name(kl_isa_get());
}
