/* GRUCell and GRU. */
#include "layers/recurrent/gates.h"
#include "ops/gru.h"
#include "tensor/tensor.h"

static const kl_field cell_fields[] = {KL_CELL_FIELDS(kl_gru_cell_args),
                                       KL_GATE_FIELD(kl_gru_cell_args),
                                       {"reset_after", KL_FIELD_BOOL,
                                        offsetof(kl_gru_cell_args, reset_after), "true",
                                        .doc = "the reset gate applies after the product"},
                                       {0}};

static kl_status cell_build(kl_layer *self, const kl_shape *in, int count)
{
    const kl_gated_cell *s = kl_layer_state(self);
    return kl_gated_build(self, in, 3, s->args.gru.reset_after);
}

static kl_status cell_states(const kl_layer *self, const kl_shape *input, kl_shape *states,
                             int *count)
{
    *count = 1;
    return kl_gated_states(self, input, states, 1);
}

/* The gates' parts of the state's product; the candidate's comes after, or with the reset. */
static kl_tensor *gru_step(void *user, kl_tensor *x, kl_tensor *const *states, kl_tensor **next)
{
    const kl_gated_run *run = user;
    const kl_gru_cell_args *a = &run->cell->args.gru;
    kl_tensor *xs[3], *hs[3], *h = states[0];
    if (!x || kl_op_split(x, 3, -1, xs))
        return NULL;
    kl_tensor *product = a->reset_after
                             ? kl_gated_recur(run, h, run->recurrent, run->recurrent_bias)
                             : kl_gated_recur(run, h, run->recurrent_gates, NULL);
    if (!product || kl_op_split(product, a->reset_after ? 3 : 2, -1, hs))
        return NULL;
    kl_tensor *z = kl_activation_call(a->recurrent_activation, kl_op_add(xs[0], hs[0]));
    kl_tensor *r = kl_activation_call(a->recurrent_activation, kl_op_add(xs[1], hs[1]));
    kl_tensor *reset = a->reset_after
                           ? kl_op_mul(r, hs[2])
                           : kl_gated_recur(run, kl_op_mul(r, h), run->recurrent_candidate, NULL);
    kl_tensor *candidate = kl_op_add(xs[2], reset);
    if (!z || !candidate)
        return NULL;
    candidate = kl_activation_call(a->activation, candidate);
    if (run->half) {
        kl_tensor *fresh = kl_op_mul(kl_op_rsub_scalar(z, 1), candidate);
        return next[0] = kl_op_add(kl_op_mul(z, h), fresh);
    }
    return next[0] = kl_op_add(candidate, kl_op_mul(z, kl_op_sub(h, candidate)));
}

/* A bias [2, 3 units] as its two rows. */
static kl_tensor *bias_row(kl_tensor *bias, int row)
{
    return kl_op_squeeze(kl_op_slice(bias, 0, row, row + 1, 1), 0);
}

static kl_status cell_sequence(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *mask,
                               kl_tensor **states, kl_tensor **sequence)
{
    const kl_gated_cell *s = kl_layer_state(self);
    const kl_gru_cell_args *a = &s->args.gru;
    kl_tensor *bias = s->bias ? kl_read(ctx, s->bias) : NULL;
    kl_tensor *of_input = bias && a->reset_after ? bias_row(bias, 0) : bias;
    kl_gated_run run;
    kl_status status = kl_gated_begin(self, ctx, x, states[0], of_input, &run);
    if (status)
        return status;
    if (bias && a->reset_after && !(run.recurrent_bias = bias_row(bias, 1)))
        return kl_last_status();
    if (a->reset_after && run.plain && kl_fused_of(a->recurrent_activation) == KL_FUSED_SIGMOID)
        return kl_op_gru(run.z, run.recurrent, run.recurrent_bias, states[0], mask, sequence,
                         &states[0]);
    if (!a->reset_after) {
        run.recurrent_gates = kl_op_slice(run.recurrent, 1, 0, 2 * a->units, 1);
        run.recurrent_candidate = kl_op_slice(run.recurrent, 1, 2 * a->units, KL_NONE, 1);
        if (!run.recurrent_gates || !run.recurrent_candidate)
            return kl_last_status();
    }
    return kl_run_steps(gru_step, &run, run.z, mask, 1, states, sequence);
}

const kl_layer_vtable kl_gru_cell_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GRUCell",
    .state_size = sizeof(kl_gated_cell),
    .args_size = sizeof(kl_gru_cell_args),
    .fields = cell_fields,
    .build = cell_build,
    .call = kl_cell_call,
    .cell_states = cell_states,
    .cell_sequence = cell_sequence,
    .flags = KL_LAYER_RANDOM | KL_LAYER_GIVES_STATE,
};
KL_DEFINE_LAYER(kl_gru_cell)

static const kl_field layer_fields[] = {KL_CELL_FIELDS(kl_gru_args),
                                        KL_GATE_FIELD(kl_gru_args),
                                        {"reset_after", KL_FIELD_BOOL,
                                         offsetof(kl_gru_args, reset_after), "true",
                                         .doc = "the reset gate applies after the product"},
                                        KL_RNN_FIELDS(kl_gru_args),
                                        {0}};

static kl_status layer_init(void *self)
{
    return kl_rnn_init_over(self, offsetof(kl_gru_args, return_sequences), &kl_gru_cell_class);
}

const kl_layer_vtable kl_gru_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GRU",
    .state_size = sizeof(kl_rnn_state),
    .args_size = sizeof(kl_gru_args),
    .fields = layer_fields,
    .init = layer_init,
    KL_RNN_SLOTS,
};
KL_DEFINE_LAYER(kl_gru)
