#include "models/executor.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "models/fusion.h"
#include "models/input.h"

/* A node met on the way from the outputs, with what Keras sorts a model's layers by. */
typedef struct visit {
    kl_graph_node *node;
    int depth, order; /* order: when its layer was first met */
    int first_slot;
    bool done;
} visit;

typedef struct walk {
    int input_count;
    kl_tensor *const *inputs;
    visit *visits; /* in the order finished: parents before children */
    int count, capacity;
    kl_graph_node **met; /* nodes whose layers were met, in that order */
    int met_count, met_capacity;
} walk;

static bool is_input(const walk *w, const kl_tensor *tensor)
{
    for (int i = 0; i < w->input_count; i++)
        if (w->inputs[i] == tensor)
            return true;
    return false;
}

static visit *find_visit(const walk *w, const kl_graph_node *node)
{
    for (int i = 0; i < w->count; i++)
        if (w->visits[i].node == node)
            return &w->visits[i];
    return NULL;
}

/* One operation is a layer with all its calls, or an op's node. */
static bool same_operation(const kl_graph_node *a, const kl_graph_node *b)
{
    return a == b || (a->layer && a->layer == b->layer);
}

static kl_status meet(walk *w, kl_graph_node *node)
{
    for (int i = 0; i < w->met_count; i++)
        if (same_operation(w->met[i], node))
            return KL_OK;
    if (w->met_count == w->met_capacity) {
        int capacity = w->met_capacity ? 2 * w->met_capacity : 32;
        void *grown = kl_realloc_array(w->met, (size_t)capacity, sizeof *w->met);
        if (!grown)
            return KL_ERROR_MEMORY;
        w->met = grown;
        w->met_capacity = capacity;
    }
    w->met[w->met_count++] = node;
    return KL_OK;
}

static kl_status finish(walk *w, kl_graph_node *node)
{
    if (w->count == w->capacity) {
        int capacity = w->capacity ? 2 * w->capacity : 32;
        void *grown = kl_realloc_array(w->visits, (size_t)capacity, sizeof *w->visits);
        if (!grown)
            return KL_ERROR_MEMORY;
        w->visits = grown;
        w->capacity = capacity;
    }
    w->visits[w->count++] = (visit){.node = node};
    return KL_OK;
}

/*
 * Depth first from `tensor` with a stack of its own: graphs may be deeper than the C stack. A graph
 * has no cycles, as a node's arguments exist before it.
 */
typedef struct frame {
    kl_graph_node *node;
    int next_argument;
    bool cut; /* the tensor asked for is an input of the model: go no further up */
} frame;

static kl_status visit_from(walk *w, kl_tensor *tensor)
{
    int depth = 0, capacity = 64;
    frame *stack = kl_malloc_array((size_t)capacity, sizeof *stack);
    kl_status status = stack ? KL_OK : KL_ERROR_MEMORY;
    if (!status) {
        kl_graph_node *node = kl_symbol_of(tensor)->node;
        if (!find_visit(w, node)) {
            status = meet(w, node);
            stack[depth++] = (frame){node, 0, is_input(w, tensor)};
        }
    }
    while (!status && depth) {
        frame *top = &stack[depth - 1];
        kl_tensor **argument = top->cut ? NULL : kl_node_argument(top->node, top->next_argument);
        if (!argument) {
            if (!top->cut && !top->node->input_count && !is_input(w, top->node->outputs[0])) {
                status = kl_error(KL_ERROR_STATE,
                                  "graph disconnected: an output depends on input '%s', which is "
                                  "not among the model's inputs",
                                  top->node->layer ? top->node->layer->name : top->node->name);
                break;
            }
            if (!find_visit(w, top->node))
                status = finish(w, top->node);
            depth--;
            continue;
        }
        top->next_argument++;
        if (!*argument || !(*argument)->symbol)
            continue;
        kl_graph_node *node = kl_symbol_of(*argument)->node;
        if (find_visit(w, node))
            continue;
        status = meet(w, node);
        if (!status && depth == capacity) {
            capacity *= 2;
            frame *grown = kl_realloc_array(stack, (size_t)capacity, sizeof *stack);
            if (!grown)
                status = KL_ERROR_MEMORY;
            else
                stack = grown;
        }
        if (!status)
            stack[depth++] = (frame){node, 0, is_input(w, *argument)};
    }
    kl_free(stack);
    return status;
}

static void set_operation_depth(walk *w, int index)
{
    visit *v = &w->visits[index];
    for (int i = 0; i < w->count; i++)
        if (same_operation(w->visits[i].node, v->node) && w->visits[i].done &&
            w->visits[i].depth > v->depth)
            v->depth = w->visits[i].depth;
    v->done = true;
}

static void find_depths(walk *w)
{
    for (int i = w->count - 1; i >= 0; i--) {
        set_operation_depth(w, i);
        kl_tensor **argument;
        for (int k = 0; (argument = kl_node_argument(w->visits[i].node, k)); k++) {
            if (!*argument || !(*argument)->symbol)
                continue;
            visit *parent = find_visit(w, kl_symbol_of(*argument)->node);
            if (parent && parent->depth < w->visits[i].depth + 1)
                parent->depth = w->visits[i].depth + 1;
        }
    }
    for (int i = 0; i < w->count; i++) {
        for (int k = 0; k < w->met_count; k++)
            if (same_operation(w->met[k], w->visits[i].node))
                w->visits[i].order = k;
        /* All calls of a layer stand at the layer's depth. */
        for (int k = 0; k < w->count; k++)
            if (same_operation(w->visits[i].node, w->visits[k].node) &&
                w->visits[k].depth > w->visits[i].depth)
                w->visits[i].depth = w->visits[k].depth;
    }
}

static int by_depth(const void *a, const void *b)
{
    const visit *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->node->call_index - y->node->call_index;
}

static int slot_of(const walk *w, const kl_executor *ex, const kl_tensor *tensor)
{
    for (int i = 0; i < ex->input_count; i++)
        if (ex->inputs[i] == tensor)
            return ex->input_slots[i];
    const visit *v = find_visit(w, kl_symbol_of(tensor)->node);
    return v->first_slot + kl_symbol_of(tensor)->index;
}

static kl_status make_step(const walk *w, kl_executor *ex, const visit *v)
{
    kl_step *step = &ex->steps[ex->step_count++];
    int count = 0, last = 0;
    kl_tensor **argument;
    while ((argument = kl_node_argument(v->node, count))) {
        count++;
        if (*argument)
            last = count;
    }
    *step = (kl_step){.node = v->node, .argument_count = last, .first_out = v->first_slot};
    step->slots = kl_malloc_array((size_t)last + 1, sizeof *step->slots);
    if (!step->slots)
        return KL_ERROR_MEMORY;
    for (int i = 0; i < last; i++) {
        argument = kl_node_argument(v->node, i);
        step->slots[i] = *argument && (*argument)->symbol ? slot_of(w, ex, *argument) : -1;
    }
    return KL_OK;
}

/* Which slots each step is the last to read; outputs and inputs are never dropped. */
static kl_status find_last_readers(kl_executor *ex)
{
    int *last = kl_malloc_array((size_t)ex->slot_count + 1, sizeof *last);
    if (!last)
        return KL_ERROR_MEMORY;
    for (int s = 0; s < ex->slot_count; s++)
        last[s] = -1;
    for (int i = 0; i < ex->step_count; i++) {
        const kl_step *step = &ex->steps[i];
        for (int k = 0; k < step->argument_count; k++)
            if (step->slots[k] >= 0)
                last[step->slots[k]] = i;
        /* An output nobody reads goes at once. */
        for (int k = 0; k < step->node->output_count; k++)
            if (last[step->first_out + k] < 0)
                last[step->first_out + k] = i;
    }
    for (int i = 0; i < ex->input_count; i++)
        last[ex->input_slots[i]] = -1;
    for (int i = 0; i < ex->output_count; i++)
        last[ex->output_slots[i]] = -1;
    kl_status status = KL_OK;
    for (int i = 0; i < ex->step_count && !status; i++) {
        kl_step *step = &ex->steps[i];
        for (int s = 0; s < ex->slot_count; s++)
            step->dead_count += last[s] == i;
        step->dead = kl_malloc_array((size_t)step->dead_count + 1, sizeof *step->dead);
        if (!step->dead)
            status = KL_ERROR_MEMORY;
        for (int s = 0, n = 0; s < ex->slot_count && !status; s++)
            if (last[s] == i)
                step->dead[n++] = s;
    }
    kl_free(last);
    return status;
}

static kl_status fill_executor(kl_executor *ex, walk *w)
{
    ex->steps = kl_calloc((size_t)w->count + 1, sizeof *ex->steps);
    ex->nodes = kl_malloc_array((size_t)w->count + 1, sizeof *ex->nodes);
    if (!ex->steps || !ex->nodes)
        return KL_ERROR_MEMORY;
    for (int i = 0; i < ex->input_count; i++)
        ex->input_slots[i] = ex->slot_count++;
    for (int i = 0; i < w->count; i++) {
        w->visits[i].first_slot = ex->slot_count;
        ex->slot_count += w->visits[i].node->output_count;
    }
    kl_status status = KL_OK;
    for (int i = 0; i < w->count && !status; i++) {
        const kl_graph_node *node = w->visits[i].node;
        bool given = node->output_count > 0;
        for (int k = 0; k < node->output_count; k++)
            given = given && is_input(w, node->outputs[k]);
        if (!given)
            status = make_step(w, ex, &w->visits[i]);
    }
    for (int i = 0; i < ex->output_count; i++)
        ex->output_slots[i] = slot_of(w, ex, ex->outputs[i]);
    if (!status)
        status = find_last_readers(ex);
    if (!status)
        kl_fusion_find(ex);
    find_depths(w);
    if (w->count)
        qsort(w->visits, (size_t)w->count, sizeof *w->visits, by_depth);
    for (int i = 0; i < w->count; i++)
        ex->nodes[ex->node_count++] = w->visits[i].node;
    return status;
}

kl_executor *kl_executor_new(int inputs, kl_tensor *const *in, int outputs, kl_tensor *const *out)
{
    kl_executor *ex = kl_calloc(1, sizeof *ex);
    if (!ex)
        return NULL;
    ex->inputs = kl_malloc_array((size_t)inputs, sizeof *ex->inputs);
    ex->outputs = kl_malloc_array((size_t)outputs, sizeof *ex->outputs);
    ex->input_slots = kl_malloc_array((size_t)inputs, sizeof(int));
    ex->output_slots = kl_malloc_array((size_t)outputs, sizeof(int));
    kl_status status = KL_OK;
    if (!ex->inputs || !ex->outputs || !ex->input_slots || !ex->output_slots)
        status = KL_ERROR_MEMORY;
    walk w = {.input_count = inputs, .inputs = in};
    if (!status) {
        memcpy(ex->inputs, in, (size_t)inputs * sizeof *in);
        memcpy(ex->outputs, out, (size_t)outputs * sizeof *out);
        ex->input_count = inputs;
        ex->output_count = outputs;
        ex->graph = kl_graph_retain(kl_graph_of(out[0]));
    }
    for (int i = 0; i < outputs && !status; i++)
        status = visit_from(&w, out[i]);
    /* Inputs that no output depends on still belong to the model. */
    for (int i = 0; i < inputs && !status; i++)
        if (!find_visit(&w, kl_symbol_of(in[i])->node)) {
            status = meet(&w, kl_symbol_of(in[i])->node);
            if (!status)
                status = finish(&w, kl_symbol_of(in[i])->node);
        }
    if (!status)
        status = fill_executor(ex, &w);
    kl_free(w.visits);
    kl_free(w.met);
    if (status) {
        kl_executor_free(ex);
        return NULL;
    }
    /* Parts that have nothing to do with each other live together from here on. */
    for (int i = 0; i < inputs + outputs; i++)
        kl_graph_join(out[0], i < inputs ? in[i] : out[i - inputs]);
    return ex;
}

void kl_executor_free(kl_executor *ex)
{
    if (!ex)
        return;
    for (int i = 0; i < ex->step_count; i++) {
        kl_fold_free(ex->steps[i].fold);
        kl_free(ex->steps[i].slots);
        kl_free(ex->steps[i].dead);
    }
    kl_graph_release(ex->graph);
    kl_free(ex->steps);
    kl_free(ex->nodes);
    kl_free(ex->inputs);
    kl_free(ex->outputs);
    kl_free(ex->input_slots);
    kl_free(ex->output_slots);
    kl_free(ex);
}

/* Fits a given input to what the model was built for: rank off by a size-1 last axis, dtype. */
static kl_tensor *fit_input(const kl_executor *ex, int index, kl_tensor *given)
{
    const kl_tensor *want = ex->inputs[index];
    kl_tensor *x = given;
    if (x->rank == want->rank - 1 && want->shape[want->rank - 1] == 1)
        x = kl_op_expand_dims(x, -1);
    else if (x->rank == want->rank + 1 && x->shape[x->rank - 1] == 1)
        x = kl_op_squeeze(x, -1);
    if (!x)
        return NULL;
    bool fits = x->rank == want->rank;
    for (int k = 0; fits && k < want->rank; k++)
        fits = want->shape[k] < 0 || want->shape[k] == x->shape[k] || k == 0;
    if (!fits) {
        char need[160], got[160];
        kl_error(KL_ERROR_SHAPE, "input %d: expected shape %s, got %s", index,
                 kl_shape_text(want->rank, want->shape, need, sizeof need),
                 kl_shape_text(given->rank, given->shape, got, sizeof got));
        return NULL;
    }
    if (x->dtype == want->dtype)
        return x;
    if (x->dtype == KL_STRING || want->dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "input %d: expected dtype %s, got %s", index,
                 kl_dtype_name(want->dtype), kl_dtype_name(x->dtype));
        return NULL;
    }
    kl_tensor *mask = x->mask;
    x = kl_op_cast(x, want->dtype);
    if (x && mask)
        kl_tensor_set_mask(x, mask);
    return x;
}

/* The step's argument `i` in this run. */
static kl_tensor *argument_value(const kl_step *step, int i, kl_tensor *const *values)
{
    if (step->slots[i] >= 0)
        return values[step->slots[i]];
    return *kl_node_argument(step->node, i);
}

static kl_status run_layer(const kl_step *step, kl_context *ctx, kl_tensor **values)
{
    kl_graph_node *node = step->node;
    kl_tensor *inputs[KL_MAX_LIST];
    for (int i = 0; i < node->input_count; i++)
        inputs[i] = argument_value(step, i, values);
    kl_call_args args;
    if (node->has_call && step->argument_count > node->input_count) {
        args = node->call;
        kl_tensor **lists[] = {args.masks, args.initial_state, args.constants};
        for (int i = node->input_count; i < step->argument_count; i++) {
            if (step->slots[i] < 0)
                continue;
            int k = i - node->input_count;
            if (k < 3 * KL_MAX_LIST)
                lists[k / KL_MAX_LIST][k % KL_MAX_LIST] = values[step->slots[i]];
            else
                args.arguments[k - 3 * KL_MAX_LIST].value = values[step->slots[i]];
        }
    } else {
        args = node->call;
    }
    args.layer = node->layer;
    args.inputs_list = (kl_tensors){node->input_count, inputs};
    kl_tensors out = kl_context_call(ctx, &args);
    if (!out.at)
        return kl_last_status();
    if (out.count != node->output_count)
        return kl_error(KL_ERROR_STATE, "%s gave %d outputs, %d when the model was built",
                        node->layer->name, out.count, node->output_count);
    memcpy(values + step->first_out, out.at, (size_t)out.count * sizeof *values);
    return KL_OK;
}

static kl_status run_op(const kl_step *step, kl_tensor **values)
{
    kl_graph_node *node = step->node;
    kl_tensor *inputs[KL_MAX_LIST];
    for (int i = 0; i < node->input_count; i++)
        inputs[i] = i < step->argument_count ? argument_value(step, i, values) : NULL;
    return kl_op_run(node->op, node->attrs, node->input_count, inputs, UINT64_MAX,
                     node->output_count, values + step->first_out);
}

static void drop_dead(const kl_step *step, kl_tensor *const *values)
{
    for (int k = 0; k < step->dead_count; k++)
        kl_release(kl_scope_detach(values[step->dead[k]]));
}

kl_tensors kl_executor_call(const kl_executor *ex, const kl_layer *self, kl_context *ctx,
                            kl_tensors inputs)
{
    if (inputs.count != ex->input_count) {
        kl_error(KL_ERROR_SHAPE, "expected %d inputs, got %d", ex->input_count, inputs.count);
        return (kl_tensors){0};
    }
    kl_tensor **values = kl_scope_alloc((size_t)ex->slot_count * sizeof *values);
    if (!values)
        return (kl_tensors){0};
    for (int i = 0; i < ex->input_count; i++) {
        kl_tensor *x = fit_input(ex, i, inputs.at[i]);
        if (!x)
            return (kl_tensors){0};
        kl_tensor *mask = kl_input_mask(ctx, i);
        if (mask && mask != x->mask) {
            x = kl_op_reshape(x, x->rank, x->shape);
            if (!x)
                return (kl_tensors){0};
            kl_tensor_set_mask(x, mask);
        }
        values[ex->input_slots[i]] = x;
    }
    for (int i = 0; i < ex->step_count; i++) {
        const kl_step *step = &ex->steps[i];
        if (step->fold && kl_fold_run(step, ctx, values)) {
            /* What the joined steps read last are each other's outputs, which there aren't. */
            drop_dead(step, values);
            i += step->fold_steps - 1;
            continue;
        }
        kl_status status = step->node->layer ? run_layer(step, ctx, values) : run_op(step, values);
        if (status)
            return (kl_tensors){0};
        drop_dead(step, values);
    }
    kl_tensor **out = kl_scope_alloc((size_t)ex->output_count * sizeof *out);
    if (!out)
        return (kl_tensors){0};
    for (int i = 0; i < ex->output_count; i++)
        out[i] = values[ex->output_slots[i]];
    return (kl_tensors){ex->output_count, out};
}
