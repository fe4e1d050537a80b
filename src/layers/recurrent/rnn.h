/* The base of all layers over a cell. */
#ifndef KL_LAYERS_RECURRENT_RNN_H
#define KL_LAYERS_RECURRENT_RNN_H

#include "klayers/layers/recurrent.h"
#include "layers/layer.h"

/* KL_RNN_ARGS as a struct of its own. */
typedef struct kl_rnn_options {
    KL_RNN_ARGS
} kl_rnn_options;

/* The state of all these layers. */
typedef struct kl_rnn_state {
    union {
        kl_rnn_args rnn;
        kl_simple_rnn_args simple;
        kl_gru_args gru;
        kl_lstm_args lstm;
        kl_conv_lstm_args conv;
    } args;
    kl_rnn_options *options; /* in args */
    kl_layer *cell;
    /* stateful: what the next call starts from, made when the batch is known. */
    kl_weight *states[KL_MAX_LIST];
    int state_count;
} kl_rnn_state;

/* `options`: where the argument struct has KL_RNN_ARGS, return_sequences first. The cell is taken
   over. */
kl_status kl_rnn_init(kl_layer *self, size_t options, kl_layer *cell);
/* The same over a new cell, whose argument struct is how the layer's own begins. */
kl_status kl_rnn_init_over(kl_layer *self, size_t options, const kl_layer_vtable *cell_class);
kl_status kl_rnn_build(kl_layer *self, const kl_shape *in, int count);
kl_tensors kl_rnn_call(const kl_layer *self, kl_context *ctx, kl_tensors in);
kl_tensor *kl_rnn_mask(const kl_layer *self, kl_context *ctx, kl_tensors in, kl_tensors masks,
                       kl_tensors out, int index);
kl_status kl_rnn_reset(kl_layer *self);

#define KL_RNN_SLOTS                                                                               \
    .build = kl_rnn_build, .call = kl_rnn_call, .compute_mask = kl_rnn_mask,                       \
    .reset_state = kl_rnn_reset, .flags = KL_LAYER_NO_AUTOCAST

#define KL_RNN_FIELDS(T)                                                                           \
    {"activity_regularizer", KL_FIELD_REGULARIZER, offsetof(T, activity_regularizer),              \
     .doc = "penalty on the output", .flags = KL_FIELD_OPTIONAL},                                  \
        {"return_sequences", KL_FIELD_BOOL, offsetof(T, return_sequences), "false",                \
         .doc = "all outputs instead of the last"},                                                \
        {"return_state", KL_FIELD_BOOL, offsetof(T, return_state), "false",                        \
         .doc = "the states too"},                                                                 \
        {"go_backwards", KL_FIELD_BOOL, offsetof(T, go_backwards), "false",                        \
         .doc = "from the last step to the first"},                                                \
        {"stateful", KL_FIELD_BOOL, offsetof(T, stateful), "false",                                \
         .doc = "the states last from call to call"},                                              \
        {"unroll", KL_FIELD_BOOL, offsetof(T, unroll), "false",                                    \
         .doc = "the numbers are the same"},                                                       \
        {"time_major",                                                                             \
         KL_FIELD_BOOL,                                                                            \
         offsetof(T, time_major),                                                                  \
         "false",                                                                                  \
         .doc = "2.15: steps before samples",                                                      \
         .flags = KL_FIELD_HIDDEN},                                                                \
        {"zero_output_for_mask", KL_FIELD_BOOL, offsetof(T, zero_output_for_mask), "false",        \
         .doc = "masked steps give zeros instead of the output before"},                           \
    {                                                                                              \
        "use_cudnn", KL_FIELD_IGNORED, .doc = "no such device"                                     \
    }

#endif
