#include "kernels/gates_table.h"

#include "kernels/isa.h"

const kl_gates_table *kl_gates_kernels(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return &kl_gates_avx512;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return &kl_gates_avx2;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_gates_neon;
#endif
    default:
        return &kl_gates_portable;
    }
}
