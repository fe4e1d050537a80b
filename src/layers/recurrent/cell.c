/* Running cells over sequences, and StackedRNNCells. */
#include "layers/recurrent/cell.h"

#include <string.h>

#include "base/alloc.h"
#include "objects/object.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

void kl_open_forget_gate(kl_weight *bias, int64_t units)
{
    char *data = kl_tensor_mutable_data(bias->value);
    size_t size = kl_dtype_size((kl_dtype)bias->value->dtype);
    kl_fill_elements((kl_dtype)bias->value->dtype, data + (size_t)units * size, units, 1);
}

kl_tensor *kl_lstm_step(kl_tensor *z, int axis, const kl_activation *activation,
                        const kl_activation *gate, kl_tensor *c, kl_tensor **next)
{
    kl_tensor *g[4];
    if (!z || kl_op_split(z, 4, axis, g))
        return NULL;
    kl_tensor *kept = kl_op_mul(kl_activation_call(gate, g[1]), c);
    kl_tensor *fresh =
        kl_op_mul(kl_activation_call(gate, g[0]), kl_activation_call(activation, g[2]));
    next[1] = kl_op_add(kept, fresh);
    if (!next[1])
        return NULL;
    kl_tensor *shown = kl_activation_call(activation, next[1]);
    return next[0] = kl_op_mul(kl_activation_call(gate, g[3]), shown);
}

kl_tensor *kl_drop_of_steps(kl_tensor *x, double rate, bool training)
{
    if (!training || rate <= 0 || rate >= 1 || !x)
        return x;
    int64_t noise[KL_MAX_RANK];
    memcpy(noise, x->shape, sizeof noise);
    noise[1] = 1;
    return kl_op_dropout(x, rate, noise);
}

kl_status kl_drop_of_state(kl_tensor *state, double rate, bool training, kl_tensor **keep)
{
    *keep = NULL;
    if (!training || rate <= 0 || rate >= 1)
        return KL_OK;
    kl_tensor *ones = kl_ones((kl_dtype)state->dtype, state->rank, state->shape);
    *keep = kl_op_dropout(ones, rate, NULL);
    return *keep ? KL_OK : kl_last_status();
}

/* The mask of a step [batch, 1, ...], of as many axes as the tensor. */
static kl_tensor *keep_for(kl_tensor *keep, const kl_tensor *like)
{
    int64_t shape[KL_MAX_RANK] = {keep->shape[0]};
    for (int i = 1; i < like->rank; i++)
        shape[i] = 1;
    return keep->rank == like->rank ? keep : kl_op_reshape(keep, like->rank, shape);
}

/* Where a step is masked, the state before stays, and so does the output. */
static kl_status hold_masked(kl_tensor *keep, kl_tensor *before, int count,
                             kl_tensor *const *states, kl_tensor **y, kl_tensor **next)
{
    if (!before)
        before = kl_zeros((kl_dtype)(*y)->dtype, (*y)->rank, (*y)->shape);
    *y = before && keep ? kl_op_where(keep_for(keep, *y), *y, before) : NULL;
    if (!*y)
        return kl_last_status();
    for (int i = 0; i < count; i++) {
        next[i] = kl_op_where(keep_for(keep, states[i]), next[i], states[i]);
        if (!next[i])
            return kl_last_status();
    }
    return KL_OK;
}

/* Step t of the sequence; states become the next ones, handed to the scope around. */
static kl_tensor *one_step(kl_step *step, void *user, kl_tensor *x, kl_tensor *mask, int64_t t,
                           int count, kl_tensor **states, kl_tensor *before)
{
    kl_tensor *kept[KL_MAX_LIST + 1] = {NULL}, **next = kept + 1;
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return NULL;
    kl_tensor *xt = kl_op_slice(x, 1, t, t + 1, 1);
    xt = xt ? kl_op_squeeze(xt, 1) : NULL;
    kl_tensor *y = xt ? step(user, xt, states, next) : NULL;
    kl_tensor *keep = mask && y ? kl_op_slice(mask, 1, t, t + 1, 1) : NULL;
    bool good = y && (!mask || !hold_masked(keep, before, count, states, &y, next));
    for (int i = 0; good && i < count; i++)
        if (next[i] == y || next[i] == states[i])
            good = (next[i] = kl_op_reshape(next[i], next[i]->rank, next[i]->shape)) != NULL;
    kept[0] = good ? y : NULL;
    kl_scope_end_keeping(scope, good ? (size_t)count + 1 : 0, kept);
    if (good)
        memcpy(states, next, (size_t)count * sizeof *states);
    return kept[0];
}

/* A stand-in for all outputs after a stand-in for one. */
static kl_tensor *sequence_stand_in(const kl_tensor *y, int64_t steps)
{
    int64_t shape[KL_MAX_RANK];
    if (y->rank + 1 > KL_MAX_RANK) {
        kl_error(KL_ERROR_SHAPE, "the output has more than %d axes", KL_MAX_RANK);
        return NULL;
    }
    shape[0] = y->shape[0];
    shape[1] = steps;
    memcpy(shape + 2, y->shape + 1, (size_t)(y->rank - 1) * sizeof *shape);
    return kl_stand_in((kl_dtype)y->dtype, y->rank + 1, shape);
}

kl_status kl_run_steps(kl_step *step, void *user, kl_tensor *x, kl_tensor *mask, int count,
                       kl_tensor **states, kl_tensor **sequence)
{
    int64_t steps = x->shape[1];
    if (kl_is_stand_in(x)) {
        int64_t shape[KL_MAX_RANK] = {x->shape[0]};
        kl_tensor *next[KL_MAX_LIST] = {NULL};
        memcpy(shape + 1, x->shape + 2, (size_t)(x->rank - 2) * sizeof *shape);
        kl_tensor *xt = kl_stand_in((kl_dtype)x->dtype, x->rank - 1, shape);
        kl_tensor *y = xt ? step(user, xt, states, next) : NULL;
        *sequence = y ? sequence_stand_in(y, steps) : NULL;
        if (*sequence)
            memcpy(states, next, (size_t)count * sizeof *states);
        return *sequence ? KL_OK : kl_last_status();
    }
    kl_tensor **outputs = kl_scope_alloc((size_t)(steps + 1) * sizeof *outputs);
    if (!outputs)
        return kl_last_status();
    for (int64_t t = 0; t < steps; t++) {
        outputs[t] = one_step(step, user, x, mask, t, count, states, t ? outputs[t - 1] : NULL);
        if (!outputs[t])
            return kl_last_status();
    }
    *sequence = kl_op_stack((int)steps, outputs, 1);
    return *sequence ? KL_OK : kl_last_status();
}

kl_status kl_cell_state_shapes(const kl_layer *cell, const kl_shape *input, kl_shape *states,
                               int *count)
{
    if (!cell->vtable->cell_states)
        return kl_error(KL_ERROR_INVALID,
                        "%s is no cell: its vtable has no cell_states, the sizes of its state",
                        cell->object.cls->class_name);
    *count = 0;
    kl_status status = cell->vtable->cell_states(cell, input, states, count);
    if (!status && (*count < 1 || *count > KL_MAX_LIST))
        return kl_error(KL_ERROR_RANGE, "a cell has from 1 to %d states, %s has %d", KL_MAX_LIST,
                        cell->name, *count);
    return status;
}

kl_status kl_check_states(const kl_shape *shapes, int count, kl_tensors given)
{
    char need[160], got[160];
    if (given.count != count)
        return kl_error(KL_ERROR_SHAPE, "expected %d state%s, got %d", count, count > 1 ? "s" : "",
                        given.count);
    for (int i = 0; i < count; i++) {
        const kl_tensor *t = given.at[i];
        bool same = t->rank == shapes[i].rank;
        for (int k = 0; same && k < t->rank; k++)
            same = shapes[i].at[k] < 0 || shapes[i].at[k] == t->shape[k];
        if (!same)
            return kl_error(KL_ERROR_SHAPE, "state %d: expected shape %s, got %s", i,
                            kl_shape_text(shapes[i].rank, shapes[i].at, need, sizeof need),
                            kl_shape_text(t->rank, t->shape, got, sizeof got));
    }
    return KL_OK;
}

/* A cell of another's making, called step by step. */
typedef struct called_cell {
    const kl_layer *cell;
    kl_tensors constants;
    int count;
} called_cell;

static kl_tensor *call_step(void *user, kl_tensor *input, kl_tensor *const *states,
                            kl_tensor **next)
{
    const called_cell *c = user;
    kl_call_args args = {.size = sizeof args,
                         .mark = kl_error_count(),
                         .inputs = {input},
                         .layer = (kl_layer *)(uintptr_t)c->cell};
    memcpy(args.initial_state, states, (size_t)c->count * sizeof *states);
    memcpy(args.constants, c->constants.at, (size_t)c->constants.count * sizeof *args.constants);
    kl_tensors out = kl_call_with_args(&args);
    if (!out.at)
        return NULL;
    if (out.count != c->count + 1) {
        kl_error(KL_ERROR_SHAPE, "the cell %s must return its output and %d states, got %d tensors",
                 c->cell->name, c->count, out.count);
        return NULL;
    }
    for (int i = 0; i < c->count; i++) {
        next[i] = out.at[i + 1];
        if (!kl_shape_equal(next[i], states[i])) {
            char need[160], got[160];
            kl_error(KL_ERROR_SHAPE, "the cell %s changes the shape of state %d from %s to %s",
                     c->cell->name, i,
                     kl_shape_text(states[i]->rank, states[i]->shape, need, sizeof need),
                     kl_shape_text(next[i]->rank, next[i]->shape, got, sizeof got));
            return NULL;
        }
    }
    return out.at[0];
}

static kl_status cast_states(const kl_layer *cell, int count, kl_tensor **states)
{
    for (int i = 0; i < count; i++) {
        if (states[i] && states[i]->dtype != (int)cell->compute_dtype)
            states[i] = kl_op_cast(states[i], cell->compute_dtype);
        if (!states[i])
            return kl_last_status();
    }
    return KL_OK;
}

kl_status kl_run_cell(const kl_layer *cell, kl_context *ctx, kl_tensor *x, kl_tensor *mask,
                      int count, kl_tensor **states, kl_tensor **sequence)
{
    kl_tensors constants = kl_constants(ctx);
    if (!cell->vtable->cell_sequence) {
        called_cell called = {cell, constants, count};
        return kl_run_steps(call_step, &called, x, mask, count, states, sequence);
    }
    if (constants.count && cell->vtable != &kl_stacked_rnn_cells_class)
        return kl_error(KL_ERROR_INVALID, "the cell %s takes no constants, got %d", cell->name,
                        constants.count);
    kl_layer_draws draws;
    if (x->dtype != (int)cell->compute_dtype && kl_dtype_is_float(x->dtype))
        x = kl_op_cast(x, cell->compute_dtype);
    kl_status status = x ? cast_states(cell, count, states) : kl_last_status();
    if (status)
        return status;
    kl_layer_draws_begin(cell, ctx, &draws);
    status = cell->vtable->cell_sequence(cell, ctx, x, mask, states, sequence);
    kl_layer_draws_end(cell, &draws);
    return status;
}

kl_tensors kl_cell_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *x = in.at[0], *out[KL_MAX_LIST + 1], **states = out + 1, *sequence = NULL;
    kl_tensors given = kl_initial_state(ctx);
    kl_shape input = {.rank = x->rank, .dtype = (kl_dtype)x->dtype}, shapes[KL_MAX_LIST];
    int count;
    memcpy(input.at, x->shape, sizeof input.at);
    if (kl_cell_state_shapes(self, &input, shapes, &count))
        return kl_one(NULL);
    if (kl_context_shapes_only(ctx) && !given.count) {
        for (int i = 0; i < count; i++)
            states[i] = kl_stand_in((kl_dtype)x->dtype, shapes[i].rank, shapes[i].at);
    } else if (kl_check_states(shapes, count, given)) {
        return kl_one(NULL);
    } else {
        memcpy(states, given.at, (size_t)count * sizeof *states);
    }
    int64_t shape[KL_MAX_RANK] = {x->shape[0], 1}, y_shape[KL_MAX_RANK];
    memcpy(shape + 2, x->shape + 1, (size_t)(x->rank - 1) * sizeof *shape);
    x = kl_is_stand_in(x) ? kl_stand_in((kl_dtype)x->dtype, x->rank + 1, shape)
                          : kl_op_reshape(x, x->rank + 1, shape);
    if (!x || cast_states(self, count, states) ||
        self->vtable->cell_sequence(self, ctx, x, NULL, states, &sequence))
        return kl_one(NULL);
    y_shape[0] = sequence->shape[0];
    memcpy(y_shape + 1, sequence->shape + 2, (size_t)(sequence->rank - 2) * sizeof *y_shape);
    out[0] = kl_is_stand_in(sequence)
                 ? kl_stand_in((kl_dtype)sequence->dtype, sequence->rank - 1, y_shape)
                 : kl_op_reshape(sequence, sequence->rank - 1, y_shape);
    return kl_many(count + 1, out);
}

/* ---- StackedRNNCells ----------------------------------------------------------------------- */

/* Taken by init or by from_config; no field type holds a list of layers. */
#define CELL(i)                                                                                    \
    {                                                                                              \
        "cells", KL_FIELD_POINTER,                                                                 \
            offsetof(kl_stacked_rnn_cells_args, cells) + (i) * sizeof(kl_layer *), .doc = "a cell" \
    }
static const kl_field stacked_fields[] = {
    CELL(0), CELL(1),  CELL(2),  CELL(3),  CELL(4),  CELL(5),  CELL(6),  CELL(7), CELL(8),
    CELL(9), CELL(10), CELL(11), CELL(12), CELL(13), CELL(14), CELL(15), {0}};
_Static_assert(KL_MAX_LIST == 16, "one field a cell");

static kl_status stacked_init(void *self)
{
    kl_stacked_rnn_cells_args *args = kl_layer_state(self);
    kl_layer *layer = self;
    kl_status status = KL_OK;
    for (int i = 0; i < KL_MAX_LIST && args->cells[i]; i++) {
        kl_layer *cell = args->cells[i];
        if (layer->sublayer_count <= i && !kl_add_sublayer(self, "cells", cell))
            return kl_last_status();
        if (!status && !cell->vtable->cell_states)
            status = kl_error(KL_ERROR_INVALID, "all cells must have a state_size, %s has none",
                              cell->name);
    }
    if (!layer->sublayer_count)
        return kl_error(KL_ERROR_INVALID, "cells must not be empty");
    return status;
}

/* The config's list of cells. */
static kl_status stacked_from_config(void *self, kl_config *config)
{
    kl_stacked_rnn_cells_args *args = kl_layer_state(self);
    kl_config *cells = kl_config_detach(config, "cells");
    size_t count = cells ? kl_config_count(cells) : 0;
    kl_status status = KL_OK;
    if (!count || kl_config_typeof(cells) != KL_CONFIG_LIST || count > KL_MAX_LIST)
        status = kl_error(KL_ERROR_FORMAT, "cells: expected a list of 1 to %d cells", KL_MAX_LIST);
    for (size_t i = 0; i < count && !status; i++) {
        kl_layer *cell = kl_object_deserialize(KL_KIND_LAYER, kl_config_at(cells, i));
        args->cells[i] = cell ? kl_add_sublayer(self, "cells", cell) : NULL;
        status = args->cells[i] ? KL_OK : kl_last_status();
    }
    kl_config_free(cells);
    return status;
}

static kl_status stacked_get_config(const void *self, kl_config *config)
{
    const kl_layer *layer = self;
    kl_config *list = kl_config_new_list();
    kl_status status = list ? KL_OK : KL_ERROR_MEMORY;
    for (int i = 0; i < layer->sublayer_count && !status; i++)
        status = kl_config_append(list, kl_object_serialize(layer->sublayers[i].layer));
    if (!status)
        return kl_config_set(config, "cells", list);
    kl_config_free(list);
    return status;
}

/* Goes through the cells, each fed with the output of the one before. */
static kl_status stacked_states(const kl_layer *self, const kl_shape *input, kl_shape *states,
                                int *count)
{
    kl_shape in = *input;
    *count = 0;
    for (int i = 0; i < self->sublayer_count; i++) {
        kl_shape own[KL_MAX_LIST];
        int some;
        kl_status status = kl_cell_state_shapes(self->sublayers[i].layer, &in, own, &some);
        if (status)
            return status;
        if (*count + some > KL_MAX_LIST)
            return kl_error(KL_ERROR_RANGE, "stacked cells have more than %d states", KL_MAX_LIST);
        memcpy(states + *count, own, (size_t)some * sizeof *states);
        *count += some;
        in = own[0];
    }
    return KL_OK;
}

static kl_status stacked_build(kl_layer *self, const kl_shape *in, int count)
{
    kl_shape shape = in[0], own[KL_MAX_LIST];
    for (int i = 0; i < self->sublayer_count; i++) {
        kl_layer *cell = self->sublayers[i].layer;
        int some;
        kl_status status = kl_layer_build(cell, &shape, 1);
        if (!status)
            status = kl_cell_state_shapes(cell, &shape, own, &some);
        if (status)
            return status;
        shape = own[0];
    }
    return KL_OK;
}

/* Cell by cell over all steps: what a cell is fed with at a step depends on no later one. */
static kl_status stacked_sequence(const kl_layer *self, kl_context *ctx, kl_tensor *x,
                                  kl_tensor *mask, kl_tensor **states, kl_tensor **sequence)
{
    for (int i = 0, at = 0; i < self->sublayer_count; i++) {
        kl_layer *cell = self->sublayers[i].layer;
        kl_shape in = {.rank = x->rank - 1, .dtype = (kl_dtype)x->dtype}, own[KL_MAX_LIST];
        int count;
        in.at[0] = x->shape[0];
        memcpy(in.at + 1, x->shape + 2, (size_t)(x->rank - 2) * sizeof *in.at);
        kl_status status = kl_cell_state_shapes(cell, &in, own, &count);
        if (!status)
            status = kl_run_cell(cell, ctx, x, mask, count, states + at, sequence);
        if (status)
            return status;
        at += count;
        x = *sequence;
    }
    return KL_OK;
}

const kl_layer_vtable kl_stacked_rnn_cells_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "StackedRNNCells",
    .state_size = sizeof(kl_stacked_rnn_cells_args),
    .args_size = sizeof(kl_stacked_rnn_cells_args),
    .fields = stacked_fields,
    .init = stacked_init,
    .get_config = stacked_get_config,
    .from_config = stacked_from_config,
    .build = stacked_build,
    .call = kl_cell_call,
    .cell_states = stacked_states,
    .cell_sequence = stacked_sequence,
};

KL_DEFINE_LAYER(kl_stacked_rnn_cells)

/* ---- Copies -------------------------------------------------------------------------------- */

static kl_layer *copy_with(const kl_layer *layer, char *args)
{
    const kl_class *cls = layer->object.cls;
    kl_layer_args *head = (kl_layer_args *)(void *)args;
    memcpy(args, layer->object.state, cls->args_size);
    head->size = cls->args_size;
    head->mark = kl_error_count();
    head->name = NULL;
    head->dtype = layer->policy;
    head->trainable = layer->trainable;
    head->activity_regularizer = layer->activity_regularizer;
    memset(head->input_shape, 0, sizeof head->input_shape);
    for (const kl_field *f = cls->fields; f && f->type != KL_FIELD_END; f++) {
        kl_layer **slot = (kl_layer **)(void *)(args + f->offset);
        bool within = f->type == KL_FIELD_LAYER || layer->vtable == &kl_stacked_rnn_cells_class;
        if (within && *slot && !(*slot = kl_layer_copy(*slot)))
            return NULL;
    }
    return kl_layer_new(layer->vtable, args);
}

kl_layer *kl_layer_copy(const kl_layer *layer)
{
    const kl_class *cls = layer->object.cls;
    if (cls->args_size < sizeof(kl_layer_args)) {
        kl_config *config = kl_object_get_config(layer);
        kl_config_free(config ? kl_config_detach(config, "name") : NULL);
        kl_layer *made = config ? kl_object_from_config(KL_KIND_LAYER, cls, config) : NULL;
        kl_config_free(config);
        return made;
    }
    char *args = kl_malloc(cls->args_size);
    kl_layer *made = args ? copy_with(layer, args) : NULL;
    kl_free(args);
    return made;
}
