#define KL_TABLE kl_elementwise_neon
#include "kernels/elementwise_impl.h"
