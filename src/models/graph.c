#include "models/graph.h"
#include "models/input.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/session.h"

static kl_status graph_apply(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                             int outputs, kl_tensor **out);
static kl_status graph_call(const kl_call_args *args, kl_tensors *outputs);
static void graph_released(kl_tensor *tensor);

static kl_graph *root_of(kl_graph *graph)
{
    while (graph->merged)
        graph = graph->merged;
    return graph;
}

kl_graph *kl_graph_of(const kl_tensor *tensor)
{
    return root_of(kl_symbol_of(tensor)->graph);
}

kl_graph *kl_graph_retain(kl_graph *graph)
{
    atomic_fetch_add(&root_of(graph)->refs, 1);
    return graph;
}

kl_tensor **kl_node_argument(kl_graph_node *node, int index)
{
    if (index < node->input_count)
        return &node->inputs[index];
    if (!node->has_call)
        return NULL;
    index -= node->input_count;
    kl_tensor **lists[] = {node->call.masks, node->call.initial_state, node->call.constants};
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        if (index < KL_MAX_LIST)
            return &lists[k][index];
        index -= KL_MAX_LIST;
    }
    if (index < (int)(sizeof node->call.arguments / sizeof *node->call.arguments))
        return &node->call.arguments[index].value;
    return NULL;
}

/* Gives back the constants, while the symbolic arguments among them can still be told apart. */
static void drop_constants(kl_graph_node *node)
{
    kl_tensor **argument;
    for (int i = 0; (argument = kl_node_argument(node, i)); i++) {
        if (*argument && !(*argument)->symbol)
            kl_unhold(*argument);
        *argument = NULL;
    }
}

static void node_free(kl_graph_node *node)
{
    if (!node)
        return;
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs && node->outputs[i]) {
            kl_free(node->outputs[i]->symbol);
            node->outputs[i]->symbol = NULL;
            kl_unhold(node->outputs[i]);
        }
    }
    if (node->has_call)
        for (size_t i = 0; i < sizeof node->call.arguments / sizeof *node->call.arguments; i++)
            kl_free((char *)(uintptr_t)node->call.arguments[i].name);
    kl_object_disown(node->layer);
    kl_free(node->attrs);
    kl_free(node->name);
    kl_free(node->inputs);
    kl_free(node->outputs);
    kl_free(node);
}

void kl_graph_release(kl_graph *graph)
{
    if (!graph)
        return;
    graph = root_of(graph);
    if (atomic_fetch_sub(&graph->refs, 1) != 1)
        return;
    for (kl_graph_node *node = graph->first; node; node = node->next)
        drop_constants(node);
    for (kl_graph_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        node_free(node);
    }
    for (kl_graph *old = graph->absorbed, *next; old; old = next) {
        next = old->next_absorbed;
        kl_free(old);
    }
    kl_free(graph);
}

static void graph_released(kl_tensor *tensor)
{
    kl_graph_release(kl_symbol_of(tensor)->graph);
}

/* Moves `from`'s nodes and references into `into`; `from` stays as a pointer to it. */
static void merge(kl_graph *into, kl_graph *from)
{
    if (into == from)
        return;
    if (into->last)
        into->last->next = from->first;
    else
        into->first = from->first;
    if (from->last)
        into->last = from->last;
    from->first = from->last = NULL;
    from->merged = into;
    atomic_fetch_add(&into->refs, atomic_load(&from->refs));
    kl_graph **end = &from->absorbed;
    while (*end)
        end = &(*end)->next_absorbed;
    *end = into->absorbed;
    from->next_absorbed = from->absorbed;
    from->absorbed = NULL;
    into->absorbed = from;
}

void kl_graph_join(const kl_tensor *a, const kl_tensor *b)
{
    merge(kl_graph_of(a), kl_graph_of(b));
}

static kl_tensor *new_symbol(kl_graph *graph, kl_graph_node *node, int index, const kl_shape *shape)
{
    kl_graph_symbol *symbol = kl_calloc(1, sizeof *symbol);
    kl_tensor *tensor = symbol ? kl_symbolic_tensor(shape->dtype, shape->rank, shape->at) : NULL;
    if (!tensor) {
        kl_free(symbol);
        return NULL;
    }
    *symbol = (kl_graph_symbol){{graph_apply, graph_call, graph_released}, graph, node, index};
    tensor->symbol = &symbol->symbol;
    return tensor;
}

/* Copies the handles of the arguments: symbolic ones are lent by the graph, constants held. */
static kl_status take_arguments(kl_graph_node *node)
{
    kl_tensor **argument;
    for (int i = 0; (argument = kl_node_argument(node, i)); i++)
        if (*argument && !(*argument)->symbol)
            kl_hold(*argument);
    return KL_OK;
}

static kl_graph_node *new_node(int inputs, kl_tensor *const *in)
{
    kl_graph_node *node = kl_calloc(1, sizeof *node);
    if (!node)
        return NULL;
    node->inputs = kl_malloc_array((size_t)inputs + 1, sizeof *node->inputs);
    if (!node->inputs) {
        kl_free(node);
        return NULL;
    }
    if (inputs)
        memcpy(node->inputs, in, (size_t)inputs * sizeof *in);
    node->input_count = inputs;
    return node;
}

/* Gives the node its outputs and puts it into the one graph of all its arguments. */
static kl_status attach(kl_graph_node *node, kl_graph *graph, const kl_shape *shapes, int count)
{
    node->outputs = kl_calloc((size_t)count, sizeof *node->outputs);
    if (!node->outputs)
        return KL_ERROR_MEMORY;
    kl_tensor **argument;
    for (int i = 0; (argument = kl_node_argument(node, i)); i++) {
        if (!*argument || !(*argument)->symbol)
            continue;
        kl_graph *other = kl_graph_of(*argument);
        if (!graph)
            graph = other;
        merge(graph, other);
    }
    if (!graph)
        return kl_error(KL_ERROR_STATE, "a call in a graph needs a symbolic tensor");
    node->output_count = count;
    for (int i = 0; i < count; i++)
        if (!(node->outputs[i] = new_symbol(graph, node, i, &shapes[i])))
            return kl_last_status();
    if (graph->last)
        graph->last->next = node;
    else
        graph->first = node;
    graph->last = node;
    return KL_OK;
}

static kl_shape symbol_shape(const kl_tensor *tensor)
{
    kl_shape shape = {.rank = tensor->rank, .dtype = tensor->dtype};
    memcpy(shape.at, tensor->shape, sizeof shape.at);
    return shape;
}

kl_tensor *kl_graph_input(kl_layer *input_layer, const kl_shape *shape)
{
    kl_graph *graph = kl_calloc(1, sizeof *graph);
    kl_graph_node *node = graph ? new_node(0, NULL) : NULL;
    kl_pool *pool = kl_pool_enter(NULL);
    if (node)
        node->layer = kl_object_own(input_layer);
    if (!node || attach(node, graph, shape, 1)) {
        if (!node)
            kl_object_release(input_layer);
        node_free(node);
        kl_free(graph);
        kl_pool_enter(pool);
        return NULL;
    }
    kl_pool_enter(pool);
    input_layer->built = true;
    graph->refs = 1; /* the handle's user */
    return kl_retain(node->outputs[0]);
}

void kl_graph_adopt_input(kl_tensor *input)
{
    kl_layer *layer = kl_graph_input_layer(input);
    if (!layer)
        return;
    kl_input_state *state = kl_layer_state(layer);
    if (!state->adopted) {
        state->adopted = true;
        kl_release(input);
    }
}

kl_layer *kl_graph_input_layer(const kl_tensor *tensor)
{
    if (!tensor->symbol)
        return NULL;
    kl_graph_node *node = kl_symbol_of(tensor)->node;
    return node->layer && !node->input_count ? node->layer : NULL;
}

static kl_status copy_call(kl_graph_node *node, const kl_call_args *args)
{
    node->call = *args;
    node->call.inputs_list = (kl_tensors){0};
    memset(node->call.inputs, 0, sizeof node->call.inputs);
    size_t count = sizeof node->call.arguments / sizeof *node->call.arguments;
    for (size_t i = 0; i < count; i++)
        node->call.arguments[i].name = NULL;
    node->has_call = true;
    for (size_t i = 0; i < count; i++)
        if (args->arguments[i].name &&
            !(node->call.arguments[i].name = kl_strdup(args->arguments[i].name)))
            return KL_ERROR_MEMORY;
    return KL_OK;
}

/* The call's further tensors as stand-ins matter for shapes too: symbolic ones are probed by the
   layer's base from the same sizes, so they are left out here unless constant. */
static void drop_symbolic(kl_call_args *args)
{
    kl_tensor **lists[] = {args->masks, args->initial_state, args->constants};
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
        if (lists[k][0] && lists[k][0]->symbol)
            memset(lists[k], 0, KL_MAX_LIST * sizeof *lists[k]);
    for (size_t i = 0; i < sizeof args->arguments / sizeof *args->arguments; i++)
        if (args->arguments[i].value && args->arguments[i].value->symbol)
            args->arguments[i].value = NULL;
}

static kl_status graph_call(const kl_call_args *args, kl_tensors *outputs)
{
    kl_layer *layer = args->layer;
    kl_tensor *const *in = args->inputs_list.at ? args->inputs_list.at : args->inputs;
    int count = args->inputs_list.count;
    if (!args->inputs_list.at)
        while (count < KL_MAX_LIST && in[count])
            count++;
    if (count > KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: more than %d inputs", layer->name, KL_MAX_LIST);
    kl_object_own(layer);
    kl_status status = kl_layer_check(layer);
    kl_shape in_shapes[KL_MAX_LIST], out_shapes[KL_MAX_LIST] = {{0}};
    int out_count = 0;
    for (int i = 0; i < count; i++)
        in_shapes[i] = symbol_shape(in[i]);
    if (!status) {
        kl_call_args base = *args;
        drop_symbolic(&base);
        status = kl_layer_graph_shapes(layer, &base, in_shapes, count, out_shapes, &out_count);
    }
    kl_graph_node *node = status ? NULL : new_node(count, in);
    if (!node) {
        kl_object_disown(layer);
        return status ? status : kl_last_status();
    }
    node->layer = layer;
    kl_pool *pool = kl_pool_enter(NULL);
    status = copy_call(node, args);
    if (!status)
        status = take_arguments(node);
    if (!status)
        status = attach(node, NULL, out_shapes, out_count);
    kl_pool_enter(pool);
    if (status) {
        drop_constants(node);
        node_free(node);
        return status;
    }
    node->call_index = layer->symbolic_calls++;
    *outputs = (kl_tensors){node->output_count, node->outputs};
    return KL_OK;
}

/* Output shapes of an op: its forward run on stand-ins of two sizes. */
static kl_status op_shapes(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                           int outputs, kl_shape *shapes)
{
    static const int64_t sizes[2] = {5040, 10080};
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return kl_last_status();
    kl_status status = KL_OK;
    for (int run = 0; run < 2 && !status; run++) {
        kl_tensor *probes[KL_MAX_LIST] = {0}, *out[KL_MAX_LIST] = {0};
        for (int i = 0; i < inputs && !status; i++) {
            probes[i] = in[i];
            if (!in[i] || !in[i]->symbol)
                continue;
            int64_t dims[KL_MAX_RANK];
            for (int k = 0; k < in[i]->rank; k++)
                dims[k] = in[i]->shape[k] < 0 ? sizes[run] : in[i]->shape[k];
            probes[i] = kl_stand_in(in[i]->dtype, in[i]->rank, dims);
            if (!probes[i])
                status = kl_last_status();
        }
        if (!status)
            status = kl_op_run(op, attrs, inputs, probes, UINT64_MAX, outputs, out);
        for (int i = 0; i < outputs && !status; i++) {
            for (int k = 0; run && k < out[i]->rank; k++)
                if (shapes[i].at[k] != out[i]->shape[k])
                    shapes[i].at[k] = -1;
            if (!run)
                shapes[i] = symbol_shape(out[i]);
        }
    }
    kl_scope_end_keeping(scope, 0, NULL);
    return status;
}

static kl_status graph_apply(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                             int outputs, kl_tensor **out)
{
    if (inputs > KL_MAX_LIST || outputs > KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: more than %d symbolic inputs", op->name,
                        KL_MAX_LIST);
    kl_shape shapes[KL_MAX_LIST] = {{0}};
    kl_status status = op_shapes(op, attrs, inputs, in, outputs, shapes);
    kl_graph_node *node = status ? NULL : new_node(inputs, in);
    if (!node)
        return status ? status : kl_last_status();
    kl_pool *pool = kl_pool_enter(NULL);
    char name[128];
    node->op = op;
    status = kl_unique_name(op->class_name ? op->class_name : op->name, name, sizeof name);
    if (!status && op->attrs_size && !(node->attrs = kl_memdup(attrs, op->attrs_size)))
        status = KL_ERROR_MEMORY;
    if (!status && !(node->name = kl_strdup(name)))
        status = KL_ERROR_MEMORY;
    if (!status)
        status = take_arguments(node);
    if (!status)
        status = attach(node, NULL, shapes, outputs);
    kl_pool_enter(pool);
    if (status) {
        drop_constants(node);
        node_free(node);
        return status;
    }
    memcpy(out, node->outputs, (size_t)outputs * sizeof *out);
    return KL_OK;
}
