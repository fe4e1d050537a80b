#include "ops/recording.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/session.h"

_Thread_local kl_recording kl_rec;
static _Atomic uint64_t serials;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

bool kl_tape_is_recording(void)
{
    return kl_rec.tapes && !kl_rec.paused;
}

static size_t hash_pointer(const void *p)
{
    return (size_t)(((uintptr_t)p >> 6) * 0x9E3779B97F4A7C15u >> 20);
}

int64_t kl_tape_find_leaf(const kl_tensor *tensor)
{
    if (!kl_rec.slot_count)
        return -1;
    for (size_t at = hash_pointer(tensor);; at++) {
        int64_t index = kl_rec.slots[at & (size_t)(kl_rec.slot_count - 1)];
        if (index < 0 || kl_rec.leaves[index].tensor == tensor)
            return index;
    }
}

static void put_slot(int64_t index)
{
    size_t at = hash_pointer(kl_rec.leaves[index].tensor);
    while (kl_rec.slots[at & (size_t)(kl_rec.slot_count - 1)] >= 0)
        at++;
    kl_rec.slots[at & (size_t)(kl_rec.slot_count - 1)] = index;
}

static kl_status grow_slots(void)
{
    int64_t count = kl_rec.slot_count ? 2 * kl_rec.slot_count : 64;
    int64_t *slots = kl_realloc_array(kl_rec.slots, (size_t)count, sizeof *slots);
    if (!slots)
        return KL_ERROR_MEMORY;
    kl_rec.slots = slots;
    kl_rec.slot_count = count;
    memset(slots, 0xff, (size_t)count * sizeof *slots);
    for (int64_t i = 0; i < kl_rec.leaf_count; i++)
        put_slot(i);
    return KL_OK;
}

static int64_t add_leaf(kl_tensor *tensor)
{
    int64_t index = kl_tape_find_leaf(tensor);
    if (index >= 0)
        return index;
    if (kl_rec.leaf_count == kl_rec.leaf_capacity) {
        int64_t capacity = kl_rec.leaf_capacity ? 2 * kl_rec.leaf_capacity : 32;
        leaf *grown = kl_realloc_array(kl_rec.leaves, (size_t)capacity, sizeof *grown);
        if (!grown)
            return -1;
        kl_rec.leaves = grown;
        kl_rec.leaf_capacity = capacity;
    }
    if (2 * (kl_rec.leaf_count + 1) > kl_rec.slot_count && grow_slots())
        return -1;
    kl_rec.leaves[kl_rec.leaf_count].tensor = kl_hold(tensor);
    put_slot(kl_rec.leaf_count);
    return kl_rec.leaf_count++;
}

static bool followed(const kl_tensor *tensor)
{
    if (tensor->tape == kl_rec.serial)
        return true;
    return tensor->watched || (kl_rec.leaf_count && kl_tape_find_leaf(tensor) >= 0);
}

bool kl_tape_wants(int inputs, kl_tensor *const *in)
{
    if (!kl_rec.tapes || kl_rec.paused)
        return false;
    for (int i = 0; i < inputs; i++)
        if (in[i] && kl_dtype_is_float((kl_dtype)in[i]->dtype) && followed(in[i]))
            return true;
    return false;
}

static void drop_cache(void)
{
    if (kl_rec.tapes)
        return;
    kl_free(kl_rec.nodes);
    kl_free(kl_rec.leaves);
    kl_free(kl_rec.slots);
    kl_rec = (kl_recording){0};
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

void kl_node_drop_values(struct kl_node *node)
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
    kl_node_drop_values(node);
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
    if (tensor->tape == kl_rec.serial) {
        input->source = tensor->node->position;
        input->output = tensor->output;
    } else if (kl_dtype_is_float((kl_dtype)tensor->dtype) && followed(tensor)) {
        int64_t index = add_leaf(tensor);
        if (index < 0)
            kl_rec.broken = true;
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
    if (kl_rec.count == kl_rec.capacity) {
        int64_t capacity = kl_rec.capacity ? 2 * kl_rec.capacity : 256;
        struct kl_node **grown = kl_realloc_array(kl_rec.nodes, (size_t)capacity, sizeof *grown);
        if (!grown) {
            kl_rec.broken = true;
            return;
        }
        kl_rec.nodes = grown;
        kl_rec.capacity = capacity;
    }
    struct kl_node *node = kl_block_alloc(total);
    if (!node) {
        kl_rec.broken = true;
        return;
    }
    *node = (struct kl_node){.op = op,
                             .position = kl_rec.count,
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
        tensor->tape = kl_rec.serial;
        tensor->node = node;
        tensor->output = (uint32_t)i;
    }
    for (size_t i = 0; i < sizeof node->saved / sizeof *node->saved; i++)
        node->saved[i] = kl_hold(frame->saved[i]);
    kl_rec.nodes[kl_rec.count++] = node;
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
    kl_rec.paused++;
}

void kl_tape_resume(void)
{
    kl_rec.paused--;
}

/* The recording ends with its last tape; what it kept for reuse stays with the thread. */
static void clear_recording(void)
{
    for (int64_t i = kl_rec.count; i-- > 0;)
        free_node(kl_rec.nodes[i]);
    for (int64_t i = 0; i < kl_rec.leaf_count; i++)
        kl_unhold(kl_rec.leaves[i].tensor);
    kl_rec.count = kl_rec.leaf_count = 0;
    if (kl_rec.slots)
        memset(kl_rec.slots, 0xff, (size_t)kl_rec.slot_count * sizeof *kl_rec.slots);
    kl_rec.serial = 0;
    kl_rec.broken = false;
    kl_rec.newest = NULL;
}

void kl_tape_end(kl_tape *tape)
{
    if (!tape)
        return;
    for (kl_tape **at = &kl_rec.newest; *at; at = &(*at)->outer) {
        if (*at == tape) {
            *at = tape->outer;
            break;
        }
    }
    kl_block_free(tape);
    if (--kl_rec.tapes == 0)
        clear_recording();
}

static void at_thread_exit(void *unused)
{
    while (kl_rec.newest)
        kl_tape_end(kl_rec.newest);
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
    pthread_setspecific(exit_key, &kl_rec);
}

kl_tape *kl_tape_begin(void)
{
    kl_tape *tape = kl_block_alloc(sizeof *tape);
    if (!tape)
        return NULL;
    if (!kl_rec.tapes)
        kl_rec.serial = atomic_fetch_add(&serials, 1) + 1;
    if (!kl_rec.slots)
        keep_arrays();
    *tape = (kl_tape){.outer = kl_rec.newest, .first = kl_rec.count};
    kl_rec.newest = tape;
    kl_rec.tapes++;
    return tape;
}
