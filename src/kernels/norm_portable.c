#define KL_TABLE kl_norm_portable
#include "kernels/norm_impl.h"
