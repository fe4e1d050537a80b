/* Rebuilds the graph of a functional model from its config, in Keras 3's form or 2.15's. */
#include "models/model.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "models/get_item.h"
#include "models/input.h"
#include "models/op_classes.h"
#include "ops/registry.h"
#include "tensor/tensor.h"

/* A layer or op of the config with the outputs of the calls made so far. */
typedef struct operation {
    const char *name; /* in the config */
    kl_layer *layer;  /* owned while reading, then by the graph */
    const kl_op *op;
    void *attrs;
    const kl_config *calls; /* inbound_nodes */
    kl_tensors *outputs;    /* of each call made */
    size_t made;
} operation;

typedef struct reader {
    operation *operations;
    size_t count;
} reader;

static const char *text_of(const kl_config *map, const char *key)
{
    const kl_config *value = kl_config_get(map, key);
    return value ? kl_config_as_string(value) : NULL;
}

static operation *find_operation(const reader *r, const char *name)
{
    for (size_t i = 0; name && i < r->count; i++)
        if (!strcmp(r->operations[i].name, name))
            return &r->operations[i];
    return NULL;
}

/* [name, call, output, ...] as a tensor; NULL without an error if that call isn't made yet. */
static kl_status resolve_history(const reader *r, const kl_config *list, kl_tensor **out)
{
    *out = NULL;
    int64_t call = -1, index = -1;
    const char *name = kl_config_as_string(kl_config_at(list, 0));
    if (!name || !kl_config_as_int(kl_config_at(list, 1), &call) ||
        !kl_config_as_int(kl_config_at(list, 2), &index) || call < 0 || index < 0)
        return kl_error(KL_ERROR_FORMAT, "keras_history: expected [name, call, output]");
    const operation *op = find_operation(r, name);
    if (!op)
        return kl_error(KL_ERROR_FORMAT, "a call refers to layer '%s', which is not in the config",
                        name);
    if ((size_t)call >= op->made)
        return KL_OK;
    if (index >= op->outputs[call].count)
        return kl_error(KL_ERROR_FORMAT, "layer '%s' has no output %lld", name, (long long)index);
    *out = op->outputs[call].at[index];
    return KL_OK;
}

static kl_status count_values(const kl_config *config, int depth, int64_t *shape, int *rank)
{
    if (kl_config_typeof(config) != KL_CONFIG_LIST) {
        *rank = depth;
        return KL_OK;
    }
    if (depth == KL_MAX_RANK || !kl_config_count(config))
        return kl_error(KL_ERROR_FORMAT, "a constant has an ill-formed list of values");
    shape[depth] = (int64_t)kl_config_count(config);
    return count_values(kl_config_at(config, 0), depth + 1, shape, rank);
}

static kl_status read_values(const kl_config *config, int depth, int rank, const int64_t *shape,
                             double **at)
{
    if (depth == rank) {
        bool flag;
        if (kl_config_as_bool(config, &flag))
            **at = flag;
        else if (!kl_config_as_float(config, *at))
            return kl_error(KL_ERROR_FORMAT, "a constant has a value that is no number");
        ++*at;
        return KL_OK;
    }
    if (kl_config_typeof(config) != KL_CONFIG_LIST ||
        kl_config_count(config) != (size_t)shape[depth])
        return kl_error(KL_ERROR_FORMAT, "a constant has lists of different lengths");
    kl_status status = KL_OK;
    for (int64_t i = 0; i < shape[depth] && !status; i++)
        status = read_values(kl_config_at(config, (size_t)i), depth + 1, rank, shape, at);
    return status;
}

/* A number, or {"class_name": "__numpy__" or "__tensor__", "config": {"value", "dtype"}}. */
static kl_tensor *read_constant(const kl_config *config)
{
    kl_dtype dtype = KL_FLOAT32;
    int64_t whole;
    if (kl_config_as_int(config, &whole))
        dtype = KL_INT32;
    if (kl_config_typeof(config) == KL_CONFIG_MAP) {
        const kl_config *inner = kl_config_get(config, "config");
        const char *name = inner ? text_of(inner, "dtype") : NULL;
        if (!name || !kl_dtype_from_name(name, &dtype)) {
            kl_error(KL_ERROR_FORMAT, "a constant has no known dtype");
            return NULL;
        }
        config = kl_config_get(inner, "value");
    }
    int rank = 0;
    int64_t shape[KL_MAX_RANK], size;
    if (!config || count_values(config, 0, shape, &rank) || !kl_shape_size(rank, shape, &size)) {
        kl_error(KL_ERROR_FORMAT, "a constant has no values");
        return NULL;
    }
    double *values = kl_malloc_array((size_t)size, sizeof *values), *at = values;
    kl_tensor *result = NULL;
    if (values && !read_values(config, 0, rank, shape, &at)) {
        kl_tensor *wide = kl_from_data(KL_FLOAT64, rank, shape, values);
        result = wide ? kl_copy(wide, dtype) : NULL;
        kl_release(wide);
    }
    kl_free(values);
    return result;
}

static bool is_symbol(const kl_config *config)
{
    const char *name =
        kl_config_typeof(config) == KL_CONFIG_MAP ? text_of(config, "class_name") : NULL;
    return name && !strcmp(name, "__keras_tensor__");
}

/*
 * The tensors of an argument, nested lists flattened. *ready becomes false if one isn't made yet.
 * Constants come with a reference of the caller's.
 */
static kl_status read_tensors(const reader *r, const kl_config *config, bool constants,
                              kl_tensor **out, int *count, bool *ready)
{
    if (kl_config_typeof(config) == KL_CONFIG_LIST) {
        kl_status status = KL_OK;
        for (size_t i = 0; i < kl_config_count(config) && !status; i++)
            status = read_tensors(r, kl_config_at(config, i), constants, out, count, ready);
        return status;
    }
    if (*count == KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "a call has more than %d tensors", KL_MAX_LIST);
    if (is_symbol(config)) {
        const kl_config *inner = kl_config_get(config, "config");
        const kl_config *where = inner ? kl_config_get(inner, "keras_history") : NULL;
        kl_status status = where ? resolve_history(r, where, &out[*count])
                                 : kl_error(KL_ERROR_FORMAT, "a tensor has no keras_history");
        if (!status && !out[*count])
            *ready = false;
        ++*count;
        return status;
    }
    if (!constants || kl_config_typeof(config) == KL_CONFIG_NULL)
        return KL_OK;
    out[*count] = read_constant(config);
    return out[(*count)++] ? KL_OK : kl_last_status();
}

static kl_status keep_outputs(operation *op, int count, kl_tensor *const *at)
{
    kl_tensors *grown = kl_realloc_array(op->outputs, op->made + 1, sizeof *grown);
    if (!grown)
        return KL_ERROR_MEMORY;
    op->outputs = grown;
    kl_tensor **copy = kl_memdup(at, (size_t)count * sizeof *at);
    if (!copy)
        return KL_ERROR_MEMORY;
    op->outputs[op->made++] = (kl_tensors){count, copy};
    return KL_OK;
}

/* Which of the names in "a|b|c" `key` is, without `suffix` at its end; -1: none. */
static int find_input(const char *names, const char *key, const char *suffix)
{
    size_t length = strlen(key), cut = strlen(suffix);
    if (!names || length <= cut || strcmp(key + length - cut, suffix) != 0)
        return -1;
    for (int i = 0;; i++) {
        size_t part = strcspn(names, "|");
        if (part == length - cut && !memcmp(names, key, part))
            return i;
        if (!names[part])
            return -1;
        names += part + 1;
    }
}

/* One tensor by name: an input or an input's mask, as attention layers have them. */
static kl_status read_named(const reader *r, const kl_config *value, int index, kl_tensor **list,
                            bool *ready)
{
    kl_tensor *one[KL_MAX_LIST] = {0};
    int count = 0;
    if (index >= KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "a call has more than %d tensors", KL_MAX_LIST);
    kl_status status = read_tensors(r, value, false, one, &count, ready);
    if (!status && count != 1)
        status = kl_error(KL_ERROR_FORMAT, "a call's argument must be one tensor, got %d", count);
    list[index] = one[0];
    return status;
}

/* `in` with *count positional inputs gets those that are given by name. */
static kl_status read_kwargs(const reader *r, const kl_config *kwargs, kl_call_args *args,
                             kl_tensor **in, int *inputs, bool *ready)
{
    const char *names = args->layer->vtable->input_names;
    kl_status status = KL_OK;
    size_t further = 0;
    for (size_t i = 0; i < kl_config_count(kwargs) && !status; i++) {
        const char *key = kl_config_key(kwargs, i);
        const kl_config *value = kl_config_at(kwargs, i);
        bool flag;
        int count = 0;
        if (kl_config_typeof(value) == KL_CONFIG_NULL)
            continue;
        if (!strcmp(key, "training")) {
            if (!kl_config_as_bool(value, &flag))
                return kl_error(KL_ERROR_FORMAT, "training: expected true or false");
            args->training = flag ? KL_TRUE : KL_FALSE;
        } else if (!strcmp(key, "mask")) {
            status = read_tensors(r, value, false, args->masks, &count, ready);
        } else if (!strcmp(key, "initial_state")) {
            status = read_tensors(r, value, false, args->initial_state, &count, ready);
        } else if (!strcmp(key, "constants")) {
            status = read_tensors(r, value, false, args->constants, &count, ready);
        } else if (find_input(names, key, "") >= 0) {
            int index = find_input(names, key, "");
            status = read_named(r, value, index, in, ready);
            *inputs = *inputs > index ? *inputs : index + 1;
        } else if (find_input(names, key, "_mask") >= 0) {
            status = read_named(r, value, find_input(names, key, "_mask"), args->masks, ready);
        } else {
            if (further == sizeof args->arguments / sizeof *args->arguments)
                return kl_error(KL_ERROR_UNSUPPORTED, "a call has too many arguments");
            kl_tensor *tensors[KL_MAX_LIST] = {0};
            args->arguments[further].name = key;
            if (kl_config_as_bool(value, &flag))
                args->arguments[further].flag = flag;
            else
                status = read_tensors(r, value, false, tensors, &count, ready);
            args->arguments[further++].value = tensors[0];
        }
    }
    return status;
}

static void drop_constants(int count, kl_tensor **tensors)
{
    for (int i = 0; i < count; i++)
        if (tensors[i] && !tensors[i]->symbol)
            kl_release(tensors[i]);
}

/* Plain numbers take the dtype of the tensors that they go with, as in Python. */
static kl_status fit_numbers(int count, kl_tensor **in)
{
    const kl_tensor *symbolic = NULL;
    for (int i = 0; i < count && !symbolic; i++)
        symbolic = in[i]->symbol ? in[i] : NULL;
    for (int i = 0; symbolic && i < count; i++) {
        if (in[i]->symbol || in[i]->rank || in[i]->dtype == symbolic->dtype ||
            symbolic->dtype == KL_STRING)
            continue;
        kl_tensor *fit = kl_copy(in[i], (kl_dtype)symbolic->dtype);
        if (!fit)
            return kl_last_status();
        kl_release(in[i]);
        in[i] = fit;
    }
    return KL_OK;
}

/* An op's node keeps the name that the config gives it. */
static kl_status name_node(kl_graph_node *node, const char *name)
{
    char *copy = kl_strdup(name);
    if (!copy)
        return KL_ERROR_MEMORY;
    kl_free(node->name);
    node->name = copy;
    return KL_OK;
}

/* Makes the operation's next call if its arguments are there. */
static kl_status make_call(const reader *r, operation *op, bool *made)
{
    const kl_config *node = kl_config_at(op->calls, op->made);
    kl_call_args args = {.size = sizeof args, .layer = op->layer};
    kl_tensor *in[KL_MAX_LIST] = {0};
    int count = 0;
    bool ready = true;
    kl_status status = KL_OK;
    *made = false;
    if (kl_config_typeof(node) == KL_CONFIG_MAP) {
        const kl_config *positional = kl_config_get(node, "args");
        const kl_config *kwargs = kl_config_get(node, "kwargs");
        if (positional && op->op == &kl_get_item_op) {
            status = read_tensors(r, kl_config_at(positional, 0), false, in, &count, &ready);
            if (!status)
                status = kl_key_read(kl_config_at(positional, 1), op->attrs);
        } else if (positional) {
            status = read_tensors(r, positional, op->op != NULL, in, &count, &ready);
        }
        if (!status && kwargs && op->layer)
            status = read_kwargs(r, kwargs, &args, in, &count, &ready);
        for (int i = 0; i < count && !status && ready; i++)
            if (!in[i])
                status = kl_error(KL_ERROR_FORMAT, "a call lacks its input %d", i);
    } else {
        for (size_t i = 0; i < kl_config_count(node) && !status; i++) {
            if (count == KL_MAX_LIST)
                status =
                    kl_error(KL_ERROR_UNSUPPORTED, "a call has more than %d inputs", KL_MAX_LIST);
            else
                status = resolve_history(r, kl_config_at(node, i), &in[count]);
            ready = ready && !status && in[count];
            count++;
        }
    }
    if (status || !ready) {
        drop_constants(count, in);
        return status;
    }
    if (op->op) {
        kl_tensor *out[KL_MAX_LIST] = {0};
        status = fit_numbers(count, in);
        if (!status)
            status = kl_op_run(op->op, op->attrs, count, in, UINT64_MAX, 1, out);
        drop_constants(count, in);
        if (!status)
            status = name_node(kl_symbol_of(out[0])->node, op->name);
        if (!status)
            status = keep_outputs(op, 1, out);
    } else {
        args.mark = kl_error_count();
        args.inputs_list = (kl_tensors){count, in};
        kl_tensors out = kl_call_with_args(&args);
        status = out.at ? keep_outputs(op, out.count, out.at) : kl_last_status();
    }
    *made = !status;
    return status;
}

static kl_status read_op(operation *op, const kl_config *entry, const char *class_name)
{
    op->op = kl_op_find(class_name);
    if (!op->op)
        return kl_error(KL_ERROR_NOT_FOUND, "'%s' is neither a layer class nor an operation",
                        class_name);
    if (!op->op->attrs_size)
        return KL_OK;
    op->attrs = kl_calloc(1, op->op->attrs_size);
    kl_config *config = op->attrs ? kl_config_copy(kl_config_get(entry, "config")) : NULL;
    if (!config)
        return KL_ERROR_MEMORY;
    kl_config_free(kl_config_detach(config, "name"));
    kl_config_free(kl_config_detach(config, "dtype"));
    kl_status status = KL_OK;
    if (op->op->fields)
        status = kl_fields_read(op->op->name, op->op->fields, op->attrs, config);
    kl_config_free(config);
    return status;
}

static kl_status read_operation(operation *op, const kl_config *entry)
{
    const char *class_name = text_of(entry, "class_name"), *module = text_of(entry, "module");
    const kl_config *config = kl_config_get(entry, "config");
    op->name = text_of(entry, "name");
    if (!op->name && config)
        op->name = text_of(config, "name");
    op->calls = kl_config_get(entry, "inbound_nodes");
    if (!class_name || !op->name || !config || !op->calls ||
        kl_config_typeof(op->calls) != KL_CONFIG_LIST)
        return kl_error(KL_ERROR_FORMAT,
                        "a layer of the model lacks class_name, name, config or inbound_nodes");
    if (module && !strncmp(module, "keras.src.ops", 13))
        return read_op(op, entry, class_name);
    op->layer = kl_object_deserialize(KL_KIND_LAYER, entry);
    if (!op->layer)
        return kl_last_status();
    kl_object_own(op->layer);
    if (op->layer->vtable != &kl_input_layer_class)
        return KL_OK;
    kl_tensor *input = kl_input_layer_tensor(op->layer);
    kl_status status = input ? keep_outputs(op, 1, &input) : kl_last_status();
    if (status)
        kl_release(input);
    return status;
}

/* "input_layers": one [name, call, output] or a list of them, or a map of names to them. */
static kl_status read_ends(const reader *r, const kl_config *config, const char *key, int *count,
                           kl_tensor ***out)
{
    const kl_config *ends = kl_config_get(config, key);
    size_t most = ends ? kl_config_count(ends) : 0;
    if (!most)
        return kl_error(KL_ERROR_FORMAT, "%s: expected a list of [name, call, output]", key);
    bool single = kl_config_as_string(kl_config_at(ends, 0)) != NULL;
    *count = single ? 1 : (int)most;
    *out = kl_calloc(most, sizeof **out);
    kl_status status = *out ? KL_OK : KL_ERROR_MEMORY;
    for (int i = 0; i < *count && !status; i++) {
        status = resolve_history(r, single ? ends : kl_config_at(ends, (size_t)i), &(*out)[i]);
        if (!status && !(*out)[i])
            status =
                kl_error(KL_ERROR_FORMAT, "%s: a tensor refers to a call that is never made", key);
    }
    return status;
}

static void drop_reader(reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        operation *op = &r->operations[i];
        /* From here on the graph is the model's, if there is one: no input's handle keeps it. */
        if (op->layer && op->layer->vtable == &kl_input_layer_class && op->made)
            kl_graph_adopt_input(op->outputs[0].at[0]);
        for (size_t k = 0; k < op->made; k++)
            kl_free(op->outputs[k].at);
        kl_free(op->outputs);
        kl_free(op->attrs);
        kl_object_disown(op->layer);
    }
    kl_free(r->operations);
}

static kl_status make_calls(const reader *r)
{
    kl_status status = KL_OK;
    bool progress = true, open = true;
    while (progress && open && !status) {
        progress = open = false;
        for (size_t i = 0; i < r->count && !status; i++) {
            operation *op = &r->operations[i];
            bool is_input = op->layer && op->layer->vtable == &kl_input_layer_class;
            while (!status && !is_input && op->made < kl_config_count(op->calls)) {
                bool made;
                status = make_call(r, op, &made);
                progress = progress || made;
                open = open || !made;
                if (!made)
                    break;
            }
        }
    }
    if (!status && open)
        return kl_error(KL_ERROR_FORMAT, "the layers' calls refer to each other in a circle");
    return status;
}

static kl_status read_ends_and_take(const reader *r, kl_config *config, kl_layer *self,
                                    kl_graph_taker *take)
{
    int inputs = 0, outputs = 0;
    kl_tensor **in = NULL, **out = NULL;
    kl_status status = read_ends(r, config, "input_layers", &inputs, &in);
    if (!status)
        status = read_ends(r, config, "output_layers", &outputs, &out);
    if (!status)
        status = take(self, inputs, in, outputs, out);
    kl_free(in);
    kl_free(out);
    return status;
}

kl_status kl_functional_read(kl_config *config, kl_layer *self, kl_graph_taker *take)
{
    kl_config *layers = kl_config_get(config, "layers");
    if (!layers || kl_config_typeof(layers) != KL_CONFIG_LIST)
        return kl_error(KL_ERROR_FORMAT, "layers: expected a list of layers");
    reader r = {.count = 0};
    size_t count = kl_config_count(layers);
    r.operations = kl_calloc(count + 1, sizeof *r.operations);
    if (!r.operations)
        return KL_ERROR_MEMORY;
    kl_status status = KL_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = read_operation(&r.operations[r.count++], kl_config_at(layers, i));
    if (!status)
        status = make_calls(&r);
    if (!status)
        status = read_ends_and_take(&r, config, self, take);
    drop_reader(&r);
    if (!status) {
        kl_config_free(kl_config_detach(config, "layers"));
        kl_config_free(kl_config_detach(config, "input_layers"));
        kl_config_free(kl_config_detach(config, "output_layers"));
    }
    return status;
}
