#ifndef KL_OPS_FUSED_SUM_H
#define KL_OPS_FUSED_SUM_H

#include "klayers/ops.h"

/* relu(a + b) in one pass over memory, for inference: it isn't recorded. Both are contiguous
   float32 tensors of one shape. */
kl_tensor *kl_sum_relu(const kl_tensor *a, const kl_tensor *b);

#endif
