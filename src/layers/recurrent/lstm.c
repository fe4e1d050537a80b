#include "klayers/layers/recurrent.h"

#include <string.h>

#include "layers/layer.h"
#include "ops/activation.h"
#include "ops/lstm.h"
#include "ops/tape.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

typedef struct lstm_state {
    kl_lstm_args args;
    kl_weight *kernel, *recurrent, *bias;
    /* stateful: what the next call starts from, made when the batch is known. */
    kl_weight *h, *c;
} lstm_state;

#define ARG(member) offsetof(kl_lstm_args, member)
static const kl_field lstm_fields[] = {
    {"units", KL_FIELD_INT, ARG(units), .doc = "size of the state", .min = 1, .max = 2147483647,
     .flags = KL_FIELD_REQUIRED},
    {"activation", KL_FIELD_ACTIVATION, ARG(activation), "tanh",
     .doc = "of the candidate and the output", .flags = KL_FIELD_OPTIONAL},
    {"recurrent_activation", KL_FIELD_ACTIVATION, ARG(recurrent_activation), "sigmoid",
     .doc = "of the gates", .flags = KL_FIELD_OPTIONAL},
    {"use_bias", KL_FIELD_BOOL, ARG(use_bias), "true", .doc = "whether a bias is added"},
    {"kernel_initializer", KL_FIELD_INITIALIZER, ARG(kernel_initializer), "glorot_uniform",
     .doc = "of the kernel [features, 4 units]"},
    {"recurrent_initializer", KL_FIELD_INITIALIZER, ARG(recurrent_initializer), "orthogonal",
     .doc = "of the recurrent kernel [units, 4 units]"},
    {"bias_initializer", KL_FIELD_INITIALIZER, ARG(bias_initializer), "zeros",
     .doc = "of the bias [4 units]"},
    {"unit_forget_bias", KL_FIELD_BOOL, ARG(unit_forget_bias), "true",
     .doc = "the forget gate's bias starts at 1"},
    {"kernel_regularizer", KL_FIELD_REGULARIZER, ARG(kernel_regularizer),
     .doc = "penalty on the kernel", .flags = KL_FIELD_OPTIONAL},
    {"recurrent_regularizer", KL_FIELD_REGULARIZER, ARG(recurrent_regularizer),
     .doc = "penalty on the recurrent kernel", .flags = KL_FIELD_OPTIONAL},
    {"bias_regularizer", KL_FIELD_REGULARIZER, ARG(bias_regularizer), .doc = "penalty on the bias",
     .flags = KL_FIELD_OPTIONAL},
    {"activity_regularizer", KL_FIELD_REGULARIZER, ARG(activity_regularizer),
     .doc = "penalty on the output", .flags = KL_FIELD_OPTIONAL},
    {"kernel_constraint", KL_FIELD_CONSTRAINT, ARG(kernel_constraint),
     .doc = "projection of the kernel", .flags = KL_FIELD_OPTIONAL},
    {"recurrent_constraint", KL_FIELD_CONSTRAINT, ARG(recurrent_constraint),
     .doc = "projection of the recurrent kernel", .flags = KL_FIELD_OPTIONAL},
    {"bias_constraint", KL_FIELD_CONSTRAINT, ARG(bias_constraint), .doc = "projection of the bias",
     .flags = KL_FIELD_OPTIONAL},
    {"dropout", KL_FIELD_FLOAT, ARG(dropout), "0", .doc = "fraction of the inputs to drop",
     .min = 0, .max = 1},
    {"recurrent_dropout", KL_FIELD_FLOAT, ARG(recurrent_dropout), "0",
     .doc = "fraction of the state to drop", .min = 0, .max = 1},
    {"seed", KL_FIELD_INT, ARG(seed), .doc = "of the draws", .flags = KL_FIELD_OPTIONAL},
    {"return_sequences", KL_FIELD_BOOL, ARG(return_sequences), "false",
     .doc = "all outputs instead of the last"},
    {"return_state", KL_FIELD_BOOL, ARG(return_state), "false", .doc = "the states too"},
    {"go_backwards", KL_FIELD_BOOL, ARG(go_backwards), "false",
     .doc = "from the last step to the first"},
    {"stateful", KL_FIELD_BOOL, ARG(stateful), "false", .doc = "the states last from call to call"},
    {"unroll", KL_FIELD_BOOL, ARG(unroll), "false", .doc = "the numbers are the same"},
    {"zero_output_for_mask", KL_FIELD_BOOL, ARG(zero_output_for_mask), "false",
     .doc = "masked steps give zeros instead of the output before", .flags = KL_FIELD_HIDDEN},
    {"use_cudnn", KL_FIELD_IGNORED, .doc = "no such device"},
    {"time_major", KL_FIELD_IGNORED, .doc = "2.15: false alone"},
    {0}};

static kl_status lstm_init(void *self)
{
    const lstm_state *s = kl_layer_state(self);
    kl_layer *layer = self;
    layer->stateful = s->args.stateful;
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

/* The forget gate's quarter of the bias is set to 1. */
static kl_status open_forget_gate(kl_weight *bias, int64_t units)
{
    char *data = kl_tensor_mutable_data(bias->value);
    size_t size = kl_dtype_size((kl_dtype)bias->value->dtype);
    kl_fill_elements((kl_dtype)bias->value->dtype, data + (size_t)units * size, units, 1);
    return KL_OK;
}

static kl_weight *add_state(kl_layer *self, const char *name, int64_t batch, int64_t units)
{
    return kl_add_weight(.layer = self, .name = name, .shape = {batch, units}, .trainable = false,
                         .role = KL_WEIGHT_SEED, .initializer = "zeros");
}

static kl_status lstm_build(kl_layer *self, const kl_shape *in, int count)
{
    lstm_state *s = kl_layer_state(self);
    int64_t features = in[0].at[2], units = s->args.units;
    if (features < 0)
        return kl_error(KL_ERROR_SHAPE, "the last axis of the input must be known, got None");
    s->kernel = kl_add_weight(.layer = self, .name = "kernel", .shape = {features, 4 * units},
                              .initializer = s->args.kernel_initializer,
                              .regularizer = s->args.kernel_regularizer,
                              .constraint = s->args.kernel_constraint);
    s->recurrent =
        kl_add_weight(.layer = self, .name = "recurrent_kernel", .shape = {units, 4 * units},
                      .initializer = s->args.recurrent_initializer,
                      .regularizer = s->args.recurrent_regularizer,
                      .constraint = s->args.recurrent_constraint);
    if (!s->kernel || !s->recurrent)
        return kl_last_status();
    if (s->args.use_bias) {
        s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {4 * units},
                                .initializer = s->args.bias_initializer,
                                .regularizer = s->args.bias_regularizer,
                                .constraint = s->args.bias_constraint);
        if (!s->bias)
            return kl_last_status();
        if (s->args.unit_forget_bias)
            open_forget_gate(s->bias, units);
    }
    if (s->args.stateful && in[0].at[0] > 0) {
        s->h = add_state(self, "h", in[0].at[0], units);
        s->c = add_state(self, "c", in[0].at[0], units);
        if (!s->h || !s->c)
            return kl_last_status();
    }
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3, .axis = 2, .dim = features});
}

/* Where a call starts: given states, those of the call before, or zeros. */
static kl_status first_states(const kl_layer *self, kl_context *ctx, const kl_tensor *x,
                              kl_tensor *states[2])
{
    lstm_state *s = kl_layer_state(self);
    kl_tensors given = kl_initial_state(ctx);
    int64_t shape[2] = {x->shape[0], s->args.units};
    if (given.count == 2) {
        for (int i = 0; i < 2; i++)
            states[i] = kl_op_cast(given.at[i], (kl_dtype)x->dtype);
        return states[0] && states[1] ? KL_OK : kl_last_status();
    }
    if (given.count)
        return kl_error(KL_ERROR_SHAPE, "expected initial_state {h, c}, got %d tensors",
                        given.count);
    if (s->args.stateful && !kl_context_shapes_only(ctx)) {
        if (!s->h) {
            /* The batch is known only now; calls of a stateful layer exclude each other. */
            kl_layer *owner = (kl_layer *)(uintptr_t)self;
            bool shapes = kl_shape_mode(false);
            s->h = add_state(owner, "h", shape[0], shape[1]);
            s->c = add_state(owner, "c", shape[0], shape[1]);
            kl_shape_mode(shapes);
            if (!s->h || !s->c)
                return kl_last_status();
        }
        if (s->h->value->shape[0] != shape[0])
            return kl_error(KL_ERROR_SHAPE,
                            "a stateful layer keeps states of one batch size: expected %lld "
                            "samples, got %lld",
                            (long long)s->h->value->shape[0], (long long)shape[0]);
        states[0] = kl_read(ctx, s->h);
        states[1] = kl_read(ctx, s->c);
        return states[0] && states[1] ? KL_OK : kl_last_status();
    }
    states[0] = kl_zeros((kl_dtype)x->dtype, 2, shape);
    states[1] = kl_zeros((kl_dtype)x->dtype, 2, shape);
    return states[0] && states[1] ? KL_OK : kl_last_status();
}

static bool is_plain(const lstm_state *s)
{
    return kl_fused_of(s->args.activation) == KL_FUSED_TANH &&
           kl_fused_of(s->args.recurrent_activation) == KL_FUSED_SIGMOID;
}

/* Step by step through ops, for other activations and a dropped state. */
static kl_status run_steps(const lstm_state *s, kl_tensor *z, kl_tensor *recurrent,
                           kl_tensor *states[2], kl_tensor *mask, double drop,
                           kl_lstm_result *result)
{
    int64_t steps = z->shape[1];
    kl_tensor *h = states[0], *c = states[1], *y = NULL, *keep_state = NULL;
    kl_tensor **outputs = kl_scope_alloc((size_t)(steps + 1) * sizeof *outputs);
    if (!outputs)
        return kl_last_status();
    if (drop > 0) {
        kl_tensor *ones = kl_ones((kl_dtype)h->dtype, h->rank, h->shape);
        keep_state = kl_op_dropout(ones, drop, NULL);
    }
    for (int64_t t = 0; t < steps; t++) {
        kl_tensor *zt = kl_op_squeeze(kl_op_slice(z, 1, t, t + 1, 1), 1), *g[4];
        kl_tensor *from = keep_state ? kl_op_mul(h, keep_state) : h;
        zt = kl_op_add(zt, kl_op_matmul(from, recurrent));
        if (!zt || kl_op_split(zt, 4, -1, g))
            return kl_last_status();
        const kl_activation *gate = s->args.recurrent_activation, *act = s->args.activation;
        kl_tensor *kept = kl_op_mul(kl_activation_call(gate, g[1]), c);
        kl_tensor *fresh = kl_op_mul(kl_activation_call(gate, g[0]), kl_activation_call(act, g[2]));
        kl_tensor *next_c = kl_op_add(kept, fresh);
        kl_tensor *next_h =
            next_c ? kl_op_mul(kl_activation_call(gate, g[3]), kl_activation_call(act, next_c))
                   : NULL;
        kl_tensor *next_y = next_h;
        if (mask) {
            kl_tensor *keep = kl_op_slice(mask, 1, t, t + 1, 1);
            if (!y)
                y = kl_zeros((kl_dtype)h->dtype, h->rank, h->shape);
            next_y = kl_op_where(keep, next_h, y);
            next_h = kl_op_where(keep, next_h, h);
            next_c = kl_op_where(keep, next_c, c);
        }
        h = next_h;
        c = next_c;
        y = outputs[t] = next_y;
    }
    *result = (kl_lstm_result){kl_op_stack((int)steps, outputs, 1), h, c};
    return result->sequence ? KL_OK : kl_last_status();
}

static kl_status run_sequence(const kl_layer *self, kl_context *ctx, kl_tensor *x,
                              kl_tensor *states[2], kl_tensor *mask, kl_lstm_result *result)
{
    const lstm_state *s = kl_layer_state(self);
    bool training = kl_training(ctx);
    if (training && s->args.dropout > 0) {
        int64_t noise[3] = {x->shape[0], 1, x->shape[2]};
        x = kl_op_dropout(x, s->args.dropout, noise);
    }
    kl_tensor *z =
        kl_op_dense(x, kl_read(ctx, s->kernel), s->bias ? kl_read(ctx, s->bias) : NULL, NULL);
    kl_tensor *recurrent = kl_read(ctx, s->recurrent);
    double drop = training ? s->args.recurrent_dropout : 0;
    if (!z || !recurrent)
        return kl_last_status();
    /* A shape run needs no steps. */
    if (!z->buffer || (is_plain(s) && drop == 0))
        return kl_op_lstm(z, recurrent, states[0], states[1], mask, result);
    return run_steps(s, z, recurrent, states, mask, drop, result);
}

static kl_status keep_states(const lstm_state *s, kl_context *ctx, const kl_lstm_result *result)
{
    if (!s->args.stateful || !s->h || kl_context_shapes_only(ctx))
        return KL_OK;
    kl_status status = kl_update(ctx, s->h, result->h);
    return status ? status : kl_update(ctx, s->c, result->c);
}

static kl_tensors lstm_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const lstm_state *s = kl_layer_state(self);
    kl_tensor *x = in.at[0], *mask = kl_input_mask(ctx, 0), *states[2] = {NULL, NULL};
    kl_lstm_result result;
    if (!x->buffer && !x->shape[1])
        return kl_one(NULL);
    if (mask && mask->dtype != KL_BOOL)
        mask = kl_op_cast(mask, KL_BOOL);
    if (s->args.go_backwards) {
        x = kl_op_flip(x, 1);
        mask = mask ? kl_op_flip(mask, 1) : NULL;
    }
    if (!x || first_states(self, ctx, x, states) ||
        run_sequence(self, ctx, x, states, mask, &result) || keep_states(s, ctx, &result))
        return kl_one(NULL);
    kl_tensor *last = kl_op_slice(result.sequence, 1, -1, KL_NONE, 1);
    kl_tensor *sequence = result.sequence;
    if (mask && s->args.zero_output_for_mask && s->args.return_sequences)
        sequence =
            kl_op_mul(sequence, kl_op_cast(kl_op_expand_dims(mask, -1), (kl_dtype)sequence->dtype));
    kl_tensor *out[3] = {s->args.return_sequences ? sequence : kl_op_squeeze(last, 1), result.h,
                         result.c};
    return kl_many(s->args.return_state ? 3 : 1, out);
}

static kl_tensor *lstm_mask(const kl_layer *self, kl_context *ctx, kl_tensors in, kl_tensors masks,
                            kl_tensors out, int index)
{
    const lstm_state *s = kl_layer_state(self);
    return index == 0 && s->args.return_sequences ? masks.at[0] : NULL;
}

static kl_status lstm_reset(kl_layer *self)
{
    lstm_state *s = kl_layer_state(self);
    kl_weight *states[2] = {s->h, s->c};
    for (int i = 0; i < 2; i++)
        if (states[i])
            kl_fill_elements((kl_dtype)states[i]->value->dtype,
                             kl_tensor_mutable_data(states[i]->value), states[i]->value->size, 0);
    return KL_OK;
}

const kl_layer_vtable kl_lstm_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LSTM",
    .state_size = sizeof(lstm_state),
    .args_size = sizeof(kl_lstm_args),
    .fields = lstm_fields,
    .init = lstm_init,
    .build = lstm_build,
    .call = lstm_call,
    .compute_mask = lstm_mask,
    .reset_state = lstm_reset,
    .flags = KL_LAYER_RANDOM,
    .weights_group = "cell",
};

KL_DEFINE_LAYER(kl_lstm)
