#define KL_TABLE kl_elementwise_portable
#include "kernels/elementwise_impl.h"
