/* LSTMCell and LSTM. */
#include "layers/recurrent/gates.h"
#include "ops/lstm.h"
#include "tensor/tensor.h"

static const kl_field cell_fields[] = {KL_CELL_FIELDS(kl_lstm_cell_args),
                                       KL_GATE_FIELD(kl_lstm_cell_args),
                                       {"unit_forget_bias", KL_FIELD_BOOL,
                                        offsetof(kl_lstm_cell_args, unit_forget_bias), "true",
                                        .doc = "the forget gate's bias starts at 1"},
                                       {0}};

static kl_status cell_build(kl_layer *self, const kl_shape *in, int count)
{
    const kl_gated_cell *s = kl_layer_state(self);
    kl_status status = kl_gated_build(self, in, 4, false);
    if (!status && s->bias && s->args.lstm.unit_forget_bias)
        kl_open_forget_gate(s->bias, s->args.lstm.units);
    return status;
}

static kl_status cell_states(const kl_layer *self, const kl_shape *input, kl_shape *states,
                             int *count)
{
    *count = 2;
    return kl_gated_states(self, input, states, 2);
}

static kl_tensor *lstm_step(void *user, kl_tensor *z, kl_tensor *const *states, kl_tensor **next)
{
    const kl_gated_run *run = user;
    const kl_lstm_cell_args *a = &run->cell->args.lstm;
    z = kl_op_add(z, kl_gated_recur(run, states[0], run->recurrent, NULL));
    if (run->recurrent_bias)
        z = kl_op_add(z, run->recurrent_bias);
    return kl_lstm_step(z, -1, a->activation, a->recurrent_activation, states[1], next);
}

static kl_status cell_sequence(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *mask,
                               kl_tensor **states, kl_tensor **sequence)
{
    const kl_gated_cell *s = kl_layer_state(self);
    /* In half precision the bias is added last. */
    kl_tensor *bias = s->bias ? kl_read(ctx, s->bias) : NULL;
    bool late = bias && kl_is_half((kl_dtype)bias->dtype);
    kl_gated_run run;
    kl_status status = kl_gated_begin(self, ctx, x, states[0], late ? NULL : bias, &run);
    if (status)
        return status;
    run.recurrent_bias = late ? bias : NULL;
    if (!run.plain || kl_fused_of(s->args.lstm.recurrent_activation) != KL_FUSED_SIGMOID)
        return kl_run_steps(lstm_step, &run, run.z, mask, 2, states, sequence);
    kl_lstm_result result;
    status = kl_op_lstm(run.z, run.recurrent, states[0], states[1], mask, &result);
    *sequence = result.sequence;
    states[0] = result.h;
    states[1] = result.c;
    return status;
}

const kl_layer_vtable kl_lstm_cell_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LSTMCell",
    .state_size = sizeof(kl_gated_cell),
    .args_size = sizeof(kl_lstm_cell_args),
    .fields = cell_fields,
    .build = cell_build,
    .call = kl_cell_call,
    .cell_states = cell_states,
    .cell_sequence = cell_sequence,
    .flags = KL_LAYER_RANDOM | KL_LAYER_GIVES_STATE,
};
KL_DEFINE_LAYER(kl_lstm_cell)

static const kl_field layer_fields[] = {KL_CELL_FIELDS(kl_lstm_args),
                                        KL_GATE_FIELD(kl_lstm_args),
                                        {"unit_forget_bias", KL_FIELD_BOOL,
                                         offsetof(kl_lstm_args, unit_forget_bias), "true",
                                         .doc = "the forget gate's bias starts at 1"},
                                        KL_RNN_FIELDS(kl_lstm_args),
                                        {0}};

static kl_status layer_init(void *self)
{
    return kl_rnn_init_over(self, offsetof(kl_lstm_args, return_sequences), &kl_lstm_cell_class);
}

const kl_layer_vtable kl_lstm_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LSTM",
    .state_size = sizeof(kl_rnn_state),
    .args_size = sizeof(kl_lstm_args),
    .fields = layer_fields,
    .init = layer_init,
    KL_RNN_SLOTS,
};
KL_DEFINE_LAYER(kl_lstm)
