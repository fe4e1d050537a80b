#define KL_TABLE kl_warp_avx2
#include "kernels/image_warp_impl.h"
