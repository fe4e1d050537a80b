#define KL_TABLE kl_resize_portable
#include "kernels/image_resize_impl.h"
