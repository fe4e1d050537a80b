#define KL_TABLE kl_spectrum_avx512
#include "kernels/spectrum_impl.h"
