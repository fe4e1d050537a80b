#define KL_TABLE kl_spectrum_avx2
#include "kernels/spectrum_impl.h"
