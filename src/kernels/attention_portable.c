#define KL_TABLE kl_attention_portable
#include "kernels/attention_impl.h"
