#define KL_TABLE kl_spectrum_neon
#include "kernels/spectrum_impl.h"
