#define KL_TABLE kl_warp_avx512
#include "kernels/image_warp_impl.h"
