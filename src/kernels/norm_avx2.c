#define KL_TABLE kl_norm_avx2
#include "kernels/norm_impl.h"
