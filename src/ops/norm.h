/* Normalizations that only layers call. */
#ifndef KL_OPS_NORM_H
#define KL_OPS_NORM_H

#include "klayers/ops.h"

/* x over the root of its mean square over the last `axes` axes plus epsilon, times scale, which has
   those axes or is NULL. */
kl_tensor *kl_op_rms_norm(kl_tensor *x, kl_tensor *scale, int axes, double epsilon);

#endif
