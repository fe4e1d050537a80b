/* Recurrent layers and cells: https://keras.io/api/layers/recurrent_layers/ */
#ifndef KLAYERS_LAYERS_RECURRENT_H
#define KLAYERS_LAYERS_RECURRENT_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The arguments that SimpleRNN, GRU, LSTM and their cells share. */
#define KL_CELL_ARGS                                                                               \
    int64_t units;                                                                                 \
    kl_named activation;                                                                           \
    bool use_bias;                                                                                 \
    kl_named kernel_initializer, recurrent_initializer, bias_initializer;                          \
    kl_named kernel_regularizer, recurrent_regularizer, bias_regularizer;                          \
    kl_named kernel_constraint, recurrent_constraint, bias_constraint;                             \
    double dropout, recurrent_dropout;                                                             \
    int64_t seed;
#define KL_CELL_DEFAULTS                                                                           \
    KL_LAYER_DEFAULTS,                                                                             \
        .activation = "tanh", .use_bias = true, .kernel_initializer = "glorot_uniform",            \
        .recurrent_initializer = "orthogonal", .bias_initializer = "zeros", .seed = KL_NONE

/*
 * The arguments that every layer over a cell shares. Inputs are [batch, steps, ...], with
 * time_major (2.15) [steps, batch, ...]. The output is the last one [batch, units], or with
 * return_sequences all of them [batch, steps, units]; return_state adds the states. kl_call_with
 * takes masks [batch, steps] and initial_state. A masked step keeps the states and repeats the
 * output before it, or gives zeros with zero_output_for_mask. stateful keeps the states from one
 * call to the next (of the same batch size) until kl_layer_reset_state(). unroll changes nothing
 * but where zero_output_for_mask puts zeros backwards, as in Keras.
 */
#define KL_RNN_ARGS                                                                                \
    bool return_sequences, return_state, go_backwards, stateful, unroll, time_major;               \
    bool zero_output_for_mask;

/* h' = activation(x * kernel + h * recurrent_kernel + bias). One state. */
typedef struct kl_simple_rnn_cell_args {
    KL_LAYER_ARGS
    KL_CELL_ARGS
} kl_simple_rnn_cell_args;
KL_API kl_layer *kl_simple_rnn_cell_new(const kl_simple_rnn_cell_args *args);
KL_API kl_simple_rnn_cell_args kl_simple_rnn_cell_defaults(void);
#ifndef __cplusplus
#define kl_simple_rnn_cell(...)                                                                    \
    KL_CALL_(kl_simple_rnn_cell_new, kl_simple_rnn_cell_args, (KL_CELL_DEFAULTS), __VA_ARGS__)
#endif

/*
 * Gated recurrent unit (Cho et al. 2014), gates in the order z, r, h. reset_after applies the reset
 * gate after the recurrent product and gives that product a bias of its own: bias [2, 3 units].
 */
typedef struct kl_gru_cell_args {
    KL_LAYER_ARGS
    KL_CELL_ARGS
    kl_named recurrent_activation;
    bool reset_after;
} kl_gru_cell_args;
KL_API kl_layer *kl_gru_cell_new(const kl_gru_cell_args *args);
KL_API kl_gru_cell_args kl_gru_cell_defaults(void);
#ifndef __cplusplus
#define kl_gru_cell(...)                                                                           \
    KL_CALL_(kl_gru_cell_new, kl_gru_cell_args,                                                    \
             (KL_CELL_DEFAULTS, .recurrent_activation = "sigmoid", .reset_after = true),           \
             __VA_ARGS__)
#endif

/*
 * Long short-term memory (Hochreiter and Schmidhuber 1997), gates in the order i, f, c, o; states h
 * and c. unit_forget_bias starts the forget gate's bias at 1.
 */
typedef struct kl_lstm_cell_args {
    KL_LAYER_ARGS
    KL_CELL_ARGS
    kl_named recurrent_activation;
    bool unit_forget_bias;
} kl_lstm_cell_args;
KL_API kl_layer *kl_lstm_cell_new(const kl_lstm_cell_args *args);
KL_API kl_lstm_cell_args kl_lstm_cell_defaults(void);
#ifndef __cplusplus
#define kl_lstm_cell(...)                                                                          \
    KL_CALL_(kl_lstm_cell_new, kl_lstm_cell_args,                                                  \
             (KL_CELL_DEFAULTS, .recurrent_activation = "sigmoid", .unit_forget_bias = true),      \
             __VA_ARGS__)
#endif

/* Cells one over the other as one cell, whose states are theirs in order. Cells end at NULL. */
typedef struct kl_stacked_rnn_cells_args {
    KL_LAYER_ARGS
    kl_layer *cells[KL_MAX_LIST];
} kl_stacked_rnn_cells_args;
KL_API kl_layer *kl_stacked_rnn_cells_new(const kl_stacked_rnn_cells_args *args);
KL_API kl_stacked_rnn_cells_args kl_stacked_rnn_cells_defaults(void);
#ifndef __cplusplus
#define kl_stacked_rnn_cells(...)                                                                  \
    KL_CALL_(kl_stacked_rnn_cells_new, kl_stacked_rnn_cells_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/*
 * Any cell over a sequence. A cell is a layer whose vtable has `cell_states`: those above, or one's
 * own. Constants of the call are handed to a custom cell's (kl_constants).
 */
typedef struct kl_rnn_args {
    KL_LAYER_ARGS
    kl_named cell;
    KL_RNN_ARGS
} kl_rnn_args;
KL_API kl_layer *kl_rnn_new(const kl_rnn_args *args);
KL_API kl_rnn_args kl_rnn_defaults(void);
#ifndef __cplusplus
#define kl_rnn(...) KL_CALL_(kl_rnn_new, kl_rnn_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* kl_simple_rnn_cell over a sequence. */
typedef struct kl_simple_rnn_args {
    KL_LAYER_ARGS
    KL_CELL_ARGS
    KL_RNN_ARGS
} kl_simple_rnn_args;
KL_API kl_layer *kl_simple_rnn_new(const kl_simple_rnn_args *args);
KL_API kl_simple_rnn_args kl_simple_rnn_defaults(void);
#ifndef __cplusplus
#define kl_simple_rnn(...)                                                                         \
    KL_CALL_(kl_simple_rnn_new, kl_simple_rnn_args, (KL_CELL_DEFAULTS), __VA_ARGS__)
#endif

/* kl_gru_cell over a sequence. */
typedef struct kl_gru_args {
    KL_LAYER_ARGS
    KL_CELL_ARGS
    kl_named recurrent_activation;
    bool reset_after;
    KL_RNN_ARGS
} kl_gru_args;
KL_API kl_layer *kl_gru_new(const kl_gru_args *args);
KL_API kl_gru_args kl_gru_defaults(void);
#ifndef __cplusplus
#define kl_gru(...)                                                                                \
    KL_CALL_(kl_gru_new, kl_gru_args,                                                              \
             (KL_CELL_DEFAULTS, .recurrent_activation = "sigmoid", .reset_after = true),           \
             __VA_ARGS__)
#endif

/* kl_lstm_cell over a sequence. */
typedef struct kl_lstm_args {
    KL_LAYER_ARGS
    KL_CELL_ARGS
    kl_named recurrent_activation;
    bool unit_forget_bias;
    KL_RNN_ARGS
} kl_lstm_args;
KL_API kl_layer *kl_lstm_new(const kl_lstm_args *args);
KL_API kl_lstm_args kl_lstm_defaults(void);
#ifndef __cplusplus
#define kl_lstm(...)                                                                               \
    KL_CALL_(kl_lstm_new, kl_lstm_args,                                                            \
             (KL_CELL_DEFAULTS, .recurrent_activation = "sigmoid", .unit_forget_bias = true),      \
             __VA_ARGS__)
#endif

/*
 * A recurrent layer and another that goes the other way (a copy with its own weights, unless
 * backward_layer is given), their outputs merged: "concat", "sum", "mul", "ave", or NULL for both.
 * initial_state has the forward layer's states, then the backward layer's; so have the outputs.
 */
typedef struct kl_bidirectional_args {
    KL_LAYER_ARGS
    kl_named layer, backward_layer;
    const char *merge_mode;
} kl_bidirectional_args;
KL_API kl_layer *kl_bidirectional_new(const kl_bidirectional_args *args);
KL_API kl_bidirectional_args kl_bidirectional_defaults(void);
#ifndef __cplusplus
#define kl_bidirectional(...)                                                                      \
    KL_CALL_(kl_bidirectional_new, kl_bidirectional_args,                                          \
             (KL_LAYER_DEFAULTS, .merge_mode = "concat"), __VA_ARGS__)
#endif

/*
 * A convolutional LSTM (Shi et al. 2015): products of kl_lstm_cell are convolutions, that of the
 * state with "same" padding. Inputs are [batch, steps, rows, columns, channels] in 2D, or with
 * data_format "channels_first" [batch, steps, channels, rows, columns]. kernel_size, strides and
 * dilation_rate: one value for all axes, or one an axis.
 */
typedef struct kl_conv_lstm_args {
    KL_LAYER_ARGS
    int64_t filters, kernel_size[3], strides[3], dilation_rate[3];
    const char *padding, *data_format;
    kl_named activation, recurrent_activation;
    bool use_bias;
    kl_named kernel_initializer, recurrent_initializer, bias_initializer;
    bool unit_forget_bias;
    kl_named kernel_regularizer, recurrent_regularizer, bias_regularizer;
    kl_named kernel_constraint, recurrent_constraint, bias_constraint;
    double dropout, recurrent_dropout;
    int64_t seed;
    KL_RNN_ARGS
} kl_conv_lstm_args;
#define KL_CONV_LSTM_DEFAULTS                                                                      \
    KL_LAYER_DEFAULTS,                                                                             \
        .strides = {1}, .dilation_rate = {1}, .padding = "valid", .data_format = "channels_last",  \
        .activation = "tanh", .recurrent_activation = "sigmoid", .use_bias = true,                 \
        .kernel_initializer = "glorot_uniform", .recurrent_initializer = "orthogonal",             \
        .bias_initializer = "zeros", .unit_forget_bias = true, .seed = KL_NONE
typedef kl_conv_lstm_args kl_conv_lstm1d_args;
KL_API kl_layer *kl_conv_lstm1d_new(const kl_conv_lstm1d_args *args);
KL_API kl_conv_lstm1d_args kl_conv_lstm1d_defaults(void);
typedef kl_conv_lstm_args kl_conv_lstm2d_args;
KL_API kl_layer *kl_conv_lstm2d_new(const kl_conv_lstm2d_args *args);
KL_API kl_conv_lstm2d_args kl_conv_lstm2d_defaults(void);
typedef kl_conv_lstm_args kl_conv_lstm3d_args;
KL_API kl_layer *kl_conv_lstm3d_new(const kl_conv_lstm3d_args *args);
KL_API kl_conv_lstm3d_args kl_conv_lstm3d_defaults(void);
#ifndef __cplusplus
#define kl_conv_lstm1d(...)                                                                        \
    KL_CALL_(kl_conv_lstm1d_new, kl_conv_lstm1d_args, (KL_CONV_LSTM_DEFAULTS), __VA_ARGS__)
#define kl_conv_lstm2d(...)                                                                        \
    KL_CALL_(kl_conv_lstm2d_new, kl_conv_lstm2d_args, (KL_CONV_LSTM_DEFAULTS), __VA_ARGS__)
#define kl_conv_lstm3d(...)                                                                        \
    KL_CALL_(kl_conv_lstm3d_new, kl_conv_lstm3d_args, (KL_CONV_LSTM_DEFAULTS), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
