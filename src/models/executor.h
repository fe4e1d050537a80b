/*
 * The executor: the part of a graph between inputs and outputs as a list of steps over slots.
 */
#ifndef KL_MODELS_EXECUTOR_H
#define KL_MODELS_EXECUTOR_H

#include "models/graph.h"

typedef struct kl_fold kl_fold;

typedef struct kl_step {
    kl_graph_node *node;
    int *slots; /* of each argument of the node (kl_node_argument), -1: constant or none */
    int argument_count;
    int first_out; /* slot of the first output; the others follow */
    int *dead;     /* slots whose last reader this step is */
    int dead_count;
    kl_fold *fold; /* if it can run as one with the steps after it (models/fusion.h) */
    int fold_steps;
} kl_step;

typedef struct kl_executor {
    kl_graph *graph; /* retained */
    int input_count, output_count;
    kl_tensor **inputs, **outputs; /* symbolic, lent by the graph */
    int *input_slots, *output_slots;
    kl_step *steps;
    int step_count, slot_count;
    kl_graph_node **nodes; /* every node, inputs included, in Keras's order of a model's layers */
    int node_count;
} kl_executor;

/* NULL with an error if an output doesn't depend on the inputs alone. */
kl_executor *kl_executor_new(int inputs, kl_tensor *const *in, int outputs, kl_tensor *const *out);
void kl_executor_free(kl_executor *executor);
/* Runs the steps in the current scope; `self` names the model in messages. */
kl_tensors kl_executor_call(const kl_executor *executor, const kl_layer *self, kl_context *ctx,
                            kl_tensors inputs);

#endif
