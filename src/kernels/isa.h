/*
 * Which instruction set the kernels run on: the best that processor and system have, capped by the
 * environment variable KLAYERS_ISA (a name as kl_kernel_isa() gives it).
 */
#ifndef KL_KERNELS_ISA_H
#define KL_KERNELS_ISA_H

#include "klayers/base.h"

typedef enum kl_isa { KL_ISA_PORTABLE, KL_ISA_NEON, KL_ISA_AVX2, KL_ISA_AVX512 } kl_isa;

/* The set in use. */
kl_isa kl_isa_get(void);
/* Whether this build and this processor have the set. */
bool kl_isa_available(kl_isa isa);
/* For tests: uses another available set in this process; false if there is none. */
bool kl_isa_set(kl_isa isa);
const char *kl_isa_name(kl_isa isa);

#endif
