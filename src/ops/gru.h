/* The fused GRU sequence as an op. */
#ifndef KL_OPS_GRU_H
#define KL_OPS_GRU_H

#include "klayers/ops.h"

/*
 * z [b, t, 3u] is x * kernel + bias; recurrent [u, 3u]; bias [3u] of the state's product, or NULL;
 * h0 [b, u]; mask [b, t] bool or NULL. The reset gate applies after the product; activations are
 * tanh and sigmoid. float32 runs fused; float64 step by step. The outputs are all steps [b, t, u]
 * and the last state.
 */
kl_status kl_op_gru(kl_tensor *z, kl_tensor *recurrent, kl_tensor *bias, kl_tensor *h0,
                    kl_tensor *mask, kl_tensor **sequence, kl_tensor **h);

#endif
