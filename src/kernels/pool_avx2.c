#define KL_TABLE kl_pool_avx2
#include "kernels/pool_impl.h"
