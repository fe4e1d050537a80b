/*
 * The recording behind tapes. A thread has at most one recording; tapes are windows on it, and it
 * lives until the last of them ends.
 */
#ifndef KL_OPS_TAPE_H
#define KL_OPS_TAPE_H

#include "klayers/ops.h"

/* Whether an op on these inputs must be recorded: a tape is open, not paused, and one of the
   inputs is followed. Costs a few ns when no tape is open. */
bool kl_tape_wants(int inputs, kl_tensor *const *in);
/* Records a computed op. On failure (memory) the tape is marked broken and later gradients fail. */
void kl_tape_record(const kl_op_frame *frame);
/* Whether a tape is open on this thread and not paused. */
bool kl_tape_is_recording(void);

struct kl_call_args;
struct kl_tensors;

/*
 * How symbolic tensors get into the graph: the tensor's symbol begins with this table, so ops need
 * not know the graph part.
 */
typedef struct kl_symbol {
    /* Records the op as a node and sets out[]; called by kl_op_run outside a layer's call. */
    kl_status (*apply)(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                       int outputs, kl_tensor **out);
    /* Records the call of a layer; both structs are those of klayers/layer.h. */
    kl_status (*call)(const struct kl_call_args *args, struct kl_tensors *outputs);
    /* The user's last reference to the handle is gone (kl_release calls it; the graph still holds
       the handle, and may free it here). */
    void (*released)(kl_tensor *tensor);
} kl_symbol;

/* The random stream for ops that draw: that of the current call's context, or the default one. */
#include "base/random.h"
kl_random *kl_random_current(void);
/* Set by the layer base around a call; returns the one before. NULL: the default generator. */
kl_random *kl_random_enter(kl_random *next);

/* Number of ops run on this thread, for the overhead bench. */
uint64_t kl_op_count(void);

#endif
