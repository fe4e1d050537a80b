#define KL_TABLE kl_gates_avx512
#include "kernels/gates_impl.h"
