#define KL_TABLE kl_elementwise_avx2
#include "kernels/elementwise_impl.h"
