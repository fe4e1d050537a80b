#define KL_TABLE kl_elementwise_avx512
#include "kernels/elementwise_impl.h"
