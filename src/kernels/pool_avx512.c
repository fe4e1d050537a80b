#define KL_TABLE kl_pool_avx512
#include "kernels/pool_impl.h"
