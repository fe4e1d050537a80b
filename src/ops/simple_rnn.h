/* The fused sequence of SimpleRNN as an op. */
#ifndef KL_OPS_SIMPLE_RNN_H
#define KL_OPS_SIMPLE_RNN_H

#include "klayers/ops.h"
#include "ops/activation.h"

/*
 * z [b, t, u] is x * kernel + bias; recurrent [u, u]; h0 [b, u]; mask [b, t] bool or NULL. All
 * steps' outputs and the last state [b, u]. float32 runs fused; other dtypes step by step.
 */
kl_status kl_op_simple_rnn(kl_tensor *z, kl_tensor *recurrent, kl_tensor *h0, kl_tensor *mask,
                           kl_fused_activation activation, kl_tensor **sequence, kl_tensor **h);

#endif
