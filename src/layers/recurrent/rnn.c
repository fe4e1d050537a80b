/* RNN, and the base of SimpleRNN, GRU, LSTM and ConvLSTM. */
#include "layers/recurrent/rnn.h"

#include <string.h>

#include "base/alloc.h"
#include "layers/recurrent/cell.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

_Static_assert(sizeof(kl_rnn_options) == 7 * sizeof(bool), "the flags stand side by side");

kl_status kl_rnn_init(kl_layer *self, size_t options, kl_layer *cell)
{
    kl_rnn_state *s = kl_layer_state(self);
    if (!cell)
        return kl_last_status();
    s->options = (kl_rnn_options *)(void *)((char *)s + options);
    s->cell = kl_add_sublayer(self, "cell", cell);
    if (!s->cell)
        return kl_last_status();
    if (!cell->vtable->cell_states)
        return kl_error(KL_ERROR_INVALID,
                        "state_size must be specified as property on the RNN cell: the vtable of "
                        "%s has no cell_states",
                        cell->object.cls->class_name);
    self->stateful = s->options->stateful;
    return KL_OK;
}

kl_status kl_rnn_init_over(kl_layer *self, size_t options, const kl_layer_vtable *cell_class)
{
    char *args = kl_malloc(cell_class->args_size);
    if (!args)
        return KL_ERROR_MEMORY;
    memcpy(args, kl_layer_state(self), cell_class->args_size);
    kl_layer_args *head = (kl_layer_args *)(void *)args;
    *head = (kl_layer_args){.size = cell_class->args_size,
                            .mark = kl_error_count(),
                            .trainable = self->trainable,
                            .dtype = self->policy};
    kl_layer *cell = kl_layer_new(cell_class, args);
    kl_free(args);
    if (cell)
        cell->legacy = self->legacy;
    return kl_rnn_init(self, options, cell);
}

static kl_status add_states(kl_layer *self, const kl_shape *shapes, int count)
{
    kl_rnn_state *s = kl_layer_state(self);
    for (int i = 0; i < count; i++) {
        kl_weight_args args = kl_weight_defaults();
        args.layer = self;
        args.name = "rnn_state";
        args.trainable = false;
        args.role = KL_WEIGHT_SEED;
        args.initializer = "zeros";
        memcpy(args.shape, shapes[i].at, (size_t)shapes[i].rank * sizeof *args.shape);
        s->states[i] = kl_add_weight_with(&args);
        if (!s->states[i])
            return kl_last_status();
        s->state_count = i + 1;
    }
    return KL_OK;
}

/* [batch, ...] of one step from [batch, steps, ...], or [steps, batch, ...]. */
static kl_shape step_shape(const kl_rnn_state *s, const kl_shape *in)
{
    kl_shape step = *in;
    step.rank--;
    step.at[0] = in->at[s->options->time_major ? 1 : 0];
    memmove(step.at + 1, in->at + 2, (size_t)(in->rank - 2) * sizeof *in->at);
    return step;
}

kl_status kl_rnn_build(kl_layer *self, const kl_shape *in, int count)
{
    kl_rnn_state *s = kl_layer_state(self);
    if (in[0].rank < 3)
        return kl_error(KL_ERROR_SHAPE, "expected ndim=3, found ndim=%d", in[0].rank);
    kl_shape step = step_shape(s, in), shapes[KL_MAX_LIST];
    int states;
    kl_status status = kl_layer_build(s->cell, &step, 1);
    if (!status && s->options->stateful && step.at[0] > 0) {
        status = kl_cell_state_shapes(s->cell, &step, shapes, &states);
        status = status ? status : add_states(self, shapes, states);
    }
    if (status)
        return status;
    int last = in[0].rank - 1;
    return kl_set_input_spec(
        self, 0,
        (kl_input_spec){.ndim = in[0].rank,
                        .axis = last,
                        .dim = in[0].at[last] > 0 && in[0].rank == 3 ? in[0].at[last] : 0});
}

/* Stateful: those of the call before. */
static kl_status kept_states(const kl_layer *self, kl_context *ctx, const kl_shape *shapes,
                             int count, kl_tensor **states)
{
    kl_rnn_state *s = kl_layer_state(self);
    if (!s->state_count) {
        /* The batch is known only now; calls of a stateful layer exclude each other. */
        bool stand_ins = kl_shape_mode(false);
        kl_status status = add_states((kl_layer *)(uintptr_t)self, shapes, count);
        kl_shape_mode(stand_ins);
        if (status)
            return status;
    }
    if (s->states[0]->value->shape[0] != shapes[0].at[0])
        return kl_error(KL_ERROR_SHAPE,
                        "a stateful layer keeps states of one batch size: expected %lld samples, "
                        "got %lld",
                        (long long)s->states[0]->value->shape[0], (long long)shapes[0].at[0]);
    for (int i = 0; i < count; i++)
        if (!(states[i] = kl_read(ctx, s->states[i])))
            return kl_last_status();
    return KL_OK;
}

/* Where a call starts: given states, those of the call before, or zeros. */
static kl_status first_states(const kl_layer *self, kl_context *ctx, const kl_tensor *x, int *count,
                              kl_tensor **states)
{
    kl_rnn_state *s = kl_layer_state(self);
    kl_tensors given = kl_initial_state(ctx);
    kl_shape step = {.rank = x->rank - 1, .dtype = (kl_dtype)x->dtype}, shapes[KL_MAX_LIST];
    step.at[0] = x->shape[0];
    memcpy(step.at + 1, x->shape + 2, (size_t)(x->rank - 2) * sizeof *step.at);
    kl_status status = kl_cell_state_shapes(s->cell, &step, shapes, count);
    if (status)
        return status;
    bool stand_in = kl_context_shapes_only(ctx);
    if (stand_in && s->options->stateful && !s->state_count)
        return kl_error(KL_ERROR_SHAPE,
                        "a stateful layer keeps states of one batch size and must know it, got a "
                        "batch of None: give the input a batch_shape");
    if (given.count) {
        for (int i = 0; stand_in && i < *count; i++)
            shapes[i].at[0] = -1;
        status = kl_check_states(shapes, *count, given);
        if (status) {
            kl_error_prefix("initial_state");
            return status;
        }
        memcpy(states, given.at, (size_t)*count * sizeof *states);
        return KL_OK;
    }
    if (s->options->stateful && !stand_in)
        return kept_states(self, ctx, shapes, *count, states);
    for (int i = 0; i < *count; i++)
        if (!(states[i] = kl_zeros(s->cell->compute_dtype, shapes[i].rank, shapes[i].at)))
            return kl_last_status();
    return KL_OK;
}

/* Time before batch, or back. */
static kl_tensor *swap_time(kl_tensor *x)
{
    return x ? kl_op_move_axis(x, 1, 0) : NULL;
}

/* The input and its mask as [batch, steps, ...] in the order that the cell sees them. */
static kl_status prepare(const kl_layer *self, kl_tensor **x, kl_tensor **mask)
{
    const kl_rnn_options *o = ((const kl_rnn_state *)kl_layer_state(self))->options;
    char a[160], b[160];
    if (kl_dtype_is_float((kl_dtype)(*x)->dtype) && (*x)->dtype != (int)self->compute_dtype)
        *x = kl_op_cast(*x, self->compute_dtype);
    if (*x && !kl_dtype_is_float((kl_dtype)(*x)->dtype))
        *x = kl_op_cast(*x, self->compute_dtype);
    if (!*x)
        return kl_last_status();
    if (*mask && ((*mask)->rank != 2 || (*mask)->shape[0] != (*x)->shape[0] ||
                  (*mask)->shape[1] != (*x)->shape[1]))
        return kl_error(KL_ERROR_SHAPE,
                        "the mask must have the first two axes of the input %s, got %s",
                        kl_shape_text((*x)->rank, (*x)->shape, a, sizeof a),
                        kl_shape_text((*mask)->rank, (*mask)->shape, b, sizeof b));
    if (!(*x)->shape[o->time_major ? 0 : 1])
        return kl_error(KL_ERROR_SHAPE, "a sequence has at least 1 step, got shape %s",
                        kl_shape_text((*x)->rank, (*x)->shape, a, sizeof a));
    if (*mask && (*mask)->dtype != KL_BOOL && !(*mask = kl_op_cast(*mask, KL_BOOL)))
        return kl_last_status();
    bool masked = *mask;
    if (o->time_major) {
        *x = swap_time(*x);
        *mask = swap_time(*mask);
    }
    if (o->go_backwards) {
        *x = *x ? kl_op_flip(*x, 1) : NULL;
        *mask = *mask ? kl_op_flip(*mask, 1) : NULL;
    }
    return *x && (*mask || !masked) ? KL_OK : kl_last_status();
}

static kl_status keep_states(const kl_layer *self, kl_context *ctx, int count, kl_tensor **states)
{
    const kl_rnn_state *s = kl_layer_state(self);
    for (int i = 0;
         i < count && s->options->stateful && s->state_count && !kl_context_shapes_only(ctx); i++) {
        kl_tensor *value = kl_op_cast(states[i], (kl_dtype)s->states[i]->value->dtype);
        kl_status status = value ? kl_update(ctx, s->states[i], value) : kl_last_status();
        if (status)
            return status;
    }
    return KL_OK;
}

/* Masked steps as zeros. Unrolled backwards, Keras takes the mask in its first order. */
static kl_tensor *zero_masked(const kl_rnn_options *o, kl_tensor *sequence, kl_tensor *mask)
{
    if (o->unroll && o->go_backwards && o->return_sequences && !(mask = kl_op_flip(mask, 1)))
        return NULL;
    int64_t shape[KL_MAX_RANK] = {mask->shape[0], mask->shape[1]};
    for (int i = 2; i < sequence->rank; i++)
        shape[i] = 1;
    kl_tensor *keep = kl_op_reshape(mask, sequence->rank, shape);
    return keep ? kl_op_mul(sequence, kl_op_cast(keep, (kl_dtype)sequence->dtype)) : NULL;
}

/* The output of the last step. */
static kl_tensor *last_of(const kl_rnn_state *s, kl_tensor *sequence, const kl_tensor *mask,
                          kl_tensor *first_state)
{
    if (!mask && s->cell->vtable->flags & KL_LAYER_GIVES_STATE)
        return first_state;
    if (kl_is_stand_in(sequence)) {
        int64_t shape[KL_MAX_RANK] = {sequence->shape[0]};
        memcpy(shape + 1, sequence->shape + 2, (size_t)(sequence->rank - 2) * sizeof *shape);
        return kl_stand_in((kl_dtype)sequence->dtype, sequence->rank - 1, shape);
    }
    kl_tensor *last = kl_op_slice(sequence, 1, -1, KL_NONE, 1);
    return last ? kl_op_squeeze(last, 1) : NULL;
}

kl_tensors kl_rnn_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_rnn_state *s = kl_layer_state(self);
    kl_tensor *x = in.at[0], *mask = kl_input_mask(ctx, 0), *sequence = NULL;
    kl_tensor *out[KL_MAX_LIST + 1], **states = out + 1;
    int count;
    if (prepare(self, &x, &mask) || first_states(self, ctx, x, &count, states) ||
        kl_run_cell(s->cell, ctx, x, mask, count, states, &sequence) ||
        keep_states(self, ctx, count, states))
        return kl_one(NULL);
    if (mask && s->options->zero_output_for_mask &&
        !(sequence = zero_masked(s->options, sequence, mask)))
        return kl_one(NULL);
    if (!s->options->return_sequences)
        sequence = last_of(s, sequence, mask, states[0]);
    else if (s->options->time_major)
        sequence = swap_time(sequence);
    out[0] = sequence;
    int outputs = s->options->return_state ? count + 1 : 1;
    for (int i = 0; i < outputs; i++)
        if (out[i] && out[i]->dtype != (int)self->compute_dtype)
            out[i] = kl_op_cast(out[i], self->compute_dtype);
    return kl_many(outputs, out);
}

kl_tensor *kl_rnn_mask(const kl_layer *self, kl_context *ctx, kl_tensors in, kl_tensors masks,
                       kl_tensors out, int index)
{
    const kl_rnn_state *s = kl_layer_state(self);
    return index == 0 && s->options->return_sequences ? masks.at[0] : NULL;
}

kl_status kl_rnn_reset(kl_layer *self)
{
    kl_rnn_state *s = kl_layer_state(self);
    for (int i = 0; i < s->state_count; i++) {
        kl_tensor *value = s->states[i]->value;
        kl_fill_elements((kl_dtype)value->dtype, kl_tensor_mutable_data(value), value->size, 0);
    }
    return KL_OK;
}

static const kl_field rnn_fields[] = {{"cell", KL_FIELD_LAYER, offsetof(kl_rnn_args, cell),
                                       .doc = "what is done at each step",
                                       .flags = KL_FIELD_REQUIRED},
                                      KL_RNN_FIELDS(kl_rnn_args),
                                      {0}};

static kl_status rnn_init(void *self)
{
    const kl_rnn_args *args = kl_layer_state(self);
    if (!args->cell)
        return kl_error(KL_ERROR_INVALID, "cell must be given");
    return kl_rnn_init(self, offsetof(kl_rnn_args, return_sequences),
                       (kl_layer *)(uintptr_t)args->cell);
}

const kl_layer_vtable kl_rnn_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RNN",
    .state_size = sizeof(kl_rnn_state),
    .args_size = sizeof(kl_rnn_args),
    .fields = rnn_fields,
    .init = rnn_init,
    KL_RNN_SLOTS,
};
KL_DEFINE_LAYER(kl_rnn)
