#define KL_TABLE kl_warp_neon
#include "kernels/image_warp_impl.h"
