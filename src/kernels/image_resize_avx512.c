#define KL_TABLE kl_resize_avx512
#include "kernels/image_resize_impl.h"
