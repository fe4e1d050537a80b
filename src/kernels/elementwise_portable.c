/* float64 goes through libm, so one copy of it serves every instruction set. */
#define KL_TABLE_HAS_F64
#define KL_TABLE kl_elementwise_portable
#include "kernels/elementwise_impl.h"
