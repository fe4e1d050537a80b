/* ConvLSTM1D, ConvLSTM2D, ConvLSTM3D: LSTM with convolutions for products. */
#include <string.h>

#include "layers/convolution/fields.h"
#include "layers/recurrent/cell.h"
#include "layers/recurrent/rnn.h"
#include "ops/activation.h"
#include "ops/conv_lstm.h"
#include "tensor/tensor.h"

typedef struct conv_cell {
    kl_conv_lstm_args args;
    kl_weight *kernel, *recurrent, *bias;
} conv_cell;

#define ARG(member) offsetof(kl_conv_lstm_args, member)
#define CONV_LSTM_FIELDS(rank)                                                                     \
    {"filters",                                                                                    \
     KL_FIELD_INT,                                                                                 \
     ARG(filters),                                                                                 \
     .doc = "number of output channels",                                                           \
     .min = 1,                                                                                     \
     .max = 2147483647,                                                                            \
     .flags = KL_FIELD_REQUIRED},                                                                  \
        KL_CONV_FIELDS(kl_conv_lstm_args, rank, "valid|same"),                                     \
        {"activation",                                                                             \
         KL_FIELD_ACTIVATION,                                                                      \
         ARG(activation),                                                                          \
         "tanh",                                                                                   \
         .doc = "of the candidate and the output",                                                 \
         .flags = KL_FIELD_OPTIONAL},                                                              \
        KL_GATE_FIELD(kl_conv_lstm_args), KL_RECURRENT_WEIGHT_FIELDS(kl_conv_lstm_args),           \
    {                                                                                              \
        "unit_forget_bias", KL_FIELD_BOOL, ARG(unit_forget_bias), "true",                          \
            .doc = "the forget gate's bias starts at 1"                                            \
    }

/* One class for the cells of all ranks: their layers have checked the sizes of axes. */
static const kl_field cell_fields[] = {
    {"filters", KL_FIELD_INT, ARG(filters), .doc = "number of output channels",
     .flags = KL_FIELD_REQUIRED},
    {"kernel_size", KL_FIELD_DIMS, ARG(kernel_size), .doc = "size of the window", .count = 3},
    {"strides", KL_FIELD_DIMS, ARG(strides), .doc = "step of the window", .count = 3},
    {"dilation_rate", KL_FIELD_DIMS, ARG(dilation_rate), .doc = "spacing of the window",
     .count = 3},
    {"padding", KL_FIELD_STRING, ARG(padding), "valid", .doc = "of the input's product"},
    {"data_format", KL_FIELD_STRING, ARG(data_format), "channels_last",
     .doc = "where the channels stand"},
    {"activation", KL_FIELD_ACTIVATION, ARG(activation), "tanh",
     .doc = "of the candidate and the output", .flags = KL_FIELD_OPTIONAL},
    KL_GATE_FIELD(kl_conv_lstm_args),
    KL_RECURRENT_WEIGHT_FIELDS(kl_conv_lstm_args),
    {"unit_forget_bias", KL_FIELD_BOOL, ARG(unit_forget_bias), "true",
     .doc = "the forget gate's bias starts at 1"},
    {0}};

static kl_conv_options input_product(const conv_cell *s)
{
    kl_conv_options options = {.padding = s->args.padding,
                               .channels_first = kl_is_channels_first(s->args.data_format)};
    memcpy(options.strides, s->args.strides, sizeof options.strides);
    memcpy(options.dilation, s->args.dilation_rate, sizeof options.dilation);
    return options;
}

static kl_weight *add_kernel(kl_layer *self, const char *name, int rank, int64_t channels,
                             kl_named initializer, kl_named regularizer, kl_named constraint)
{
    const conv_cell *s = kl_layer_state(self);
    kl_weight_args args = kl_weight_defaults();
    args.layer = self;
    args.name = name;
    args.initializer = initializer;
    args.regularizer = regularizer;
    args.constraint = constraint;
    memcpy(args.shape, s->args.kernel_size, (size_t)rank * sizeof *args.shape);
    args.shape[rank] = channels;
    args.shape[rank + 1] = 4 * s->args.filters;
    return kl_add_weight_with(&args);
}

static kl_status cell_build(kl_layer *self, const kl_shape *in, int count)
{
    conv_cell *s = kl_layer_state(self);
    const kl_conv_lstm_args *a = &s->args;
    int axis = kl_channel_axis(a->data_format, in[0].rank), rank = in[0].rank - 2;
    int64_t channels = in[0].at[axis];
    for (int i = 1; i < in[0].rank; i++)
        if (in[0].at[i] < 0)
            return kl_error(KL_ERROR_SHAPE, i == axis || axis < 0
                                                ? "the channel dimension must be known, got None"
                                                : "ConvLSTM layers only support static input "
                                                  "shapes for the spatial dimension, got None");
    s->kernel = add_kernel(self, "kernel", rank, channels, a->kernel_initializer,
                           a->kernel_regularizer, a->kernel_constraint);
    if (!s->kernel)
        return kl_last_status();
    s->recurrent = add_kernel(self, "recurrent_kernel", rank, a->filters, a->recurrent_initializer,
                              a->recurrent_regularizer, a->recurrent_constraint);
    if (!s->recurrent)
        return kl_last_status();
    if (!a->use_bias)
        return KL_OK;
    s->bias = kl_add_weight(.layer = self, .name = "bias", .shape = {4 * a->filters},
                            .initializer = a->bias_initializer, .regularizer = a->bias_regularizer,
                            .constraint = a->bias_constraint);
    if (!s->bias)
        return kl_last_status();
    if (a->unit_forget_bias)
        kl_open_forget_gate(s->bias, a->filters);
    return KL_OK;
}

/* A convolution's size of an axis. */
static int64_t conv_size(const conv_cell *s, int axis, int64_t in)
{
    int64_t window = (s->args.kernel_size[axis] - 1) * s->args.dilation_rate[axis] + 1;
    if (in < 0)
        return -1;
    if (!strcmp(s->args.padding, "same"))
        return (in + s->args.strides[axis] - 1) / s->args.strides[axis];
    return in < window ? 0 : (in - window) / s->args.strides[axis] + 1;
}

static kl_status cell_states(const kl_layer *self, const kl_shape *input, kl_shape *states,
                             int *count)
{
    const conv_cell *s = kl_layer_state(self);
    int channel = kl_channel_axis(s->args.data_format, input->rank), space = 0;
    states[0] = (kl_shape){.rank = input->rank, .dtype = self->compute_dtype};
    states[0].at[0] = input->at[0];
    if (channel < 0)
        channel += input->rank;
    for (int i = 1; i < input->rank; i++) {
        states[0].at[i] = i == channel ? s->args.filters : conv_size(s, space, input->at[i]);
        space += i != channel;
        if (!states[0].at[i])
            return kl_error(KL_ERROR_SHAPE,
                            "the window is larger than the input's axis %d of size %lld", i,
                            (long long)input->at[i]);
    }
    states[1] = states[0];
    *count = 2;
    return KL_OK;
}

typedef struct conv_run {
    const conv_cell *cell;
    kl_tensor *recurrent, *keep_state;
    int channel;
} conv_run;

static kl_tensor *conv_step(void *user, kl_tensor *z, kl_tensor *const *states, kl_tensor **next)
{
    const conv_run *run = user;
    kl_conv_options same = {.padding = "same",
                            .channels_first = kl_is_channels_first(run->cell->args.data_format)};
    kl_tensor *h = run->keep_state ? kl_op_mul(states[0], run->keep_state) : states[0];
    z = kl_op_add(z, kl_op_conv(h, run->recurrent, NULL, &same));
    return kl_lstm_step(z, run->channel, run->cell->args.activation,
                        run->cell->args.recurrent_activation, states[1], next);
}

/* The convolution of all steps' inputs at once: steps stand in the place of samples. */
static kl_tensor *convolve_inputs(const conv_cell *s, kl_context *ctx, kl_tensor *x)
{
    int64_t shape[KL_MAX_RANK], batch = x->shape[0], steps = x->shape[1];
    kl_conv_options options = input_product(s);
    shape[0] = batch * steps;
    memcpy(shape + 1, x->shape + 2, (size_t)(x->rank - 2) * sizeof *shape);
    bool stand_in = kl_is_stand_in(x);
    int rank = x->rank - 1;
    x = stand_in ? kl_stand_in((kl_dtype)x->dtype, rank, shape) : kl_op_reshape(x, rank, shape);
    kl_tensor *z =
        x ? kl_op_conv(x, kl_read(ctx, s->kernel), s->bias ? kl_read(ctx, s->bias) : NULL, &options)
          : NULL;
    if (!z)
        return NULL;
    shape[0] = batch;
    shape[1] = steps;
    memcpy(shape + 2, z->shape + 1, (size_t)(rank - 1) * sizeof *shape);
    return stand_in ? kl_stand_in((kl_dtype)z->dtype, rank + 1, shape)
                    : kl_op_reshape(z, rank + 1, shape);
}

/* All steps at once, the channels brought to the last axis and back. */
static kl_status fused(const conv_run *run, kl_tensor *z, kl_tensor **states, kl_tensor **sequence)
{
    bool first = run->channel == 1;
    kl_lstm_result result;
    kl_tensor *h = states[0], *c = states[1];
    if (first) {
        z = kl_op_move_axis(z, 2, -1);
        h = kl_op_move_axis(h, 1, -1);
        c = kl_op_move_axis(c, 1, -1);
    }
    if (!z || !h || !c || kl_op_conv_lstm(z, run->recurrent, h, c, &result))
        return kl_last_status();
    *sequence = first ? kl_op_move_axis(result.sequence, -1, 2) : result.sequence;
    states[0] = first ? kl_op_move_axis(result.h, -1, 1) : result.h;
    states[1] = first ? kl_op_move_axis(result.c, -1, 1) : result.c;
    return *sequence && states[0] && states[1] ? KL_OK : kl_last_status();
}

static kl_status cell_sequence(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *mask,
                               kl_tensor **states, kl_tensor **sequence)
{
    const conv_cell *s = kl_layer_state(self);
    bool training = kl_training(ctx);
    conv_run run = {.cell = s,
                    .recurrent = kl_read(ctx, s->recurrent),
                    .channel = kl_channel_axis(s->args.data_format, x->rank - 1)};
    if (kl_drop_of_state(states[0], s->args.recurrent_dropout, training, &run.keep_state))
        return kl_last_status();
    x = kl_drop_of_steps(x, s->args.dropout, training);
    kl_tensor *z = x ? convolve_inputs(s, ctx, x) : NULL;
    if (!z || !run.recurrent)
        return kl_last_status();
    bool plain = !mask && !run.keep_state && z->dtype == KL_FLOAT32 &&
                 kl_fused_of(s->args.activation) == KL_FUSED_TANH &&
                 kl_fused_of(s->args.recurrent_activation) == KL_FUSED_SIGMOID;
    if (plain)
        return fused(&run, z, states, sequence);
    return kl_run_steps(conv_step, &run, z, mask, 2, states, sequence);
}

static const kl_layer_vtable conv_cell_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ConvLSTMCell",
    .state_size = sizeof(conv_cell),
    .args_size = sizeof(kl_conv_lstm_args),
    .fields = cell_fields,
    .build = cell_build,
    .call = kl_cell_call,
    .cell_states = cell_states,
    .cell_sequence = cell_sequence,
    .flags = KL_LAYER_RANDOM | KL_LAYER_GIVES_STATE,
};

static kl_status layer_init(void *self, int rank)
{
    const kl_rnn_state *s = kl_layer_state(self);
    kl_status status =
        kl_conv_check_strides(rank, s->args.conv.strides, s->args.conv.dilation_rate);
    if (!status)
        status = kl_rnn_init_over(self, ARG(return_sequences), &conv_cell_class);
    return status ? status : kl_set_input_spec(self, 0, (kl_input_spec){.ndim = rank + 3});
}

#define CONV_LSTM(rank)                                                                            \
    static const kl_field fields_##rank[] = {                                                      \
        CONV_LSTM_FIELDS(rank), KL_RNN_FIELDS(kl_conv_lstm_args), {0}};                            \
    static kl_status init_##rank(void *self)                                                       \
    {                                                                                              \
        return layer_init(self, rank);                                                             \
    }                                                                                              \
    const kl_layer_vtable kl_conv_lstm##rank##d_class = {                                          \
        .size = sizeof(kl_layer_vtable),                                                           \
        .class_name = "ConvLSTM" #rank "D",                                                        \
        .state_size = sizeof(kl_rnn_state),                                                        \
        .args_size = sizeof(kl_conv_lstm_args),                                                    \
        .fields = fields_##rank,                                                                   \
        .init = init_##rank,                                                                       \
        KL_RNN_SLOTS,                                                                              \
    };                                                                                             \
    KL_DEFINE_LAYER(kl_conv_lstm##rank##d)

CONV_LSTM(1)
CONV_LSTM(2)
CONV_LSTM(3)
