#include "layers/layer.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/str.h"
#include "tensor/tensor.h"

void kl_weight_follow(kl_weight *weight)
{
    if (weight->value)
        weight->value->watched = kl_weight_trainable(weight);
}

void kl_weight_free(kl_weight *weight)
{
    if (!weight)
        return;
    kl_unhold(weight->value);
    kl_object_disown(weight->regularizer);
    kl_object_disown(weight->constraint);
    kl_free(weight->path);
    kl_free(weight->name);
    kl_free(weight);
}

static kl_status weight_shape(const kl_weight_args *args, int *rank)
{
    *rank = 0;
    if (args->shape[0] == KL_SCALAR)
        return KL_OK;
    while (*rank < KL_MAX_RANK && args->shape[*rank]) {
        if (args->shape[*rank] < 0)
            return kl_error(KL_ERROR_SHAPE, "weight '%s': dimension %d is %lld, expected a size",
                            args->name, *rank, (long long)args->shape[*rank]);
        ++*rank;
    }
    if (args->shape[*rank])
        return kl_error(KL_ERROR_SHAPE, "weight '%s' has more than %d dimensions", args->name,
                        KL_MAX_RANK);
    if (!*rank)
        return kl_error(KL_ERROR_SHAPE,
                        "weight '%s' has no shape: a scalar's is .shape = {KL_SCALAR}", args->name);
    return KL_OK;
}

/* The bytes of weights that this thread may still make; negative: any. */
static _Thread_local int64_t allowed = -1;

void kl_weights_limit(int64_t bytes)
{
    allowed = bytes;
}

static kl_status count_bytes(const kl_weight_args *args, kl_dtype dtype, int rank)
{
    int64_t size = (int64_t)kl_dtype_size(dtype);
    if (allowed < 0)
        return KL_OK;
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(size, args->shape[i], &size))
            size = INT64_MAX;
    if (size > allowed) {
        char text[160];
        return kl_error(KL_ERROR_FORMAT,
                        "weight '%s' of shape %s is larger than a file of this size accounts for",
                        args->name, kl_shape_text(rank, args->shape, text, sizeof text));
    }
    allowed -= size;
    return KL_OK;
}

/* The initial value, outside any scope and any model's pool: it outlives them. */
static kl_status fill_weight(kl_weight *weight, const kl_weight_args *args, kl_dtype dtype)
{
    int rank;
    kl_status status = weight_shape(args, &rank);
    if (!status)
        status = count_bytes(args, dtype, rank);
    if (status) {
        kl_named_drop(args->initializer);
        return status;
    }
    kl_object *initializer = NULL;
    kl_named named = args->initializer;
    if (!named)
        named = kl_dtype_is_float(dtype) ? "glorot_uniform" : "zeros";
    status = kl_named_resolve(KL_KIND_INITIALIZER, named, &initializer);
    if (status)
        return status;
    kl_pool *pool = kl_pool_enter(NULL);
    bool shapes = kl_shape_mode(false);
    kl_tape_pause();
    kl_tensor *value = kl_initializer_call((kl_initializer *)initializer, dtype, rank, args->shape);
    weight->value = kl_hold(value);
    kl_release(value);
    kl_tape_resume();
    kl_shape_mode(shapes);
    kl_pool_enter(pool);
    kl_object_disown(initializer);
    return value ? KL_OK : kl_last_status();
}

/* Frees what was given to a weight that isn't made. */
static void drop_objects(const kl_weight_args *args)
{
    kl_named_drop(args->initializer);
    kl_named_drop(args->regularizer);
    kl_named_drop(args->constraint);
}

static kl_status describe_weight(kl_weight *weight, const kl_weight_args *args)
{
    kl_layer *layer = args->layer;
    kl_str path = {0};
    kl_str_printf(&path, "%s/%s", layer->name, args->name);
    weight->path = kl_str_take(&path);
    weight->name = kl_strdup(args->name);
    if (!weight->path || !weight->name) {
        drop_objects(args);
        return KL_ERROR_MEMORY;
    }
    weight->owner = layer;
    weight->trainable = weight->parameter = args->trainable;
    weight->role = args->role;
    kl_dtype dtype = layer->variable_dtype;
    if (args->dtype && !kl_dtype_from_name(args->dtype, &dtype)) {
        drop_objects(args);
        return kl_error(KL_ERROR_INVALID, "weight '%s': unknown dtype '%s'", args->name,
                        args->dtype);
    }
    kl_object *regularizer = NULL, *constraint = NULL;
    kl_status first = fill_weight(weight, args, dtype);
    kl_status second = kl_named_resolve(KL_KIND_REGULARIZER, args->regularizer, &regularizer);
    kl_status third = kl_named_resolve(KL_KIND_CONSTRAINT, args->constraint, &constraint);
    weight->regularizer = (kl_regularizer *)regularizer;
    weight->constraint = (kl_constraint *)constraint;
    kl_status status = first ? first : second ? second : third;
    return status;
}

kl_weight_args kl_weight_defaults(void)
{
    return (kl_weight_args){
        .size = sizeof(kl_weight_args), .mark = kl_error_count(), .trainable = true};
}

kl_weight *kl_add_weight_with(const kl_weight_args *args)
{
    if (!kl_args_usable("kl_add_weight", args, args ? args->size : 0, sizeof *args,
                        args ? args->mark : 0)) {
        if (args && args->size == sizeof *args)
            drop_objects(args);
        return NULL;
    }
    if (!args->layer || !args->name) {
        drop_objects(args);
        kl_error_null("kl_add_weight", args->layer ? "name" : "layer");
        return NULL;
    }
    kl_layer *layer = args->layer;
    kl_weight *weight = kl_calloc(1, sizeof *weight);
    kl_weight **grown =
        kl_realloc_array(layer->weights, (size_t)layer->weight_count + 1, sizeof *grown);
    if (grown)
        layer->weights = grown;
    if (!weight || !grown)
        drop_objects(args);
    if (!weight || !grown || describe_weight(weight, args)) {
        kl_weight_free(weight);
        return NULL;
    }
    layer->weights[layer->weight_count++] = weight;
    kl_weight_follow(weight);
    return weight;
}

kl_status kl_share_weight(kl_layer *self, kl_weight *weight)
{
    kl_weight **grown =
        kl_realloc_array(self->weights, (size_t)self->weight_count + 1, sizeof *grown);
    if (!grown)
        return KL_ERROR_MEMORY;
    self->weights = grown;
    self->weights[self->weight_count++] = weight;
    return KL_OK;
}

const char *kl_weight_name(const kl_weight *weight)
{
    return weight ? weight->name : "";
}

const char *kl_weight_path(const kl_weight *weight)
{
    return weight ? weight->path : "";
}

kl_tensor *kl_weight_value(const kl_weight *weight)
{
    return weight ? weight->value : NULL;
}

bool kl_weight_trainable(const kl_weight *weight)
{
    return weight && weight->trainable && weight->owner->trainable;
}

kl_status kl_weight_set_trainable(kl_weight *weight, bool trainable)
{
    if (!weight)
        return kl_error_null("kl_weight_set_trainable", "weight");
    weight->trainable = trainable;
    kl_weight_follow(weight);
    return KL_OK;
}

kl_status kl_weight_assign(kl_weight *weight, const kl_tensor *value)
{
    if (!weight || !value)
        return kl_error_null("kl_weight_assign", weight ? "value" : "weight");
    if (!kl_shape_equal(weight->value, value)) {
        char have[128], got[128];
        return kl_error(KL_ERROR_SHAPE, "%s: expected shape %s, got %s", weight->path,
                        kl_shape_text(weight->value->rank, weight->value->shape, have, sizeof have),
                        kl_shape_text(value->rank, value->shape, got, sizeof got));
    }
    return kl_tensor_assign(weight->value, value);
}

const kl_regularizer *kl_weight_regularizer(const kl_weight *weight)
{
    return weight ? weight->regularizer : NULL;
}

const kl_constraint *kl_weight_constraint(const kl_weight *weight)
{
    return weight ? weight->constraint : NULL;
}

/*
 * get_weights order, as in Keras: a layer's own weights, trainable ones first, then its sublayers',
 * each weight once. `limit` bounds what is written, not what is counted.
 */
typedef enum weight_filter { EVERY, TRAINABLE, NON_TRAINABLE } weight_filter;

typedef struct weight_list {
    weight_filter filter;
    kl_weight **at;
    size_t count, capacity;
    size_t wanted; /* position looked for, when `at` is NULL */
    kl_weight *found;
} weight_list;

static void list_weight(weight_list *list, kl_weight *weight)
{
    if (list->filter == TRAINABLE && !kl_weight_trainable(weight))
        return;
    if (list->filter == NON_TRAINABLE && kl_weight_trainable(weight))
        return;
    if (list->at && list->count < list->capacity)
        list->at[list->count] = weight;
    if (list->count == list->wanted)
        list->found = weight;
    list->count++;
}

/* Whether `layer` was listed before as an earlier sublayer of `parent`: a shared layer counts
   once. */
static bool is_repeated(const kl_layer *parent, int index)
{
    for (int i = 0; i < index; i++)
        if (parent->sublayers[i].layer == parent->sublayers[index].layer)
            return true;
    return false;
}

static void list_weights(const kl_layer *layer, weight_list *list)
{
    if (layer->vtable->weights) {
        kl_weight *own[256];
        size_t count = layer->vtable->weights(layer, own, sizeof own / sizeof *own);
        for (size_t i = 0; i < count && i < sizeof own / sizeof *own; i++)
            list_weight(list, own[i]);
        return;
    }
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < layer->weight_count; i++)
            if (layer->weights[i]->parameter == !pass && layer->weights[i]->role != KL_WEIGHT_SEED)
                list_weight(list, layer->weights[i]);
    for (int i = 0; i < layer->sublayer_count; i++)
        if (!is_repeated(layer, i))
            list_weights(layer->sublayers[i].layer, list);
}

static int count_weights(const kl_layer *layer, weight_filter filter)
{
    weight_list list = {.filter = filter, .wanted = SIZE_MAX};
    if (layer)
        list_weights(layer, &list);
    return (int)list.count;
}

static kl_weight *find_weight(const kl_layer *layer, weight_filter filter, int index)
{
    if (!layer || index < 0)
        return NULL;
    weight_list list = {.filter = filter, .wanted = (size_t)index};
    list_weights(layer, &list);
    return list.found;
}

int kl_layer_weight_count(const kl_layer *layer)
{
    return count_weights(layer, EVERY);
}

kl_weight *kl_layer_weight(const kl_layer *layer, int index)
{
    return find_weight(layer, EVERY, index);
}

int kl_layer_trainable_weight_count(const kl_layer *layer)
{
    return count_weights(layer, TRAINABLE);
}

kl_weight *kl_layer_trainable_weight(const kl_layer *layer, int index)
{
    return find_weight(layer, TRAINABLE, index);
}

int kl_layer_non_trainable_weight_count(const kl_layer *layer)
{
    return count_weights(layer, NON_TRAINABLE);
}

kl_weight *kl_layer_non_trainable_weight(const kl_layer *layer, int index)
{
    return find_weight(layer, NON_TRAINABLE, index);
}

int kl_layer_list_weights(const kl_layer *layer, bool trainable_only, kl_weight **out, int capacity)
{
    weight_list list = {.filter = trainable_only ? TRAINABLE : EVERY,
                        .at = out,
                        .capacity = capacity > 0 ? (size_t)capacity : 0,
                        .wanted = SIZE_MAX};
    list_weights(layer, &list);
    return (int)list.count;
}

int kl_layer_weights(const kl_layer *layer, kl_tensor **out, int capacity)
{
    if (!layer) {
        kl_error_null("kl_layer_weights", "layer");
        return 0;
    }
    int count = kl_layer_weight_count(layer);
    for (int i = 0; out && i < count && i < capacity; i++)
        out[i] = kl_layer_weight(layer, i)->value;
    return count;
}

kl_status kl_layer_set_weights(kl_layer *layer, int count, kl_tensor *const *values)
{
    if (!layer || (count && !values))
        return kl_error_null("kl_layer_set_weights", layer ? "values" : "layer");
    int have = kl_layer_weight_count(layer);
    if (count != have)
        return kl_error(KL_ERROR_SHAPE, "%s: expected %d weights, got %d%s", layer->name, have,
                        count, layer->built ? "" : " (the layer is not built yet)");
    for (int i = 0; i < count; i++) {
        const kl_weight *weight = kl_layer_weight(layer, i);
        if (!values[i])
            return kl_error_null("kl_layer_set_weights", "values[i]");
        if (!kl_shape_equal(weight->value, values[i])) {
            char need[128], got[128];
            return kl_error(
                KL_ERROR_SHAPE, "%s: weight %d (%s) has shape %s, got %s", layer->name, i,
                weight->path,
                kl_shape_text(weight->value->rank, weight->value->shape, need, sizeof need),
                kl_shape_text(values[i]->rank, values[i]->shape, got, sizeof got));
        }
    }
    kl_status status = KL_OK;
    for (int i = 0; !status && i < count; i++)
        status = kl_tensor_assign(kl_layer_weight(layer, i)->value, values[i]);
    return status;
}

int64_t kl_layer_count_params(const kl_layer *layer)
{
    int64_t total = 0;
    int count = kl_layer_weight_count(layer);
    for (int i = 0; i < count; i++)
        total += kl_layer_weight(layer, i)->value->size;
    return total;
}
