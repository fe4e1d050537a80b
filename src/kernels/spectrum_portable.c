#define KL_TABLE kl_spectrum_portable
#include "kernels/spectrum_impl.h"
