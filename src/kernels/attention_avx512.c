#define KL_TABLE kl_attention_avx512
#include "kernels/attention_impl.h"
