#define KL_TABLE kl_warp_portable
#include "kernels/image_warp_impl.h"
