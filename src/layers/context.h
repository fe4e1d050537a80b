/*
 * A context is what one call of a layer or model, or one training step, carries: training flag,
 * pending updates, losses, metrics, random stream, call arguments, and for models a block pool.
 */
#ifndef KL_LAYERS_CONTEXT_H
#define KL_LAYERS_CONTEXT_H

#include "base/random.h"
#include "klayers/layer.h"

typedef enum kl_context_mode {
    KL_CONTEXT_INFERENCE,
    KL_CONTEXT_TRAINING, /* excludes every other use of the model meanwhile */
    KL_CONTEXT_SHAPES    /* stand-ins: updates, losses and draws are discarded */
} kl_context_mode;

typedef struct kl_context_value {
    char name[64];
    kl_tensor *value; /* held */
} kl_context_value;

typedef struct kl_context_update {
    const kl_weight *weight;
    kl_tensor *value; /* held */
} kl_context_update;

struct kl_context {
    kl_context *next;  /* in the free list */
    kl_context *outer; /* current before this one */
    kl_layer *outermost;
    kl_context_mode mode;
    struct kl_pool *pool, *outer_pool;
    bool outer_shapes;
    bool training; /* of the call now running, and so the next three */
    const kl_call_args *call;
    kl_tensor **masks; /* by input, NULL entries where none */
    int input_count;
    kl_context_update *updates;
    int update_count, update_capacity;
    kl_tensor **losses; /* held */
    const kl_layer **loss_owners;
    int loss_count, loss_capacity;
    kl_context_value *metrics;
    int metric_count, metric_capacity;
};

/*
 * A context from the layer's free list, its pool entered, the model locked as the mode asks (shared
 * for inference of stateless layers), and made current on this thread. NULL on error. Ended by
 * kl_context_end on the same thread; contexts nest.
 */
kl_context *kl_context_begin(kl_layer *outermost, kl_context_mode mode);
/* Everything of a call of `layer` within the context: build, checks, casts, masks, scope, losses.
   args->layer is the layer; outputs come handed to the open scope or the caller. */
kl_tensors kl_context_call(kl_context *ctx, const kl_call_args *args);
/* The losses added so far within this context (activity regularizers, add_loss), lent. */
kl_tensors kl_context_losses(const kl_context *ctx);
/* Takes the last `count` losses back. */
void kl_context_drop_losses(kl_context *ctx, int count);
/* The metrics added: name and value of the i-th; NULL beyond the end. */
kl_tensor *kl_context_metric(const kl_context *ctx, int index, const char **name);
/* Writes the pending updates into the weights. Without it they are dropped at the end. */
kl_status kl_context_commit(kl_context *ctx);
void kl_context_end(kl_context *ctx);
/* Whether this is a run with stand-ins. */
bool kl_context_shapes_only(const kl_context *ctx);
/* The context of the call now running on this thread, or NULL. */
kl_context *kl_context_current(void);

#endif
