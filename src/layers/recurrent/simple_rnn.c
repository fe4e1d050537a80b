/* SimpleRNNCell and SimpleRNN. */
#include <string.h>

#include "layers/recurrent/gates.h"
#include "ops/simple_rnn.h"

static const kl_field cell_fields[] = {KL_CELL_FIELDS(kl_simple_rnn_cell_args), {0}};

static kl_status cell_build(kl_layer *self, const kl_shape *in, int count)
{
    return kl_gated_build(self, in, 1, false);
}

static kl_status cell_states(const kl_layer *self, const kl_shape *input, kl_shape *states,
                             int *count)
{
    *count = 1;
    return kl_gated_states(self, input, states, 1);
}

static kl_tensor *simple_step(void *user, kl_tensor *z, kl_tensor *const *states, kl_tensor **next)
{
    const kl_gated_run *run = user;
    kl_tensor *h = kl_op_add(z, kl_gated_recur(run, states[0], run->recurrent, NULL));
    return next[0] = h ? kl_activation_call(run->cell->args.common.activation, h) : NULL;
}

static bool has_fused_form(const kl_activation *activation)
{
    kl_fused_activation fused = kl_fused_of(activation);
    const kl_object *object = (const kl_object *)activation;
    /* NONE stands for functions without a fused form too. */
    return fused == KL_FUSED_NONE ? !object || !strcmp(object->cls->class_name, "linear")
                                  : fused != KL_FUSED_SOFTMAX;
}

static kl_status cell_sequence(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *mask,
                               kl_tensor **states, kl_tensor **sequence)
{
    const kl_gated_cell *s = kl_layer_state(self);
    kl_gated_run run;
    kl_status status =
        kl_gated_begin(self, ctx, x, states[0], s->bias ? kl_read(ctx, s->bias) : NULL, &run);
    if (status)
        return status;
    const kl_activation *activation = s->args.common.activation;
    if (run.keep_state || run.half || !has_fused_form(activation))
        return kl_run_steps(simple_step, &run, run.z, mask, 1, states, sequence);
    return kl_op_simple_rnn(run.z, run.recurrent, states[0], mask, kl_fused_of(activation),
                            sequence, &states[0]);
}

const kl_layer_vtable kl_simple_rnn_cell_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "SimpleRNNCell",
    .state_size = sizeof(kl_gated_cell),
    .args_size = sizeof(kl_simple_rnn_cell_args),
    .fields = cell_fields,
    .build = cell_build,
    .call = kl_cell_call,
    .cell_states = cell_states,
    .cell_sequence = cell_sequence,
    .flags = KL_LAYER_RANDOM | KL_LAYER_GIVES_STATE,
};
KL_DEFINE_LAYER(kl_simple_rnn_cell)

static const kl_field layer_fields[] = {
    KL_CELL_FIELDS(kl_simple_rnn_args), KL_RNN_FIELDS(kl_simple_rnn_args), {0}};

static kl_status layer_init(void *self)
{
    return kl_rnn_init_over(self, offsetof(kl_simple_rnn_args, return_sequences),
                            &kl_simple_rnn_cell_class);
}

const kl_layer_vtable kl_simple_rnn_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "SimpleRNN",
    .state_size = sizeof(kl_rnn_state),
    .args_size = sizeof(kl_simple_rnn_args),
    .fields = layer_fields,
    .init = layer_init,
    KL_RNN_SLOTS,
};
KL_DEFINE_LAYER(kl_simple_rnn)
