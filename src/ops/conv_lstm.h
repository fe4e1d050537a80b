/* The fused sequence of ConvLSTM as an op. */
#ifndef KL_OPS_CONV_LSTM_H
#define KL_OPS_CONV_LSTM_H

#include "ops/lstm.h"

/*
 * z [b, t, places..., 4f] is x * kernel + bias, over 1 to 3 axes of places; recurrent
 * [kernel..., f, 4f]; h0 and c0 [b, places..., f]. Activations are tanh and sigmoid. float32 runs
 * fused; float64 step by step.
 */
kl_status kl_op_conv_lstm(kl_tensor *z, kl_tensor *recurrent, kl_tensor *h0, kl_tensor *c0,
                          kl_lstm_result *result);

#endif
