/* Recurrent layers: https://keras.io/api/layers/recurrent_layers/ */
#ifndef KLAYERS_LAYERS_RECURRENT_H
#define KLAYERS_LAYERS_RECURRENT_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Long short-term memory over [batch, steps, features]: the last output [batch, units], or with
 * return_sequences all of them [batch, steps, units]; with return_state also the states h and c.
 * kl_call_with takes masks [batch, steps] and initial_state {h, c}. stateful keeps the states from
 * one call to the next (of the same batch size) until kl_layer_reset_state().
 */
typedef struct kl_lstm_args {
    KL_LAYER_ARGS
    int64_t units;
    kl_named activation, recurrent_activation;
    bool use_bias;
    kl_named kernel_initializer, recurrent_initializer, bias_initializer;
    bool unit_forget_bias;
    kl_named kernel_regularizer, recurrent_regularizer, bias_regularizer;
    kl_named kernel_constraint, recurrent_constraint, bias_constraint;
    double dropout, recurrent_dropout;
    int64_t seed;
    bool return_sequences, return_state, go_backwards, stateful, unroll;
    bool zero_output_for_mask;
} kl_lstm_args;
KL_API kl_layer *kl_lstm_new(const kl_lstm_args *args);
KL_API kl_lstm_args kl_lstm_defaults(void);
#ifndef __cplusplus
#define kl_lstm(...)                                                                               \
    KL_CALL_(kl_lstm_new, kl_lstm_args,                                                            \
             (KL_LAYER_DEFAULTS, .activation = "tanh", .recurrent_activation = "sigmoid",          \
              .use_bias = true, .kernel_initializer = "glorot_uniform",                            \
              .recurrent_initializer = "orthogonal", .bias_initializer = "zeros",                  \
              .unit_forget_bias = true, .seed = KL_NONE),                                          \
             __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
