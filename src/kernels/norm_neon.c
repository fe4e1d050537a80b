#define KL_TABLE kl_norm_neon
#include "kernels/norm_impl.h"
