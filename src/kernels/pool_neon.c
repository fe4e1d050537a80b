#define KL_TABLE kl_pool_neon
#include "kernels/pool_impl.h"
