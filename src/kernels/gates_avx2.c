#define KL_TABLE kl_gates_avx2
#include "kernels/gates_impl.h"
