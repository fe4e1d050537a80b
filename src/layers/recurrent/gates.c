#include "layers/recurrent/gates.h"

#include "tensor/tensor.h"

kl_status kl_gated_build(kl_layer *self, const kl_shape *in, int gates, bool two_biases)
{
    kl_gated_cell *s = kl_layer_state(self);
    const kl_simple_rnn_cell_args *a = &s->args.common;
    int64_t features = in[0].at[1], width;
    if (in[0].rank != 2)
        return kl_error(KL_ERROR_SHAPE, "a step's input has 2 axes, got %d", in[0].rank);
    if (features < 0)
        return kl_error(KL_ERROR_SHAPE, "the last axis of the input must be known, got None");
    width = gates * a->units;
    s->kernel =
        kl_add_weight(.layer = self, .name = "kernel", .shape = {features, width},
                      .initializer = a->kernel_initializer, .regularizer = a->kernel_regularizer,
                      .constraint = a->kernel_constraint);
    s->recurrent = s->kernel ? kl_add_weight(.layer = self, .name = "recurrent_kernel",
                                             .shape = {a->units, width},
                                             .initializer = a->recurrent_initializer,
                                             .regularizer = a->recurrent_regularizer,
                                             .constraint = a->recurrent_constraint)
                             : NULL;
    if (!s->recurrent)
        return kl_last_status();
    if (a->use_bias) {
        kl_weight_args bias = kl_weight_defaults();
        bias.layer = self;
        bias.name = "bias";
        bias.shape[0] = two_biases ? 2 : width;
        bias.shape[1] = two_biases ? width : 0;
        bias.initializer = a->bias_initializer;
        bias.regularizer = a->bias_regularizer;
        bias.constraint = a->bias_constraint;
        s->bias = kl_add_weight_with(&bias);
        if (!s->bias)
            return kl_last_status();
    }
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 2, .axis = 1, .dim = features});
}

kl_status kl_gated_states(const kl_layer *self, const kl_shape *input, kl_shape *states, int count)
{
    const kl_gated_cell *s = kl_layer_state(self);
    for (int i = 0; i < count; i++)
        states[i] = (kl_shape){
            .rank = 2, .at = {input->at[0], s->args.common.units}, .dtype = self->compute_dtype};
    return KL_OK;
}

bool kl_is_half(kl_dtype dtype)
{
    return dtype == KL_FLOAT16 || dtype == KL_BFLOAT16;
}

static kl_tensor *product(const kl_gated_run *run, kl_tensor *x, kl_tensor *kernel, kl_tensor *bias)
{
    if (!bias)
        return kl_op_matmul(x, kernel);
    return run->half ? kl_op_add(kl_op_matmul(x, kernel), bias)
                     : kl_op_dense(x, kernel, bias, NULL);
}

kl_status kl_gated_begin(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *state,
                         kl_tensor *bias, kl_gated_run *run)
{
    const kl_gated_cell *s = kl_layer_state(self);
    const kl_simple_rnn_cell_args *a = &s->args.common;
    bool training = kl_training(ctx);
    if (x->rank != 3)
        return kl_error(KL_ERROR_SHAPE, "a sequence for %s has 3 axes, got %d", self->name,
                        x->rank);
    *run = (kl_gated_run){.cell = s, .recurrent = kl_read(ctx, s->recurrent)};
    if (kl_drop_of_state(state, a->recurrent_dropout, training, &run->keep_state))
        return kl_last_status();
    x = kl_drop_of_steps(x, a->dropout, training);
    kl_tensor *kernel = kl_read(ctx, s->kernel);
    if (!x || !kernel || !run->recurrent)
        return kl_last_status();
    run->half = kl_is_half((kl_dtype)kernel->dtype);
    run->z = product(run, x, kernel, bias);
    run->plain = kl_fused_of(a->activation) == KL_FUSED_TANH && !run->keep_state && !run->half;
    return run->z ? KL_OK : kl_last_status();
}

kl_tensor *kl_gated_recur(const kl_gated_run *run, kl_tensor *state, kl_tensor *recurrent,
                          kl_tensor *bias)
{
    if (run->keep_state)
        state = kl_op_mul(state, run->keep_state);
    return product(run, state, recurrent, bias);
}
