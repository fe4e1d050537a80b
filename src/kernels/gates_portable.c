#define KL_TABLE kl_gates_portable
#include "kernels/gates_impl.h"
