#define KL_TABLE kl_attention_neon
#include "kernels/attention_impl.h"
