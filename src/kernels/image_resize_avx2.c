#define KL_TABLE kl_resize_avx2
#include "kernels/image_resize_impl.h"
