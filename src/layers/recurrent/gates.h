/* What SimpleRNN, GRU and LSTM share: a cell with two kernels and a bias, and a layer over it. */
#ifndef KL_LAYERS_RECURRENT_GATES_H
#define KL_LAYERS_RECURRENT_GATES_H

#include "layers/recurrent/cell.h"
#include "layers/recurrent/rnn.h"
#include "ops/activation.h"

/* The state of all three cells; their argument structs begin alike. */
typedef struct kl_gated_cell {
    union {
        kl_simple_rnn_cell_args common;
        kl_gru_cell_args gru;
        kl_lstm_cell_args lstm;
    } args;
    kl_weight *kernel, *recurrent, *bias;
} kl_gated_cell;

/* For one step's input [batch, features]: kernel [features, gates units], recurrent_kernel
   [units, gates units], bias [gates units], or [2, gates units] with two of them. */
kl_status kl_gated_build(kl_layer *self, const kl_shape *in, int gates, bool two_biases);
/* `count` states of [batch, units]. */
kl_status kl_gated_states(const kl_layer *self, const kl_shape *input, kl_shape *states, int count);

/* What the steps of a sequence need, made before the first one. */
typedef struct kl_gated_run {
    const kl_gated_cell *cell;
    kl_tensor *z;         /* x * kernel + bias of all steps */
    bool half;            /* float16 or bfloat16: rounded wherever Keras rounds */
    kl_tensor *recurrent; /* in the compute dtype */
    kl_tensor *recurrent_bias;
    kl_tensor *recurrent_gates, *recurrent_candidate; /* parts of `recurrent`, where needed */
    kl_tensor *keep_state; /* multiplies the state that is fed back, or NULL */
    bool plain;            /* tanh, sigmoid, nothing dropped: the fused kernels' case */
} kl_gated_run;
bool kl_is_half(kl_dtype dtype);
/* bias may be NULL. */
kl_status kl_gated_begin(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *state,
                         kl_tensor *bias, kl_gated_run *run);
/* The state that is fed back, multiplied by the recurrent kernel, plus bias if not NULL. */
kl_tensor *kl_gated_recur(const kl_gated_run *run, kl_tensor *state, kl_tensor *recurrent,
                          kl_tensor *bias);

#endif
