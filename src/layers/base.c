#include "layers/layer.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/session.h"
#include "tensor/tensor.h"

/* A policy's name with the dtypes it computes in and keeps its weights in. */
typedef struct policy {
    const char *name;
    kl_dtype compute, variable;
} policy;

static const policy mixed_policies[] = {
    {"mixed_float16", KL_FLOAT16, KL_FLOAT32},
    {"mixed_bfloat16", KL_BFLOAT16, KL_FLOAT32},
};

kl_status kl_layer_set_policy(kl_layer *layer, const char *name)
{
    policy found = {name, KL_FLOAT32, KL_FLOAT32};
    bool known = kl_dtype_from_name(name, &found.compute);
    found.variable = found.compute;
    for (size_t i = 0; i < sizeof mixed_policies / sizeof *mixed_policies; i++) {
        if (!strcmp(name, mixed_policies[i].name)) {
            found = mixed_policies[i];
            known = true;
        }
    }
    if (!known && strstr(name, "_from_"))
        return kl_error(KL_ERROR_UNSUPPORTED,
                        "quantized layers aren't supported, got the dtype policy '%s': save the "
                        "model before it is quantized",
                        name);
    if (!known)
        return kl_error(KL_ERROR_INVALID,
                        "unknown dtype '%s': expected a dtype such as float32 or a policy such as "
                        "mixed_bfloat16",
                        name);
    char *copy = kl_strdup(name);
    if (!copy)
        return KL_ERROR_MEMORY;
    kl_free(layer->policy);
    layer->policy = copy;
    layer->compute_dtype = found.compute;
    layer->variable_dtype = found.variable;
    return KL_OK;
}

static kl_status set_name(kl_layer *layer, const char *name)
{
    if (!*name)
        return kl_error(KL_ERROR_INVALID, "a layer's name must not be empty");
    if (strchr(name, '/'))
        return kl_error(KL_ERROR_INVALID, "a layer's name must not contain '/', got '%s'", name);
    char *copy = kl_strdup(name);
    if (!copy)
        return KL_ERROR_MEMORY;
    kl_free(layer->name);
    layer->name = copy;
    layer->named_by_user = true;
    return KL_OK;
}

static size_t head_size(void)
{
    size_t align = 64;
    return (sizeof(kl_layer) + align - 1) / align * align;
}

static kl_object *layer_allocate(const kl_class *cls)
{
    size_t size = cls->state_size > cls->args_size ? cls->state_size : cls->args_size;
    size_t total;
    if (!kl_size_add(head_size(), size, &total)) {
        kl_error_memory();
        return NULL;
    }
    kl_layer *layer = kl_calloc(1, total);
    if (!layer)
        return NULL;
    layer->object.state = (char *)layer + head_size();
    layer->vtable = (const kl_layer_vtable *)cls;
    layer->trainable = true;
    pthread_rwlock_init(&layer->lock, NULL);
    pthread_mutex_init(&layer->guard, NULL);
    return &layer->object;
}

static const kl_field *find_field(const kl_class *cls, const char *name)
{
    for (const kl_field *field = cls->fields; field && field->type != KL_FIELD_END; field++)
        if (!strcmp(field->name, name))
            return field;
    return NULL;
}

/* The argument head inside the state, for classes whose state begins with an argument struct. */
static kl_layer_args *state_head(const kl_layer *layer)
{
    return layer->object.cls->args_size >= sizeof(kl_layer_args) ? layer->object.state : NULL;
}

static kl_status set_input_shape(kl_layer *layer, const int64_t *shape)
{
    if (!shape[0])
        return KL_OK;
    int rank = 0;
    if (shape[0] != KL_SCALAR)
        while (rank < KL_MAX_RANK && shape[rank])
            rank++;
    if (rank >= KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "input_shape has more than %d dimensions", KL_MAX_RANK - 1);
    for (int i = 0; i < rank; i++)
        if (shape[i] < -1)
            return kl_error(KL_ERROR_SHAPE, "input_shape has a negative dimension, %lld",
                            (long long)shape[i]);
    layer->has_input_shape = true;
    layer->input_shape.rank = rank + 1;
    layer->input_shape.at[0] = -1;
    if (rank)
        memcpy(layer->input_shape.at + 1, shape, (size_t)rank * sizeof *shape);
    return KL_OK;
}

static kl_status take_activity_regularizer(kl_layer *layer, const kl_layer_args *args)
{
    const kl_layer_args *head = state_head(layer);
    if (find_field(layer->object.cls, "activity_regularizer")) {
        if (head && head->activity_regularizer)
            layer->activity_regularizer = kl_object_own(head->activity_regularizer);
        return KL_OK;
    }
    if (!args || !args->activity_regularizer || layer->activity_regularizer)
        return KL_OK;
    kl_object *object = NULL;
    kl_status status = kl_named_resolve(KL_KIND_REGULARIZER, args->activity_regularizer, &object);
    layer->activity_regularizer = (kl_regularizer *)object;
    return status;
}

static kl_status start_seed_generator(kl_layer *layer)
{
    if (!(layer->vtable->flags & KL_LAYER_RANDOM))
        return KL_OK;
    const kl_field *field = find_field(layer->object.cls, "seed");
    int64_t seed = KL_NONE;
    if (field && field->type == KL_FIELD_INT)
        memcpy(&seed, (const char *)layer->object.state + field->offset, sizeof seed);
    layer->seed_generator = kl_calloc(1, sizeof *layer->seed_generator);
    if (!layer->seed_generator)
        return KL_ERROR_MEMORY;
    layer->seed_generator->key = seed == KL_NONE ? kl_random_next_key() : (uint64_t)seed;
    return KL_OK;
}

static kl_status layer_start(kl_object *object, const void *arguments)
{
    kl_layer *layer = (kl_layer *)object;
    const kl_class *cls = object->cls;
    const kl_layer_args *args = cls->args_size >= sizeof(kl_layer_args) ? arguments : NULL;
    kl_status status = KL_OK;
    if (!layer->vtable->call)
        return kl_error(KL_ERROR_INVALID, "layer class %s has no call function", cls->class_name);
    if (args) {
        layer->trainable = args->trainable;
        if (args->name)
            status = set_name(layer, args->name);
        layer->policy_given = args->dtype != NULL;
        if (!status && args->dtype)
            status = kl_layer_set_policy(layer, args->dtype);
        if (!status)
            status = set_input_shape(layer, args->input_shape);
    }
    if (!status && !layer->name) {
        char name[256];
        const char *plain = layer->vtable->snake_name;
        status = kl_unique_name(plain ? plain : cls->class_name, name, sizeof name);
        if (!status && !(layer->name = kl_strdup(name)))
            status = KL_ERROR_MEMORY;
    }
    if (!status && !layer->policy)
        status = kl_layer_set_policy(layer, "float32");
    if (!status)
        status = take_activity_regularizer(layer, args);
    if (!status)
        status = start_seed_generator(layer);
    return status;
}

/* A config's dtype: a name, or Keras 3's DTypePolicy object; of a DTypePolicyMap the default. */
static kl_status read_policy(kl_layer *layer, const kl_config *config)
{
    const kl_config *value = config;
    for (int depth = 0; value && kl_config_typeof(value) == KL_CONFIG_MAP && depth < 4; depth++) {
        const kl_config *inner = kl_config_get(value, "config");
        const kl_config *mode = inner ? kl_config_get(inner, "mode") : NULL;
        if (mode && kl_config_as_string(mode))
            return kl_error(KL_ERROR_UNSUPPORTED,
                            "quantized layers aren't supported, got a dtype policy of mode '%s': "
                            "save the model before it is quantized",
                            kl_config_as_string(mode));
        value = inner ? kl_config_get(inner, "name") : NULL;
        if (inner && !value)
            value = kl_config_get(inner, "default_policy");
    }
    const char *name = value ? kl_config_as_string(value) : NULL;
    if (!name)
        return kl_error(KL_ERROR_FORMAT, "dtype: expected a name or a DTypePolicy object");
    layer->policy_given = true;
    return kl_layer_set_policy(layer, name);
}

static kl_status read_batch_shape(kl_layer *layer, const kl_config *config, bool with_batch)
{
    size_t count = kl_config_count(config);
    size_t lead = with_batch ? 0 : 1;
    if (kl_config_typeof(config) != KL_CONFIG_LIST || count + lead > KL_MAX_RANK ||
        count + lead == 0)
        return kl_error(KL_ERROR_FORMAT, "input shape: expected a list of at most %d dimensions",
                        KL_MAX_RANK);
    layer->input_shape.at[0] = -1;
    for (size_t i = 0; i < count; i++) {
        const kl_config *item = kl_config_at(config, i);
        int64_t dim = -1;
        if (kl_config_typeof(item) != KL_CONFIG_NULL && (!kl_config_as_int(item, &dim) || dim < 0))
            return kl_error(KL_ERROR_FORMAT, "input shape: dimension %zu is not a size", i);
        layer->input_shape.at[i + lead] = dim;
    }
    layer->input_shape.rank = (int)(count + lead);
    layer->has_input_shape = true;
    return KL_OK;
}

/* Configs of 2.15 write the dtype as a plain string, or a policy by a module's name that Keras 3
   has not. */
static bool is_legacy_dtype(const kl_config *dtype)
{
    const kl_config *module = kl_config_get(dtype, "module");
    const char *name = module ? kl_config_as_string(module) : NULL;
    return kl_config_as_string(dtype) || (name && !strcmp(name, "keras.mixed_precision"));
}

/* The hard_sigmoid of 2.15 is another function than Keras 3's of the same name. */
static kl_status rename_legacy(kl_config *config)
{
    const kl_config *dtype = kl_config_get(config, "dtype");
    static const char *const keys[] = {"activation", "recurrent_activation"};
    if (!dtype || !is_legacy_dtype(dtype))
        return KL_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const kl_config *value = kl_config_get(config, keys[i]);
        const char *name = value ? kl_config_as_string(value) : NULL;
        if (name && !strcmp(name, "hard_sigmoid")) {
            kl_status status = kl_config_set_string(config, keys[i], "hard_sigmoid_2_15");
            if (status)
                return status;
        }
    }
    return KL_OK;
}

static kl_status layer_read(kl_object *object, kl_config *config)
{
    kl_layer *layer = (kl_layer *)object;
    const kl_class *cls = object->cls;
    static const char *const ignored[] = {"dynamic",    "build_config", "autocast",
                                          "batch_size", "weights",      "implementation"};
    kl_status status = rename_legacy(config);
    kl_config *item;
    layer->trainable_given = kl_config_get(config, "trainable") != NULL;
    if (!status && (item = kl_config_detach(config, "name"))) {
        const char *name = kl_config_as_string(item);
        if (name)
            status = set_name(layer, name);
        else if (kl_config_typeof(item) != KL_CONFIG_NULL)
            status = kl_error(KL_ERROR_FORMAT, "name: expected a string");
        kl_config_free(item);
    }
    if (!status && (item = kl_config_detach(config, "trainable"))) {
        if (!kl_config_as_bool(item, &layer->trainable))
            status = kl_error(KL_ERROR_FORMAT, "trainable: expected true or false");
        kl_config_free(item);
    }
    if (!status && !find_field(cls, "dtype") && (item = kl_config_detach(config, "dtype"))) {
        layer->legacy = is_legacy_dtype(item);
        if (kl_config_typeof(item) != KL_CONFIG_NULL)
            status = read_policy(layer, item);
        kl_config_free(item);
    }
    if (!status && !find_field(cls, "batch_input_shape") &&
        (item = kl_config_detach(config, "batch_input_shape"))) {
        if (kl_config_typeof(item) != KL_CONFIG_NULL)
            status = read_batch_shape(layer, item, true);
        kl_config_free(item);
    }
    if (!status && !find_field(cls, "input_shape") &&
        (item = kl_config_detach(config, "input_shape"))) {
        if (kl_config_typeof(item) != KL_CONFIG_NULL)
            status = read_batch_shape(layer, item, false);
        kl_config_free(item);
    }
    if (!status && !find_field(cls, "activity_regularizer") &&
        (item = kl_config_detach(config, "activity_regularizer"))) {
        if (kl_config_typeof(item) != KL_CONFIG_NULL) {
            layer->activity_regularizer = kl_object_deserialize(KL_KIND_REGULARIZER, item);
            if (layer->activity_regularizer)
                kl_object_own(layer->activity_regularizer);
            else
                status = kl_last_status();
        }
        kl_config_free(item);
    }
    if (!status && (item = kl_config_detach(config, "quantization_config"))) {
        if (kl_config_typeof(item) != KL_CONFIG_NULL &&
            !(layer->quantization = kl_config_print(item, false)))
            status = KL_ERROR_MEMORY;
        kl_config_free(item);
    }
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (!find_field(cls, ignored[i]))
            kl_config_free(kl_config_detach(config, ignored[i]));
    return status;
}

static kl_config *policy_config(const kl_layer *layer)
{
    kl_config *config = kl_config_new_map(), *inner = kl_config_new_map();
    kl_status status = inner ? kl_config_set_string(inner, "name", layer->policy) : KL_ERROR_MEMORY;
    if (config && !status)
        status = kl_config_set_string(config, "module", "keras");
    if (config && !status)
        status = kl_config_set_string(config, "class_name", "DTypePolicy");
    if (config && !status) {
        status = kl_config_set(config, "config", inner);
        inner = NULL;
    }
    if (config && !status)
        status = kl_config_set(config, "registered_name", kl_config_new_null());
    if (!config || status) {
        kl_config_free(inner);
        kl_config_free(config);
        return NULL;
    }
    return config;
}

static kl_status layer_write(const kl_object *object, kl_config *config)
{
    const kl_layer *layer = (const kl_layer *)object;
    kl_status status = kl_config_set_string(config, "name", layer->name);
    if (!status)
        status = kl_config_set_bool(config, "trainable", layer->trainable);
    if (!status && !find_field(object->cls, "dtype"))
        status = kl_config_set(config, "dtype",
                               layer->legacy ? kl_config_new_string(layer->policy)
                                             : policy_config(layer));
    if (!status && layer->activity_regularizer && !find_field(object->cls, "activity_regularizer"))
        status = kl_config_set(config, "activity_regularizer",
                               kl_object_serialize(layer->activity_regularizer));
    if (!status && layer->quantization)
        status = kl_config_set(config, "quantization_config",
                               kl_config_parse(layer->quantization, strlen(layer->quantization)));
    return status;
}

static void layer_destroy(kl_object *object)
{
    kl_layer *layer = (kl_layer *)object;
    if (layer->training_free)
        layer->training_free(layer->training);
    kl_contexts_free(layer);
    /* Before the sublayers go, to whom some of the weights may belong. */
    for (int i = 0; i < layer->weight_count; i++)
        if (layer->weights[i]->owner == layer)
            kl_weight_free(layer->weights[i]);
    for (int i = 0; i < layer->sublayer_count; i++) {
        kl_object_disown(layer->sublayers[i].layer);
        kl_free(layer->sublayers[i].attribute);
    }
    for (int i = 0; i < layer->loss_count; i++)
        kl_unhold(layer->losses[i]);
    kl_object_disown(layer->activity_regularizer);
    kl_free(layer->losses);
    kl_free(layer->sublayers);
    kl_free(layer->weights);
    kl_free(layer->seed_generator);
    kl_free(layer->failure);
    kl_free(layer->policy);
    kl_free(layer->name);
    kl_config_free_text(layer->quantization);
    pthread_rwlock_destroy(&layer->lock);
    pthread_mutex_destroy(&layer->guard);
    kl_free(layer);
}

/* Without `find`: only kl_layer_from_config and loading bring in the table of all classes. */
static const kl_kind_hooks layer_hooks = {
    .allocate = layer_allocate,
    .from_config = layer_read,
    .get_config = layer_write,
    .start = layer_start,
    .destroy = layer_destroy,
};

void kl_layers_use(const kl_class *(*find)(const char *name))
{
    static kl_kind_hooks with_table;
    static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
    if (!find) {
        kl_kind_set_hooks(KL_KIND_LAYER, &layer_hooks);
        return;
    }
    pthread_mutex_lock(&guard);
    if (!with_table.find) {
        with_table = layer_hooks;
        with_table.find = find;
    }
    pthread_mutex_unlock(&guard);
    kl_kind_set_hooks(KL_KIND_LAYER, &with_table);
}

kl_layer *kl_layer_new(const kl_layer_vtable *vtable, const void *args)
{
    kl_layers_use(NULL);
    return kl_object_new(KL_KIND_LAYER, (const kl_class *)vtable, args);
}

void kl_layer_defaults(const kl_layer_vtable *vtable, void *args)
{
    memset(args, 0, vtable->args_size);
    if (vtable->fields)
        kl_fields_defaults(vtable->fields, args);
    kl_layer_args *head = args;
    head->size = vtable->args_size;
    head->mark = kl_error_count();
    head->trainable = true;
}

kl_status kl_register_layer(const kl_layer_vtable *vtable)
{
    kl_layers_use(NULL);
    return kl_register_class(KL_KIND_LAYER, (const kl_class *)vtable);
}

char *kl_layer_get_config(const kl_layer *layer)
{
    if (!layer) {
        kl_error_null("kl_layer_get_config", "layer");
        return NULL;
    }
    kl_config *config = kl_object_get_config(layer);
    char *text = config ? kl_config_print(config, false) : NULL;
    kl_config_free(config);
    return text;
}

kl_layer *kl_layer_retain(const kl_layer *layer)
{
    return kl_object_retain(layer);
}

void kl_layer_release(kl_layer *layer)
{
    kl_object_release(layer);
}

void *kl_layer_state(const kl_layer *layer)
{
    return layer ? layer->object.state : NULL;
}

const char *kl_layer_name(const kl_layer *layer)
{
    return layer ? layer->name : "";
}

const char *kl_layer_class_name(const kl_layer *layer)
{
    return layer ? layer->object.cls->class_name : "None";
}

const char *kl_layer_dtype_policy(const kl_layer *layer)
{
    return layer ? layer->policy : "";
}

kl_dtype kl_layer_compute_dtype(const kl_layer *layer)
{
    return layer ? layer->compute_dtype : KL_FLOAT32;
}

kl_dtype kl_layer_variable_dtype(const kl_layer *layer)
{
    return layer ? layer->variable_dtype : KL_FLOAT32;
}

bool kl_layer_is_built(const kl_layer *layer)
{
    return layer && layer->built;
}

bool kl_layer_dynamic(const kl_layer *layer)
{
    return false;
}

bool kl_layer_trainable(const kl_layer *layer)
{
    return layer && layer->trainable;
}

kl_status kl_layer_set_trainable(kl_layer *layer, bool trainable)
{
    if (!layer)
        return kl_error_null("kl_layer_set_trainable", "layer");
    layer->trainable = trainable;
    for (int i = 0; i < layer->weight_count; i++)
        kl_weight_follow(layer->weights[i]);
    for (int i = 0; i < layer->sublayer_count; i++)
        kl_layer_set_trainable(layer->sublayers[i].layer, trainable);
    return KL_OK;
}

int kl_layer_sublayer_count(const kl_layer *layer)
{
    return layer ? layer->sublayer_count : 0;
}

kl_layer *kl_layer_sublayer(const kl_layer *layer, int index, const char **attribute)
{
    if (!layer || index < 0 || index >= layer->sublayer_count)
        return NULL;
    if (attribute)
        *attribute = layer->sublayers[index].attribute;
    return layer->sublayers[index].layer;
}

kl_layer *kl_add_sublayer(kl_layer *self, const char *attribute, kl_layer *sublayer)
{
    if (!self || !attribute || !sublayer) {
        kl_error_null("kl_add_sublayer", !self ? "self" : !attribute ? "attribute" : "sublayer");
        kl_object_release(sublayer);
        return NULL;
    }
    kl_object_own(sublayer);
    char *name = kl_strdup(attribute);
    kl_sublayer *grown =
        kl_realloc_array(self->sublayers, (size_t)self->sublayer_count + 1, sizeof *grown);
    if (grown)
        self->sublayers = grown;
    if (!name || !grown) {
        kl_free(name);
        kl_object_disown(sublayer);
        return NULL;
    }
    self->sublayers[self->sublayer_count++] = (kl_sublayer){name, sublayer};
    return sublayer;
}

void kl_remove_last_sublayer(kl_layer *self)
{
    kl_sublayer *last = &self->sublayers[--self->sublayer_count];
    kl_object_disown(last->layer);
    kl_free(last->attribute);
}

bool kl_layer_is_stateful(const kl_layer *layer)
{
    if (layer->vtable->flags & KL_LAYER_STATEFUL || layer->stateful)
        return true;
    for (int i = 0; i < layer->sublayer_count; i++)
        if (kl_layer_is_stateful(layer->sublayers[i].layer))
            return true;
    return false;
}

kl_status kl_layer_reset_state(kl_layer *layer)
{
    if (!layer)
        return kl_error_null("kl_layer_reset_state", "layer");
    kl_status status =
        layer->vtable->reset_state ? layer->vtable->reset_state(layer) : kl_adapt_forget(layer);
    for (int i = 0; !status && i < layer->sublayer_count; i++)
        status = kl_layer_reset_state(layer->sublayers[i].layer);
    return status;
}

kl_status kl_layer_fail(kl_layer *layer, kl_status status)
{
    if (status && !layer->failed) {
        layer->failed = status;
        layer->failure = kl_strdup(kl_last_error());
    }
    return status;
}

kl_status kl_layer_check(const kl_layer *layer)
{
    if (!layer->failed)
        return KL_OK;
    return kl_error(layer->failed, "%s",
                    layer->failure ? layer->failure : "an earlier call failed");
}
