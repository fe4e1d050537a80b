#include "ops/tape.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/session.h"
#include "kernels/elementwise.h"
#include "tensor/tensor.h"

/* One input of a recorded op: where its value came from, and the value itself if backward reads
   it. */
typedef struct node_input {
    kl_tensor *value; /* held; NULL: only the shape is known */
    uint64_t version;
    int64_t source; /* position of the node that made it, -1 - k for leaf k, NOWHERE otherwise */
    uint32_t output;
    uint8_t dtype;
    int8_t rank; /* -1: the input was NULL */
    int64_t shape[KL_MAX_RANK];
} node_input;

#define NOWHERE INT64_MIN

typedef struct node_output {
    kl_tensor *value; /* held; NULL: only the shape is known */
    uint64_t version;
    uint8_t dtype;
    int8_t rank;
    int64_t shape[KL_MAX_RANK];
} node_output;

struct kl_node {
    const kl_op *op;
    int64_t position;
    int inputs, outputs;
    kl_tensor *saved[4]; /* held */
    void *attrs;
    node_input *in;
    node_output *out;
};

/* A tensor that gradients can be asked for: a weight's value, or a watched one. */
typedef struct leaf {
    kl_tensor *tensor; /* held */
} leaf;

struct kl_tape {
    kl_tape *outer;
    int64_t first; /* position of the recording when the tape began */
};

typedef struct recording {
    uint64_t serial;
    struct kl_node **nodes;
    int64_t count, capacity;
    leaf *leaves;
    int64_t leaf_count, leaf_capacity;
    int64_t *slots; /* open addressing over leaves, -1: free */
    int64_t slot_count;
    int tapes, paused;
    kl_tape *newest;
    bool broken;
} recording;

static _Thread_local recording rec;
static _Atomic uint64_t serials;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

bool kl_tape_is_recording(void)
{
    return rec.tapes && !rec.paused;
}

static size_t hash_pointer(const void *p)
{
    return (size_t)(((uintptr_t)p >> 6) * 0x9E3779B97F4A7C15u >> 20);
}

static int64_t find_leaf(const kl_tensor *tensor)
{
    if (!rec.slot_count)
        return -1;
    for (size_t at = hash_pointer(tensor);; at++) {
        int64_t index = rec.slots[at & (size_t)(rec.slot_count - 1)];
        if (index < 0 || rec.leaves[index].tensor == tensor)
            return index;
    }
}

static void put_slot(int64_t index)
{
    size_t at = hash_pointer(rec.leaves[index].tensor);
    while (rec.slots[at & (size_t)(rec.slot_count - 1)] >= 0)
        at++;
    rec.slots[at & (size_t)(rec.slot_count - 1)] = index;
}

static kl_status grow_slots(void)
{
    int64_t count = rec.slot_count ? 2 * rec.slot_count : 64;
    int64_t *slots = kl_realloc_array(rec.slots, (size_t)count, sizeof *slots);
    if (!slots)
        return KL_ERROR_MEMORY;
    rec.slots = slots;
    rec.slot_count = count;
    memset(slots, 0xff, (size_t)count * sizeof *slots);
    for (int64_t i = 0; i < rec.leaf_count; i++)
        put_slot(i);
    return KL_OK;
}

static int64_t add_leaf(kl_tensor *tensor)
{
    int64_t index = find_leaf(tensor);
    if (index >= 0)
        return index;
    if (rec.leaf_count == rec.leaf_capacity) {
        int64_t capacity = rec.leaf_capacity ? 2 * rec.leaf_capacity : 32;
        leaf *grown = kl_realloc_array(rec.leaves, (size_t)capacity, sizeof *grown);
        if (!grown)
            return -1;
        rec.leaves = grown;
        rec.leaf_capacity = capacity;
    }
    if (2 * (rec.leaf_count + 1) > rec.slot_count && grow_slots())
        return -1;
    rec.leaves[rec.leaf_count].tensor = kl_hold(tensor);
    put_slot(rec.leaf_count);
    return rec.leaf_count++;
}

static bool followed(const kl_tensor *tensor)
{
    if (tensor->tape == rec.serial)
        return true;
    return tensor->watched || (rec.leaf_count && find_leaf(tensor) >= 0);
}

bool kl_tape_wants(int inputs, kl_tensor *const *in)
{
    if (!rec.tapes || rec.paused)
        return false;
    for (int i = 0; i < inputs; i++)
        if (in[i] && kl_dtype_is_float((kl_dtype)in[i]->dtype) && followed(in[i]))
            return true;
    return false;
}

static void drop_cache(void)
{
    if (rec.tapes)
        return;
    kl_free(rec.nodes);
    kl_free(rec.leaves);
    kl_free(rec.slots);
    rec = (recording){0};
}

static bool kept(uint64_t bits, int index)
{
    return bits >> (index < 63 ? index : 63) & 1;
}

static size_t rounded(size_t size)
{
    return (size + 15) / 16 * 16;
}

static void drop(kl_tensor **value)
{
    kl_unhold(*value);
    *value = NULL;
}

/* What the node keeps for backward; the node itself stays, as tensors may still point to it. */
static void drop_values(struct kl_node *node)
{
    for (int i = 0; i < node->inputs; i++)
        drop(&node->in[i].value);
    for (int i = 0; i < node->outputs; i++)
        drop(&node->out[i].value);
    for (size_t i = 0; i < sizeof node->saved / sizeof *node->saved; i++)
        drop(&node->saved[i]);
}

static void free_node(struct kl_node *node)
{
    drop_values(node);
    kl_block_free(node);
}

static void fill_input(node_input *input, kl_tensor *tensor, bool keep)
{
    input->rank = -1;
    input->source = NOWHERE;
    input->value = NULL;
    if (!tensor)
        return;
    input->rank = tensor->rank;
    input->dtype = tensor->dtype;
    memcpy(input->shape, tensor->shape, (size_t)tensor->rank * sizeof *input->shape);
    if (keep) {
        input->value = kl_hold(tensor);
        input->version = kl_tensor_version(tensor);
    }
    if (tensor->tape == rec.serial) {
        input->source = tensor->node->position;
        input->output = tensor->output;
    } else if (kl_dtype_is_float((kl_dtype)tensor->dtype) && followed(tensor)) {
        int64_t index = add_leaf(tensor);
        if (index < 0)
            rec.broken = true;
        else
            input->source = -1 - index;
    }
}

void kl_tape_record(const kl_op_frame *frame)
{
    const kl_op *op = frame->op;
    size_t head = rounded(sizeof(struct kl_node)), attrs = rounded(op->attrs_size);
    size_t in = rounded((size_t)frame->inputs * sizeof(node_input));
    size_t total = head + attrs + in + (size_t)frame->outputs * sizeof(node_output);
    if (rec.count == rec.capacity) {
        int64_t capacity = rec.capacity ? 2 * rec.capacity : 256;
        struct kl_node **grown = kl_realloc_array(rec.nodes, (size_t)capacity, sizeof *grown);
        if (!grown) {
            rec.broken = true;
            return;
        }
        rec.nodes = grown;
        rec.capacity = capacity;
    }
    struct kl_node *node = kl_block_alloc(total);
    if (!node) {
        rec.broken = true;
        return;
    }
    *node = (struct kl_node){.op = op,
                             .position = rec.count,
                             .inputs = frame->inputs,
                             .outputs = frame->outputs,
                             .attrs = (char *)node + head};
    node->in = (node_input *)(void *)((char *)node->attrs + attrs);
    node->out = (node_output *)(void *)((char *)node->in + in);
    if (op->attrs_size && frame->attrs)
        memcpy(node->attrs, frame->attrs, op->attrs_size);
    for (int i = 0; i < frame->inputs; i++)
        fill_input(&node->in[i], frame->in[i], kept(op->keeps_in, i));
    for (int i = 0; i < frame->outputs; i++) {
        kl_tensor *tensor = frame->out[i];
        node_output *output = &node->out[i];
        bool keep = kept(op->keeps_out, i);
        output->rank = tensor->rank;
        output->dtype = tensor->dtype;
        memcpy(output->shape, tensor->shape, (size_t)tensor->rank * sizeof *output->shape);
        output->version = kl_tensor_version(tensor);
        output->value = keep ? kl_hold(tensor) : NULL;
        tensor->tape = rec.serial;
        tensor->node = node;
        tensor->output = (uint32_t)i;
    }
    for (size_t i = 0; i < sizeof node->saved / sizeof *node->saved; i++)
        node->saved[i] = kl_hold(frame->saved[i]);
    rec.nodes[rec.count++] = node;
}

kl_status kl_tape_watch(kl_tape *tape, kl_tensor *tensor)
{
    if (!tape || !tensor)
        return kl_error_null("kl_tape_watch", tape ? "tensor" : "tape");
    if (!kl_dtype_is_float((kl_dtype)tensor->dtype))
        return kl_error(KL_ERROR_DTYPE, "kl_tape_watch: gradients are of floats, got %s",
                        kl_dtype_name((kl_dtype)tensor->dtype));
    return add_leaf(tensor) < 0 ? KL_ERROR_MEMORY : KL_OK;
}

void kl_tape_pause(void)
{
    rec.paused++;
}

void kl_tape_resume(void)
{
    rec.paused--;
}

/* The recording ends with its last tape; what it kept for reuse stays with the thread. */
static void clear_recording(void)
{
    for (int64_t i = rec.count; i-- > 0;)
        free_node(rec.nodes[i]);
    for (int64_t i = 0; i < rec.leaf_count; i++)
        kl_unhold(rec.leaves[i].tensor);
    rec.count = rec.leaf_count = 0;
    if (rec.slots)
        memset(rec.slots, 0xff, (size_t)rec.slot_count * sizeof *rec.slots);
    rec.serial = 0;
    rec.broken = false;
    rec.newest = NULL;
}

void kl_tape_end(kl_tape *tape)
{
    if (!tape)
        return;
    for (kl_tape **at = &rec.newest; *at; at = &(*at)->outer) {
        if (*at == tape) {
            *at = tape->outer;
            break;
        }
    }
    kl_block_free(tape);
    if (--rec.tapes == 0)
        clear_recording();
}

static void at_thread_exit(void *unused)
{
    while (rec.newest)
        kl_tape_end(rec.newest);
    drop_cache();
}

static void make_exit_key(void)
{
    pthread_key_create(&exit_key, at_thread_exit);
}

/* Arrays are kept from one recording to the next: until shutdown, or the thread's end. */
static void keep_arrays(void)
{
    kl_at_shutdown(drop_cache);
    pthread_once(&exit_once, make_exit_key);
    pthread_setspecific(exit_key, &rec);
}

kl_tape *kl_tape_begin(void)
{
    kl_tape *tape = kl_block_alloc(sizeof *tape);
    if (!tape)
        return NULL;
    if (!rec.tapes)
        rec.serial = atomic_fetch_add(&serials, 1) + 1;
    if (!rec.slots)
        keep_arrays();
    *tape = (kl_tape){.outer = rec.newest, .first = rec.count};
    rec.newest = tape;
    rec.tapes++;
    return tape;
}

/* ---- Going back ---------------------------------------------------------------------------- */

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
static kl_tensor *densify(kl_tensor *rows)
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
    kl_tensor *sum = kl_op_add(densify(*slot), densify(grad));
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
        size_t bytes = (size_t)rec.nodes[input->source]->outputs * sizeof **slots;
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
            kl_tensor *dense = densify(dout[i]);
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
        int64_t index = find_leaf(sources[i]);
        if (sources[i]->tape == rec.serial && sources[i]->node->position >= w->first &&
            sources[i]->node->position < w->last)
            w->useful[sources[i]->node->position - w->first] = 1;
        else if (index >= 0 && index < w->leaf_count)
            w->useful[nodes + index] = 1;
    }
    for (int64_t p = w->first; p < w->last; p++) {
        const struct kl_node *node = rec.nodes[p];
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
        struct kl_node *node = rec.nodes[p + w->first];
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
        struct kl_node *node = rec.nodes[p];
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
            drop_values(node);
    }
    return status;
}

static kl_status collect(walk *w, size_t count, kl_tensor *const *sources, kl_tensor **gradients)
{
    kl_status status = KL_OK;
    for (size_t i = 0; i < count && !status; i++) {
        kl_tensor *found = NULL;
        const kl_tensor *source = sources[i];
        int64_t index = find_leaf(source);
        if (source->tape == rec.serial && source->node->position >= w->first &&
            source->node->position < w->last) {
            kl_tensor **dout = w->grads[source->node->position - w->first];
            found = dout ? dout[source->output] : NULL;
        } else if (index >= 0 && index < w->leaf_count) {
            found = w->leaf_grads[index];
        }
        if (!found)
            continue;
        if (found->rows && !w->keep_rows) {
            gradients[i] = densify(found);
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
        if (sources[i]->tape == rec.serial && sources[i]->node->position >= w->first &&
            sources[i]->node->position < w->last)
            w->useful[sources[i]->node->position - w->first] = 2;
}

static void locate(const kl_tensor *tensor, node_input *where)
{
    int64_t index = find_leaf(tensor);
    *where = (node_input){.source = NOWHERE};
    if (tensor->tape == rec.serial) {
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
    walk inner = {.first = rec.count, .ends = ends, .higher_order = true};
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
    inner.last = rec.count;
    inner.leaf_count = rec.leaf_count;
    if (!status)
        status = start_walk(&inner);
    for (int64_t p = inner.first; p < inner.last && !status; p++)
        for (int i = 0; i < rec.nodes[p]->inputs; i++)
            if (wanted(&inner, &rec.nodes[p]->in[i]))
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
    else if (rec.broken)
        status = kl_error(KL_ERROR_MEMORY, "the tape is incomplete: memory ran out on the way");
    else if (seed && !kl_shape_equal(seed, target))
        status = kl_error(KL_ERROR_SHAPE,
                          "kl_tape_gradient: output_gradient has another shape than target");
    bool higher = args->higher_order || rec.tapes > 1;
    kl_tensor *own = NULL;
    if (!status && !seed) {
        own = seed = kl_full((kl_dtype)target->dtype, target->rank, target->shape, 1);
        if (!seed)
            status = kl_last_status();
    }
    walk w = {.first = tape->first,
              .last = rec.count,
              .leaf_count = rec.leaf_count,
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
