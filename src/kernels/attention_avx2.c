#define KL_TABLE kl_attention_avx2
#include "kernels/attention_impl.h"
