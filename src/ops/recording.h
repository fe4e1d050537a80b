/* What a thread's recording consists of: shared by recording (tape.c) and going back
   (gradient.c). */
#ifndef KL_OPS_RECORDING_H
#define KL_OPS_RECORDING_H

#include "ops/tape.h"
#include "tensor/tensor.h"

/* One input of a recorded op: where its value came from, and the value itself if backward reads
   it. */
typedef struct node_input {
    kl_tensor *value; /* held; NULL: only the shape is known */
    uint64_t version;
    int64_t source; /* position of the node that made it, -1 - k for leaf k, NOWHERE otherwise */
    uint32_t output;
    uint8_t dtype;
    int rank; /* -1: the input was NULL */
    int64_t shape[KL_MAX_RANK];
} node_input;

#define NOWHERE INT64_MIN

typedef struct node_output {
    kl_tensor *value; /* held; NULL: only the shape is known */
    uint64_t version;
    uint8_t dtype;
    int rank;
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

typedef struct kl_recording {
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
} kl_recording;

/* This thread's. */
extern _Thread_local kl_recording kl_rec;

/* The leaf's index; -1 if the tensor is none. */
int64_t kl_tape_find_leaf(const kl_tensor *tensor);
/* Frees what the node keeps for backward; the node itself stays, as tensors may point to it. */
void kl_node_drop_values(struct kl_node *node);

#endif
