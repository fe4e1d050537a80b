/* Going back through a recording. */
#include <string.h>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/elementwise.h"
#include "ops/common.h"
#include "ops/recording.h"

/* Where a walk through a composed form ends: at the inputs of the op that was composed. */
typedef struct boundary {
    int64_t source;
    uint32_t output;
    kl_tensor *grad; /* held */
} boundary;

/* Gradients by node output, and by leaf; all held. */
typedef struct walk {
    boundary *ends; /* NULL: the sources are nodes and leaves of the whole walk */
    int end_count;
    int64_t first, last; /* nodes [first, last) */
    kl_tensor ***grads;  /* by node - first; NULL where none came yet */
    kl_tensor **leaf_grads;
    int64_t leaf_count;
    uint8_t *useful; /* by node - first: on a path from a source */
    bool higher_order, keep_rows, consume;
} walk;

/* Rows of a gradient spread over a dense tensor of zeros. */
kl_tensor *kl_densify(kl_tensor *rows)
{
    if (!rows->rows)
        return rows;
    kl_tensor *indices = kl_alias(rows->rows);
    int64_t shape[KL_MAX_RANK];
    memcpy(shape, rows->shape, sizeof shape);
    shape[0] = rows->rows->size;
    int64_t strides[KL_MAX_RANK];
    kl_c_strides(rows->rank, shape, strides);
    kl_tensor *values = kl_alias_as(rows, rows->rank, shape, strides, 0);
    return indices && values ? kl_op_scatter_add(indices, values, rows->shape[0]) : NULL;
}

/* Whether nobody but the slot that holds it once can see the tensor or its memory. */
static bool is_own(const kl_tensor *held)
{
    return atomic_load_explicit(&held->refs, memory_order_relaxed) == UINT64_C(1) << 32 &&
           kl_tensor_is_sole(held) && !held->buffer->release;
}

static bool add_in_place(kl_tensor *to, const kl_tensor *grad)
{
    if (to->dtype != KL_FLOAT32 || grad->dtype != KL_FLOAT32 || to->rows || grad->rows ||
        !to->contiguous || !grad->contiguous || !kl_shape_equal(to, grad) || !is_own(to))
        return false;
    kl_binary_f32(KL_BINARY_ADD, to->size, (const float *)(const void *)to->data, 1,
                  (const float *)(const void *)grad->data, 1, (float *)(void *)to->data);
    return true;
}

static kl_status accumulate(kl_tensor **slot, kl_tensor *grad, bool recorded)
{
    if (!*slot) {
        *slot = kl_hold(grad);
        return KL_OK;
    }
    if (!recorded && add_in_place(*slot, grad))
        return KL_OK;
    kl_tensor *sum = kl_op_add(kl_densify(*slot), kl_densify(grad));
    if (!sum)
        return kl_last_status();
    kl_hold(sum);
    kl_unhold(*slot);
    *slot = sum;
    return KL_OK;
}

static boundary *find_end(const walk *w, const node_input *input)
{
    for (int i = 0; i < w->end_count; i++)
        if (w->ends[i].source == input->source &&
            (input->source < 0 || w->ends[i].output == input->output))
            return &w->ends[i];
    return NULL;
}

static kl_status give(walk *w, const node_input *input, kl_tensor *grad)
{
    if (input->source == NOWHERE)
        return KL_OK;
    boundary *end = find_end(w, input);
    if (end)
        return accumulate(&end->grad, grad, w->higher_order);
    if (input->source < 0) {
        int64_t index = -1 - input->source;
        return index < w->leaf_count ? accumulate(&w->leaf_grads[index], grad, w->higher_order)
                                     : KL_OK;
    }
    if (input->source < w->first || input->source >= w->last)
        return KL_OK;
    kl_tensor ***slots = &w->grads[input->source - w->first];
    if (!*slots) {
        size_t bytes = (size_t)kl_rec.nodes[input->source]->outputs * sizeof **slots;
        *slots = kl_block_alloc(bytes);
        if (!*slots)
            return KL_ERROR_MEMORY;
        memset(*slots, 0, bytes);
    }
    return accumulate(&(*slots)[input->output], grad, w->higher_order);
}

static bool wanted(const walk *w, const node_input *input)
{
    if (input->source == NOWHERE)
        return false;
    if (w->end_count && find_end(w, input))
        return true;
    if (input->source < 0) {
        int64_t index = -1 - input->source;
        return index < w->leaf_count && w->useful[w->last - w->first + index];
    }
    return input->source >= w->first && input->source < w->last &&
           w->useful[input->source - w->first];
}

static kl_tensor *node_value(kl_tensor *value, uint64_t version, kl_dtype dtype, int rank,
                             const int64_t *shape, const char *name, kl_status *status)
{
    if (!value)
        return kl_stand_in(dtype, rank, shape);
    if (kl_tensor_version(value) != version)
        *status = kl_error(KL_ERROR_STATE,
                           "%s: a value needed for the gradient was changed in place since", name);
    return value;
}

/* Gradients of the composed form: recorded anew, and gone back through. */
static kl_status backward_composed(walk *w, struct kl_node *node, kl_op_frame *frame);

static kl_status backward_node(walk *w, struct kl_node *node, kl_tensor **dout)
{
    kl_tensor *few[32], **in = few;
    bool few_needs[16], *needs = few_needs;
    kl_status status = KL_OK;
    if (node->inputs > 8) {
        in = kl_scope_alloc((size_t)(2 * node->inputs + 2 * node->outputs + 1) * sizeof *in);
        needs = kl_scope_alloc((size_t)node->inputs + 1);
        if (!in || !needs)
            return kl_last_status();
    }
    kl_tensor **din = in + node->inputs, **out = din + node->inputs;
    if (in == few && node->outputs > 16)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: too many outputs", node->op->name);
    bool any = false;
    for (int i = 0; i < node->inputs; i++) {
        node_input *input = &node->in[i];
        in[i] = input->rank < 0 ? NULL
                                : node_value(input->value, input->version, (kl_dtype)input->dtype,
                                             input->rank, input->shape, node->op->name, &status);
        din[i] = NULL;
        needs[i] = wanted(w, input);
        any = any || needs[i];
    }
    for (int i = 0; i < node->outputs; i++) {
        node_output *output = &node->out[i];
        out[i] = node_value(output->value, output->version, (kl_dtype)output->dtype, output->rank,
                            output->shape, node->op->name, &status);
        if (dout[i] && dout[i]->rows) {
            kl_tensor *dense = kl_densify(dout[i]);
            kl_hold(dense);
            kl_unhold(dout[i]);
            dout[i] = dense;
        }
    }
    if (status || !any)
        return status;
    kl_op_frame frame = {.op = node->op,
                         .attrs = node->attrs,
                         .inputs = node->inputs,
                         .outputs = node->outputs,
                         .in = in,
                         .out = out,
                         .dout = dout,
                         .din = din,
                         .needs = needs,
                         .recording = w->higher_order};
    memcpy(frame.saved, node->saved, sizeof frame.saved);
    if (w->higher_order && node->op->compose)
        return backward_composed(w, node, &frame);
    status = node->op->backward(&frame);
    for (int i = 0; i < node->inputs && !status; i++) {
        if (!needs[i] || !din[i])
            continue;
        status = give(w, &node->in[i], din[i]);
    }
    if (status)
        kl_error_prefix(node->op->name);
    return status;
}

static kl_status find_useful(walk *w, size_t count, kl_tensor *const *sources)
{
    int64_t nodes = w->last - w->first;
    for (size_t i = 0; i < count; i++) {
        int64_t index = kl_tape_find_leaf(sources[i]);
        if (sources[i]->tape == kl_rec.serial && sources[i]->node->position >= w->first &&
            sources[i]->node->position < w->last)
            w->useful[sources[i]->node->position - w->first] = 1;
        else if (index >= 0 && index < w->leaf_count)
            w->useful[nodes + index] = 1;
    }
    for (int64_t p = w->first; p < w->last; p++) {
        const struct kl_node *node = kl_rec.nodes[p];
        for (int i = 0; node && i < node->inputs && !w->useful[p - w->first]; i++)
            if (wanted(w, &node->in[i]))
                w->useful[p - w->first] = 1;
    }
    return KL_OK;
}

static void free_walk(walk *w)
{
    for (int64_t p = 0; w->grads && p < w->last - w->first; p++) {
        if (!w->grads[p])
            continue;
        struct kl_node *node = kl_rec.nodes[p + w->first];
        for (int i = 0; i < node->outputs; i++)
            kl_unhold(w->grads[p][i]);
        kl_block_free(w->grads[p]);
    }
    for (int64_t i = 0; w->leaf_grads && i < w->leaf_count; i++)
        kl_unhold(w->leaf_grads[i]);
    kl_block_free(w->grads);
    kl_block_free(w->leaf_grads);
    kl_block_free(w->useful);
}

static kl_status start_walk(walk *w)
{
    size_t nodes = (size_t)(w->last - w->first), leaves = (size_t)w->leaf_count;
    w->grads = kl_block_alloc((nodes + 1) * sizeof *w->grads);
    w->leaf_grads = kl_block_alloc((leaves + 1) * sizeof *w->leaf_grads);
    w->useful = kl_block_alloc(nodes + leaves + 1);
    if (w->grads)
        memset(w->grads, 0, (nodes + 1) * sizeof *w->grads);
    if (w->leaf_grads)
        memset(w->leaf_grads, 0, (leaves + 1) * sizeof *w->leaf_grads);
    if (!w->grads || !w->leaf_grads || !w->useful)
        return KL_ERROR_MEMORY;
    memset(w->useful, 0, nodes + leaves + 1);
    return KL_OK;
}

/* Keeps what a gradient needs while going back: a scope a node, so that intermediates go. */
static kl_status go_back(walk *w)
{
    kl_status status = KL_OK;
    for (int64_t p = w->last; p-- > w->first && !status;) {
        kl_tensor **dout = w->grads[p - w->first];
        struct kl_node *node = kl_rec.nodes[p];
        if (!dout || !node)
            continue;
        bool is_source = w->useful[p - w->first] == 2;
        kl_scope *scope = kl_scope_begin();
        status = scope ? backward_node(w, node, dout) : kl_last_status();
        kl_scope_end_keeping(scope, 0, NULL);
        if (is_source)
            continue;
        for (int i = 0; i < node->outputs; i++)
            kl_unhold(dout[i]);
        kl_block_free(dout);
        w->grads[p - w->first] = NULL;
        if (w->consume)
            kl_node_drop_values(node);
    }
    return status;
}

static kl_status collect(walk *w, size_t count, kl_tensor *const *sources, kl_tensor **gradients)
{
    kl_status status = KL_OK;
    for (size_t i = 0; i < count && !status; i++) {
        kl_tensor *found = NULL;
        const kl_tensor *source = sources[i];
        int64_t index = kl_tape_find_leaf(source);
        if (source->tape == kl_rec.serial && source->node->position >= w->first &&
            source->node->position < w->last) {
            kl_tensor **dout = w->grads[source->node->position - w->first];
            found = dout ? dout[source->output] : NULL;
        } else if (index >= 0 && index < w->leaf_count) {
            found = w->leaf_grads[index];
        }
        if (!found)
            continue;
        if (found->rows && !w->keep_rows) {
            gradients[i] = kl_densify(found);
        } else if (!kl_scope_is_open()) {
            gradients[i] = kl_retain(found);
        } else {
            gradients[i] = kl_scope_share(found);
        }
        if (!gradients[i])
            status = kl_last_status();
    }
    return status;
}

static void release_gradients(size_t count, kl_tensor **gradients)
{
    for (size_t i = 0; i < count; i++) {
        kl_release(kl_scope_detach(gradients[i]));
        gradients[i] = NULL;
    }
}

static void mark_sources(walk *w, size_t count, kl_tensor *const *sources)
{
    for (size_t i = 0; i < count; i++)
        if (sources[i]->tape == kl_rec.serial && sources[i]->node->position >= w->first &&
            sources[i]->node->position < w->last)
            w->useful[sources[i]->node->position - w->first] = 2;
}

static void locate(const kl_tensor *tensor, node_input *where)
{
    int64_t index = kl_tape_find_leaf(tensor);
    *where = (node_input){.source = NOWHERE};
    if (tensor->tape == kl_rec.serial) {
        where->source = tensor->node->position;
        where->output = tensor->output;
    } else if (index >= 0) {
        where->source = -1 - index;
    }
}

/* Sets the walk's targets and goes back to its sources. */
static kl_status run_walk(walk *w, int targets, kl_tensor *const *target, kl_tensor *const *seed)
{
    kl_status status = KL_OK;
    for (int i = 0; i < targets && !status; i++) {
        node_input from;
        if (!seed[i])
            continue;
        locate(target[i], &from);
        if (wanted(w, &from))
            status = give(w, &from, seed[i]);
    }
    if (status)
        return status;
    if (!w->higher_order)
        kl_tape_pause();
    status = go_back(w);
    if (!w->higher_order)
        kl_tape_resume();
    return status;
}

/* The op's inputs get gradients through its composed form, which is recorded as any ops are. */
static kl_status backward_composed(walk *w, struct kl_node *node, kl_op_frame *frame)
{
    kl_tensor **out = kl_scope_alloc((size_t)node->outputs * sizeof *out);
    boundary *ends = kl_scope_alloc((size_t)node->inputs * sizeof *ends);
    int *wants = kl_scope_alloc((size_t)node->inputs * sizeof *wants);
    if (!out || !ends || !wants)
        return kl_last_status();
    memset(out, 0, (size_t)node->outputs * sizeof *out);
    walk inner = {.first = kl_rec.count, .ends = ends, .higher_order = true};
    for (int i = 0; i < node->inputs; i++) {
        if (frame->in[i] && !frame->in[i]->buffer)
            return kl_error(KL_ERROR_STATE, "%s: an input's value was not kept", node->op->name);
        if (!frame->needs[i])
            continue;
        wants[inner.end_count] = i;
        ends[inner.end_count++] = (boundary){node->in[i].source, node->in[i].output, NULL};
    }
    kl_op_frame composed = *frame;
    composed.out = out;
    kl_status status = node->op->compose(&composed);
    inner.last = kl_rec.count;
    inner.leaf_count = kl_rec.leaf_count;
    if (!status)
        status = start_walk(&inner);
    for (int64_t p = inner.first; p < inner.last && !status; p++)
        for (int i = 0; i < kl_rec.nodes[p]->inputs; i++)
            if (wanted(&inner, &kl_rec.nodes[p]->in[i]))
                inner.useful[p - inner.first] = 1;
    if (!status)
        status = run_walk(&inner, node->outputs, out, frame->dout);
    for (int k = 0; k < inner.end_count; k++) {
        if (ends[k].grad && !status)
            status = give(w, &node->in[wants[k]], ends[k].grad);
        kl_unhold(ends[k].grad);
    }
    free_walk(&inner);
    return status;
}

static kl_status gradients_from(walk *w, kl_tensor *target, kl_tensor *seed, size_t count,
                                kl_tensor *const *sources, kl_tensor **gradients)
{
    kl_status status = start_walk(w);
    if (!status)
        status = find_useful(w, count, sources);
    mark_sources(w, status ? 0 : count, sources);
    if (!status)
        status = run_walk(w, 1, &target, &seed);
    if (!status)
        status = collect(w, count, sources, gradients);
    if (status)
        release_gradients(count, gradients);
    free_walk(w);
    return status;
}

kl_status kl_tape_gradient_with(const kl_gradient_args *args)
{
    if (!kl_args_usable("kl_tape_gradient", args, args ? args->size : 0, sizeof *args,
                        args ? args->mark : 0))
        return kl_last_status();
    kl_tape *tape = args->tape;
    if (!tape || !args->target || (args->count && (!args->sources || !args->gradients)))
        return kl_error_null("kl_tape_gradient", !tape           ? "tape"
                                                 : !args->target ? "target"
                                                                 : "sources");
    for (size_t i = 0; i < args->count; i++) {
        args->gradients[i] = NULL;
        if (!args->sources[i])
            return kl_error_null("kl_tape_gradient", "sources[i]");
    }
    kl_tensor *target = args->target, *seed = args->output_gradient;
    kl_status status = KL_OK;
    if (!kl_dtype_is_float((kl_dtype)target->dtype))
        status = kl_error(KL_ERROR_DTYPE, "kl_tape_gradient: gradients are of floats, got %s",
                          kl_dtype_name((kl_dtype)target->dtype));
    else if (kl_rec.broken)
        status = kl_error(KL_ERROR_MEMORY, "the tape is incomplete: memory ran out on the way");
    else if (seed && !kl_shape_equal(seed, target))
        status = kl_error(KL_ERROR_SHAPE,
                          "kl_tape_gradient: output_gradient has another shape than target");
    bool higher = args->higher_order || kl_rec.tapes > 1;
    kl_tensor *own = NULL;
    if (!status && !seed) {
        own = seed = kl_full((kl_dtype)target->dtype, target->rank, target->shape, 1);
        if (!seed)
            status = kl_last_status();
    }
    walk w = {.first = tape->first,
              .last = kl_rec.count,
              .leaf_count = kl_rec.leaf_count,
              .higher_order = higher,
              .keep_rows = args->keep_rows,
              .consume = !args->persistent && !higher};
    if (!status)
        status = gradients_from(&w, target, seed, args->count, args->sources, args->gradients);
    kl_release(kl_scope_detach(own));
    if (!args->persistent)
        kl_tape_end(tape);
    return status;
}
