/* The fused LSTM sequence as an op. */
#ifndef KL_OPS_LSTM_H
#define KL_OPS_LSTM_H

#include "klayers/ops.h"

/* Outputs of a sequence: all steps [b, t, u] and the last states [b, u]. */
typedef struct kl_lstm_result {
    kl_tensor *sequence, *h, *c;
} kl_lstm_result;

/*
 * z [b, t, 4u] is x * kernel + bias; recurrent [u, 4u]; h0 and c0 [b, u]; mask [b, t] bool or NULL.
 * Activations are tanh and sigmoid. float32 runs fused; float64 step by step.
 */
kl_status kl_op_lstm(kl_tensor *z, kl_tensor *recurrent, kl_tensor *h0, kl_tensor *c0,
                     kl_tensor *mask, kl_lstm_result *result);

#endif
