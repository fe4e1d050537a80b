/*
 * The graph of symbolic tensors: nodes are calls of layers or ops. A graph lives while one of its
 * inputs' handles or a model made of it does; joining two graphs merges them.
 */
#ifndef KL_MODELS_GRAPH_H
#define KL_MODELS_GRAPH_H

#include <stdatomic.h>
#include "klayers/model.h"
#include "layers/layer.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

typedef struct kl_graph kl_graph;
typedef struct kl_graph_node kl_graph_node;

/* What a symbolic tensor carries. */
typedef struct kl_graph_symbol {
    kl_symbol symbol; /* first: how ops and layers reach the graph */
    kl_graph *graph;  /* as made; kl_graph_of follows merges */
    kl_graph_node *node;
    int index; /* which output of the node */
} kl_graph_symbol;

/* An argument of a node: a symbolic tensor, or a constant that is held. */
struct kl_graph_node {
    kl_graph_node *next; /* in its graph, in the order made */
    kl_layer *layer;     /* owned; NULL for an op */
    int call_index;      /* which symbolic call of the layer this is */
    const kl_op *op;
    void *attrs; /* a copy */
    char *name;  /* of an op's node: "add", "add_1" */
    int input_count, output_count;
    kl_tensor **inputs;  /* positional; then whatever the call's other arguments hold */
    kl_tensor **outputs; /* symbolic, owned by the graph */
    bool has_call;
    kl_call_args call; /* training, masks, states and further arguments; names are copies */
};

struct kl_graph {
    atomic_int refs;    /* models, and input handles that the user holds */
    kl_graph *merged;   /* into this one, which then has the nodes and the references */
    kl_graph *absorbed; /* those merged into this one, freed with it: a list by next_absorbed */
    kl_graph *next_absorbed;
    kl_graph_node *first, *last;
};

static inline kl_graph_symbol *kl_symbol_of(const kl_tensor *tensor)
{
    return (kl_graph_symbol *)tensor->symbol;
}

/* The graph that a symbolic tensor is in now. */
kl_graph *kl_graph_of(const kl_tensor *tensor);
/* Makes one graph of those of two symbolic tensors. */
void kl_graph_join(const kl_tensor *a, const kl_tensor *b);
kl_graph *kl_graph_retain(kl_graph *graph);
void kl_graph_release(kl_graph *graph);

/* Every tensor that a node reads, symbolic or not, positional or not: the i-th, NULL beyond. */
kl_tensor **kl_node_argument(kl_graph_node *node, int index);

/* For a model that begins at this input: from then on the model keeps the graph, and the reference
   that kl_input() handed out is taken over. */
void kl_graph_adopt_input(kl_tensor *input);

/* A symbolic input from an input layer (owned by the graph from then on). */
kl_tensor *kl_graph_input(kl_layer *input_layer, const kl_shape *shape);
/* The layer of an input's node, or NULL if the tensor is no input. */
kl_layer *kl_graph_input_layer(const kl_tensor *tensor);

#endif
