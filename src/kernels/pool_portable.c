#define KL_TABLE kl_pool_portable
#include "kernels/pool_impl.h"
