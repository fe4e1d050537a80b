/* Cells, and running them over sequences. */
#ifndef KL_LAYERS_RECURRENT_CELL_H
#define KL_LAYERS_RECURRENT_CELL_H

#include "klayers/layers/recurrent.h"
#include "layers/layer.h"

/* One step: the output, and the new states into next[]; NULL on error. */
typedef kl_tensor *kl_step(void *user, kl_tensor *input, kl_tensor *const *states,
                           kl_tensor **next);
/* A step after another over x [batch, steps, ...], as kl_layer_vtable.cell_sequence has it. */
kl_status kl_run_steps(kl_step *step, void *user, kl_tensor *x, kl_tensor *mask, int count,
                       kl_tensor **states, kl_tensor **sequence);

/* Any cell over a sequence; KL_ERROR_INVALID for constants that it can't take. */
kl_status kl_run_cell(const kl_layer *cell, kl_context *ctx, kl_tensor *x, kl_tensor *mask,
                      int count, kl_tensor **states, kl_tensor **sequence);
/* The shapes of a cell's states; KL_ERROR_INVALID if the layer is no cell. */
kl_status kl_cell_state_shapes(const kl_layer *cell, const kl_shape *input, kl_shape *states,
                               int *count);
/* Whether states given to a call are as many as a cell keeps, and of their shapes; a size of -1
   fits any. */
kl_status kl_check_states(const kl_shape *shapes, int count, kl_tensors given);
/* The call of a cell that has a cell_sequence: one step of it. */
kl_tensors kl_cell_call(const kl_layer *self, kl_context *ctx, kl_tensors in);
/* A fresh layer of the same class and arguments, those of layers within copied too. */
kl_layer *kl_layer_copy(const kl_layer *layer);

/* An LSTM's gates from z, the four along an axis, with its cell state c; next[] gets h and c. */
kl_tensor *kl_lstm_step(kl_tensor *z, int axis, const kl_activation *activation,
                        const kl_activation *gate, kl_tensor *c, kl_tensor **next);
/* The forget gate's quarter of the bias is set to 1. */
void kl_open_forget_gate(kl_weight *bias, int64_t units);
/* A share of x dropped, the same elements in every step; x itself where nothing is to drop. */
kl_tensor *kl_drop_of_steps(kl_tensor *x, double rate, bool training);
/* What a state is multiplied with at every step to drop a share of it; NULL where
   nothing is to drop. */
kl_status kl_drop_of_state(kl_tensor *state, double rate, bool training, kl_tensor **keep);

extern const kl_layer_vtable kl_stacked_rnn_cells_class;

/* The fields of KL_CELL_ARGS in a struct of type T. */
#define KL_CELL_FIELDS(T)                                                                          \
    {"units",  KL_FIELD_INT,      offsetof(T, units),        .doc = "size of the state",           \
     .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},                                     \
        {"activation",                                                                             \
         KL_FIELD_ACTIVATION,                                                                      \
         offsetof(T, activation),                                                                  \
         "tanh",                                                                                   \
         .doc = "of the output or the candidate",                                                  \
         .flags = KL_FIELD_OPTIONAL},                                                              \
        KL_RECURRENT_WEIGHT_FIELDS(T)
#define KL_RECURRENT_WEIGHT_FIELDS(T)                                                              \
    {"use_bias", KL_FIELD_BOOL, offsetof(T, use_bias), "true", .doc = "whether a bias is added"},  \
        {"kernel_initializer", KL_FIELD_INITIALIZER, offsetof(T, kernel_initializer),              \
         "glorot_uniform", .doc = "of the kernel"},                                                \
        {"recurrent_initializer", KL_FIELD_INITIALIZER, offsetof(T, recurrent_initializer),        \
         "orthogonal", .doc = "of the recurrent kernel"},                                          \
        {"bias_initializer", KL_FIELD_INITIALIZER, offsetof(T, bias_initializer), "zeros",         \
         .doc = "of the bias"},                                                                    \
        {"kernel_regularizer", KL_FIELD_REGULARIZER, offsetof(T, kernel_regularizer),              \
         .doc = "penalty on the kernel", .flags = KL_FIELD_OPTIONAL},                              \
        {"recurrent_regularizer", KL_FIELD_REGULARIZER, offsetof(T, recurrent_regularizer),        \
         .doc = "penalty on the recurrent kernel", .flags = KL_FIELD_OPTIONAL},                    \
        {"bias_regularizer", KL_FIELD_REGULARIZER, offsetof(T, bias_regularizer),                  \
         .doc = "penalty on the bias", .flags = KL_FIELD_OPTIONAL},                                \
        {"kernel_constraint", KL_FIELD_CONSTRAINT, offsetof(T, kernel_constraint),                 \
         .doc = "projection of the kernel", .flags = KL_FIELD_OPTIONAL},                           \
        {"recurrent_constraint", KL_FIELD_CONSTRAINT, offsetof(T, recurrent_constraint),           \
         .doc = "projection of the recurrent kernel", .flags = KL_FIELD_OPTIONAL},                 \
        {"bias_constraint", KL_FIELD_CONSTRAINT, offsetof(T, bias_constraint),                     \
         .doc = "projection of the bias", .flags = KL_FIELD_OPTIONAL},                             \
        {"dropout",                                                                                \
         KL_FIELD_FLOAT,                                                                           \
         offsetof(T, dropout),                                                                     \
         "0",                                                                                      \
         .doc = "fraction of the inputs to drop",                                                  \
         .min = 0,                                                                                 \
         .max = 1},                                                                                \
        {"recurrent_dropout",                                                                      \
         KL_FIELD_FLOAT,                                                                           \
         offsetof(T, recurrent_dropout),                                                           \
         "0",                                                                                      \
         .doc = "fraction of the state to drop",                                                   \
         .min = 0,                                                                                 \
         .max = 1},                                                                                \
    {                                                                                              \
        "seed", KL_FIELD_INT, offsetof(T, seed), .doc = "of the draws", .flags = KL_FIELD_OPTIONAL \
    }
#define KL_GATE_FIELD(T)                                                                           \
    {                                                                                              \
        "recurrent_activation", KL_FIELD_ACTIVATION, offsetof(T, recurrent_activation), "sigmoid", \
            .doc = "of the gates", .flags = KL_FIELD_OPTIONAL                                      \
    }

#endif
