/* The config of a functional model in Keras 3's form. */
#include "models/model.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "models/get_item.h"
#include "models/input.h"
#include "models/op_classes.h"
#include "tensor/tensor.h"

/* Puts value under key, or frees the value if the map already failed. */
static kl_status put(kl_status status, kl_config *map, const char *key, kl_config *value)
{
    if (status) {
        kl_config_free(value);
        return status;
    }
    return kl_config_set(map, key, value);
}

static kl_status push(kl_status status, kl_config *list, kl_config *value)
{
    if (status) {
        kl_config_free(value);
        return status;
    }
    return kl_config_append(list, value);
}

static const char *node_name(const kl_graph_node *node)
{
    return node->layer ? kl_layer_name(node->layer) : node->name;
}

/* The position of a call among those of its layer that belong to this model. */
static int call_position(const kl_executor *ex, const kl_graph_node *node)
{
    int position = 0;
    if (!node->layer)
        return 0;
    for (int i = 0; i < ex->node_count; i++)
        position +=
            ex->nodes[i]->layer == node->layer && ex->nodes[i]->call_index < node->call_index;
    return position;
}

/* [name, call, output] */
static kl_config *history(const kl_executor *ex, const kl_tensor *tensor)
{
    const kl_graph_symbol *symbol = kl_symbol_of(tensor);
    kl_config *list = kl_config_new_list();
    if (!list)
        return NULL;
    kl_status status = push(KL_OK, list, kl_config_new_string(node_name(symbol->node)));
    status = push(status, list, kl_config_new_int(call_position(ex, symbol->node)));
    status = push(status, list, kl_config_new_int(symbol->index));
    if (!status)
        return list;
    kl_config_free(list);
    return NULL;
}

static kl_config *shape_config(const kl_tensor *tensor)
{
    kl_config *list = kl_config_new_list();
    kl_status status = list ? KL_OK : KL_ERROR_MEMORY;
    for (int i = 0; i < tensor->rank && !status; i++)
        status =
            push(status, list,
                 tensor->shape[i] < 0 ? kl_config_new_null() : kl_config_new_int(tensor->shape[i]));
    if (!status)
        return list;
    kl_config_free(list);
    return NULL;
}

static kl_config *symbol_config(const kl_executor *ex, const kl_tensor *tensor)
{
    kl_config *map = kl_config_new_map(), *inner = kl_config_new_map();
    kl_status status = map && inner ? KL_OK : KL_ERROR_MEMORY;
    status = put(status, inner, "shape", shape_config(tensor));
    status = put(status, inner, "dtype", kl_config_new_string(kl_dtype_name(tensor->dtype)));
    status = put(status, inner, "keras_history", history(ex, tensor));
    status = put(status, map, "class_name", kl_config_new_string("__keras_tensor__"));
    if (status) {
        kl_config_free(inner);
        kl_config_free(map);
        return NULL;
    }
    if (!kl_config_set(map, "config", inner))
        return map;
    kl_config_free(map);
    return NULL;
}

/* A constant's elements as nested lists; a scalar is a plain number. */
static kl_config *nested_values(const kl_tensor *tensor, int axis, int64_t *at)
{
    if (axis == tensor->rank) {
        double value = kl_tensor_at(tensor, (*at)++);
        if (tensor->dtype == KL_BOOL)
            return kl_config_new_bool(value != 0);
        if (kl_dtype_is_integer(tensor->dtype))
            return kl_config_new_int((int64_t)value);
        return kl_config_new_float(value);
    }
    kl_config *list = kl_config_new_list();
    kl_status status = list ? KL_OK : KL_ERROR_MEMORY;
    for (int64_t i = 0; i < tensor->shape[axis] && !status; i++)
        status = push(status, list, nested_values(tensor, axis + 1, at));
    if (!status)
        return list;
    kl_config_free(list);
    return NULL;
}

static kl_config *argument_config(const kl_executor *ex, const kl_tensor *tensor)
{
    if (!tensor)
        return kl_config_new_null();
    if (tensor->symbol)
        return symbol_config(ex, tensor);
    int64_t at = 0;
    kl_config *values = nested_values(tensor, 0, &at);
    if (!tensor->rank || !values)
        return values;
    kl_config *map = kl_config_new_map(), *inner = kl_config_new_map();
    kl_status status = map && inner ? KL_OK : KL_ERROR_MEMORY;
    status = put(status, inner, "value", values);
    status = put(status, inner, "dtype", kl_config_new_string(kl_dtype_name(tensor->dtype)));
    status = put(status, map, "class_name", kl_config_new_string("__numpy__"));
    if (status) {
        kl_config_free(inner);
        kl_config_free(map);
        return NULL;
    }
    if (!kl_config_set(map, "config", inner))
        return map;
    kl_config_free(map);
    return NULL;
}

static kl_config *list_config(const kl_executor *ex, kl_tensor *const *list, int count)
{
    kl_config *config = kl_config_new_list();
    kl_status status = config ? KL_OK : KL_ERROR_MEMORY;
    for (int i = 0; i < count && !status; i++)
        status = push(status, config, argument_config(ex, list[i]));
    if (!status)
        return config;
    kl_config_free(config);
    return NULL;
}

static bool takes_list(const kl_graph_node *node)
{
    if (node->op)
        return node->op->flags & KL_OP_LIST_INPUTS;
    return node->input_count > 1 && !(node->layer->vtable->flags & KL_LAYER_SEPARATE_INPUTS);
}

static kl_config *args_config(const kl_executor *ex, const kl_graph_node *node)
{
    kl_config *inputs = list_config(ex, node->inputs, node->input_count);
    if (inputs && node->op == &kl_get_item_op &&
        kl_config_append(inputs, kl_key_write(node->attrs))) {
        kl_config_free(inputs);
        return NULL;
    }
    if (!inputs || !takes_list(node))
        return inputs;
    kl_config *outer = kl_config_new_list();
    if (!outer) {
        kl_config_free(inputs);
        return NULL;
    }
    if (!kl_config_append(outer, inputs))
        return outer;
    kl_config_free(outer);
    return NULL;
}

static int list_length(kl_tensor *const *list)
{
    int count = 0;
    while (count < KL_MAX_LIST && list[count])
        count++;
    return count;
}

/* Masks by the names of their inputs, "a|b|c". */
static kl_status put_masks(kl_status status, kl_config *map, const kl_executor *ex,
                           const char *names, kl_tensor *const *masks)
{
    for (int i = 0; i < KL_MAX_LIST && *names && !status; i++) {
        char name[64];
        int length = (int)strcspn(names, "|");
        snprintf(name, sizeof name, "%.*s_mask", length, names);
        if (masks[i])
            status = put(status, map, name, argument_config(ex, masks[i]));
        names += length + (names[length] == '|');
    }
    return status;
}

static kl_config *kwargs_config(const kl_executor *ex, const kl_graph_node *node)
{
    kl_config *map = kl_config_new_map();
    if (!map || !node->has_call)
        return map;
    const kl_call_args *call = &node->call;
    kl_status status = KL_OK;
    if (call->training != KL_UNSET)
        status = put(status, map, "training", kl_config_new_bool(call->training == KL_TRUE));
    int masks = list_length(call->masks);
    const char *names = node->layer ? node->layer->vtable->input_names : NULL;
    if (names)
        status = put_masks(status, map, ex, names, call->masks);
    else if (masks)
        status = put(status, map, "mask",
                     masks == 1 ? argument_config(ex, call->masks[0])
                                : list_config(ex, call->masks, masks));
    if (list_length(call->initial_state))
        status = put(status, map, "initial_state",
                     list_config(ex, call->initial_state, list_length(call->initial_state)));
    if (list_length(call->constants))
        status = put(status, map, "constants",
                     list_config(ex, call->constants, list_length(call->constants)));
    for (size_t i = 0; i < sizeof call->arguments / sizeof *call->arguments; i++) {
        if (!call->arguments[i].name)
            continue;
        kl_config *value = call->arguments[i].value ? argument_config(ex, call->arguments[i].value)
                                                    : kl_config_new_bool(call->arguments[i].flag);
        status = put(status, map, call->arguments[i].name, value);
    }
    if (!status)
        return map;
    kl_config_free(map);
    return NULL;
}

static kl_config *inbound_config(const kl_executor *ex, const kl_graph_node *node)
{
    kl_config *map = kl_config_new_map();
    kl_status status = map ? KL_OK : KL_ERROR_MEMORY;
    status = put(status, map, "args", args_config(ex, node));
    status = put(status, map, "kwargs", kwargs_config(ex, node));
    if (!status)
        return map;
    kl_config_free(map);
    return NULL;
}

static kl_config *op_config(const kl_graph_node *node)
{
    if (!node->op->class_name) {
        kl_error(KL_ERROR_UNSUPPORTED,
                 "operation '%s' has no class of Keras's: a model with it can't be saved",
                 node->op->name);
        return NULL;
    }
    char module[64];
    snprintf(module, sizeof module, "keras.src.ops.%s", kl_op_module(node->op->class_name));
    kl_config *map = kl_config_new_map(), *config = kl_config_new_map();
    kl_status status = map && config ? KL_OK : KL_ERROR_MEMORY;
    status = put(status, config, "name", kl_config_new_string(node->name));
    if (!status && node->op->fields)
        status = kl_fields_write(node->op->fields, node->attrs, config);
    status = put(status, map, "module", kl_config_new_string(module));
    status = put(status, map, "class_name", kl_config_new_string(node->op->class_name));
    if (status) {
        kl_config_free(config);
        kl_config_free(map);
        return NULL;
    }
    status = kl_config_set(map, "config", config);
    status = put(status, map, "registered_name", kl_config_new_string(node->op->class_name));
    if (!status)
        return map;
    kl_config_free(map);
    return NULL;
}

static kl_config *operation_config(const kl_executor *ex, int first)
{
    const kl_graph_node *node = ex->nodes[first];
    kl_config *map = node->layer ? kl_object_serialize(node->layer) : op_config(node);
    kl_config *inbound = map ? kl_config_new_list() : NULL;
    kl_status status = inbound ? KL_OK : kl_last_status();
    status = put(status, map, "name", kl_config_new_string(node_name(node)));
    for (int i = first; i < ex->node_count && !status; i++) {
        const kl_graph_node *call = ex->nodes[i];
        bool same = call == node || (call->layer && call->layer == node->layer);
        if (same && call->input_count)
            status = push(status, inbound, inbound_config(ex, call));
    }
    if (status) {
        kl_config_free(inbound);
        kl_config_free(map);
        return NULL;
    }
    if (!kl_config_set(map, "inbound_nodes", inbound))
        return map;
    kl_config_free(map);
    return NULL;
}

static bool is_listed(const kl_executor *ex, int index)
{
    for (int i = 0; i < index; i++)
        if (ex->nodes[i]->layer && ex->nodes[i]->layer == ex->nodes[index]->layer)
            return true;
    return false;
}

/* Keras writes the one input or output without a list around it. */
static kl_config *ends_config(const kl_executor *ex, kl_tensor *const *tensors, int count)
{
    if (count == 1)
        return history(ex, tensors[0]);
    kl_config *list = kl_config_new_list();
    kl_status status = list ? KL_OK : KL_ERROR_MEMORY;
    for (int i = 0; i < count && !status; i++)
        status = push(status, list, history(ex, tensors[i]));
    if (!status)
        return list;
    kl_config_free(list);
    return NULL;
}

kl_status kl_functional_write(const kl_layer *model, const kl_executor *ex, kl_config *config)
{
    if (!ex)
        return kl_error(KL_ERROR_STATE, "%s has no graph", kl_layer_name(model));
    for (int i = 0; i < ex->input_count; i++)
        if (!kl_graph_input_layer(ex->inputs[i]))
            return kl_error(KL_ERROR_UNSUPPORTED,
                            "%s begins in the midst of a graph: only a model that begins at "
                            "inputs has a config",
                            kl_layer_name(model));
    kl_config *layers = kl_config_new_list();
    kl_status status = layers ? KL_OK : KL_ERROR_MEMORY;
    for (int i = 0; i < ex->node_count && !status; i++)
        if (!is_listed(ex, i))
            status = push(status, layers, operation_config(ex, i));
    if (status) {
        kl_config_free(layers);
        return status;
    }
    status = kl_config_set(config, "layers", layers);
    status = put(status, config, "input_layers", ends_config(ex, ex->inputs, ex->input_count));
    return put(status, config, "output_layers", ends_config(ex, ex->outputs, ex->output_count));
}
