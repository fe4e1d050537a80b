#define KL_TABLE kl_resize_neon
#include "kernels/image_resize_impl.h"
