#define KL_TABLE kl_gates_neon
#include "kernels/gates_impl.h"
