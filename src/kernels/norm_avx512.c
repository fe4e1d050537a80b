#define KL_TABLE kl_norm_avx512
#include "kernels/norm_impl.h"
