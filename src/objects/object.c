#include "objects/object.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "objects/kinds.h"

#define OWNED (UINT64_C(1) << 32)

static const char *const kind_texts[] = {
#define TEXT(id, text, module) [id] = text,
    KL_KIND_LIST(TEXT)
#undef TEXT
};
static const char *const kind_modules[] = {
#define MODULE(id, text, module) [id] = module,
    KL_KIND_LIST(MODULE)
#undef MODULE
};
_Static_assert(sizeof kind_texts / sizeof *kind_texts == KL_KIND_COUNT, "one text a kind");

const char *kl_kind_text(kl_kind kind)
{
    return (unsigned)kind < KL_KIND_COUNT ? kind_texts[kind] : "unknown object";
}

const char *kl_kind_module(kl_kind kind)
{
    return kind_modules[kind];
}

static kl_object *as_object(const void *object)
{
    return (kl_object *)(uintptr_t)object;
}

static void destroy(kl_object *object)
{
    const kl_class *cls = object->cls;
    kl_saved_error saved;
    kl_error_save(&saved);
    if (cls->destroy)
        cls->destroy(object);
    if (cls->fields)
        kl_fields_free(cls->fields, object->state);
    const kl_kind_hooks *hooks = kl_kind_get_hooks((kl_kind)object->kind);
    if (hooks && hooks->destroy)
        hooks->destroy(object);
    else
        kl_free(object);
    kl_error_restore(&saved);
}

void *kl_object_retain(const void *object)
{
    kl_object *o = as_object(object);
    if (o)
        atomic_fetch_add(&o->refs, 1);
    return o;
}

void kl_object_release(const void *object)
{
    kl_object *o = as_object(object);
    if (!o || o->magic != 0xFF)
        return;
    uint64_t refs = atomic_load(&o->refs);
    do {
        if (!(uint32_t)refs)
            return;
    } while (!atomic_compare_exchange_weak(&o->refs, &refs, refs - 1));
    if (refs == 1)
        destroy(o);
}

void *kl_object_own(const void *object)
{
    kl_object *o = as_object(object);
    if (!o)
        return NULL;
    atomic_fetch_add(&o->refs, OWNED);
    if (atomic_exchange(&o->floating, 0))
        kl_object_release(o);
    return o;
}

void kl_object_disown(const void *object)
{
    kl_object *o = as_object(object);
    if (o && atomic_fetch_sub(&o->refs, OWNED) == OWNED)
        destroy(o);
}

void kl_named_drop(kl_named value)
{
    const kl_object *o = value;
    if (o && o->magic == 0xFF)
        kl_object_disown(kl_object_own(o));
}

kl_kind kl_object_kind(const void *object)
{
    return object ? (kl_kind)as_object(object)->kind : KL_KIND_COUNT;
}

const char *kl_object_class_name(const void *object)
{
    return object ? as_object(object)->cls->class_name : "None";
}

void *kl_object_state(const void *object)
{
    return object ? as_object(object)->state : NULL;
}

static kl_object *plain_allocate(const kl_class *cls)
{
    size_t head = (sizeof(kl_object) + 63) / 64 * 64, total;
    size_t state = cls->state_size > cls->args_size ? cls->state_size : cls->args_size;
    if (!kl_size_add(head, state, &total)) {
        kl_error_memory();
        return NULL;
    }
    kl_object *object = kl_calloc(1, total);
    if (object)
        object->state = (char *)object + head;
    return object;
}

/* A zeroed object with its caller's floating reference. */
static kl_object *allocate(kl_kind kind, const kl_class *cls)
{
    const kl_kind_hooks *hooks = kl_kind_get_hooks(kind);
    kl_object *object = hooks && hooks->allocate ? hooks->allocate(cls) : plain_allocate(cls);
    if (!object)
        return NULL;
    object->magic = 0xFF;
    object->kind = (uint8_t)kind;
    object->cls = cls;
    atomic_init(&object->floating, 1);
    atomic_init(&object->refs, 1);
    return object;
}

static kl_status start(kl_object *object, const void *args)
{
    const kl_kind_hooks *hooks = kl_kind_get_hooks((kl_kind)object->kind);
    kl_status status = hooks && hooks->start ? hooks->start(object, args) : KL_OK;
    if (!status && object->cls->init)
        status = object->cls->init(object);
    return status;
}

/* The head that every argument struct begins with. */
typedef struct args_head {
    size_t size;
    unsigned mark;
} args_head;

static bool class_usable(kl_kind kind, const kl_class *cls)
{
    if ((unsigned)kind < KL_KIND_COUNT && cls && cls->size >= sizeof(kl_class) && cls->class_name &&
        *cls->class_name)
        return true;
    kl_error(KL_ERROR_INVALID, "a %s class needs its size and a class_name", kl_kind_text(kind));
    return false;
}

void *kl_object_new(kl_kind kind, const kl_class *cls, const void *args)
{
    const args_head *head = args;
    if (!class_usable(kind, cls)) {
        return NULL;
    }
    if (args && !kl_args_usable(cls->class_name, args, head->size, cls->args_size, head->mark)) {
        if (cls->fields && head->size && head->size <= cls->args_size)
            kl_fields_release_args(cls->fields, args, head->size);
        return NULL;
    }
    kl_object *object = allocate(kind, cls);
    if (!object) {
        if (args && cls->fields)
            kl_fields_release_args(cls->fields, args, head->size);
        return NULL;
    }
    kl_status status = KL_OK;
    if (cls->fields)
        status = args
                     ? kl_fields_copy(cls->class_name, cls->fields, object->state, args, head->size)
                     : kl_fields_start(cls->class_name, cls->fields, object->state);
    if (!status)
        status = start(object, args);
    if (status) {
        kl_object_release(object);
        return NULL;
    }
    return object;
}

void *kl_object_from_config(kl_kind kind, const kl_class *cls, const kl_config *config)
{
    if (!class_usable(kind, cls))
        return NULL;
    kl_object *object = allocate(kind, cls);
    kl_config *rest = object && config ? kl_config_copy(config) : NULL;
    kl_status status = object ? KL_OK : KL_ERROR_MEMORY;
    if (!status && !rest)
        status = config ? kl_last_status() : kl_error_null(cls->class_name, "config");
    if (!status && kl_config_typeof(rest) != KL_CONFIG_MAP)
        status =
            kl_error(KL_ERROR_FORMAT, "%s: the config is no map of arguments", cls->class_name);
    const kl_kind_hooks *hooks = kl_kind_get_hooks(kind);
    if (!status && hooks && hooks->from_config) {
        status = hooks->from_config(object, rest);
        if (status)
            kl_error_prefix(cls->class_name);
    }
    if (!status && cls->from_config) {
        status = cls->from_config(object, rest);
        if (status)
            kl_error_prefix(cls->class_name);
    }
    if (!status)
        status = kl_fields_read(cls->class_name, cls->fields, object->state, rest);
    kl_config_free(rest);
    if (!status)
        status = start(object, NULL);
    if (status) {
        kl_object_release(object);
        return NULL;
    }
    return object;
}

kl_config *kl_object_get_config(const void *object)
{
    kl_object *o = as_object(object);
    if (!o) {
        kl_error_null("kl_object_get_config", "object");
        return NULL;
    }
    kl_config *config = kl_config_new_map();
    if (!config)
        return NULL;
    const kl_kind_hooks *hooks = kl_kind_get_hooks((kl_kind)o->kind);
    kl_status status = hooks && hooks->get_config ? hooks->get_config(o, config) : KL_OK;
    if (!status && o->cls->fields)
        status = kl_fields_write(o->cls->fields, o->state, config);
    if (!status && o->cls->get_config)
        status = o->cls->get_config(o, config);
    if (!status)
        return config;
    kl_config_free(config);
    return NULL;
}

/* As Keras writes a registered function. */
static kl_config *serialize_function(const kl_object *object)
{
    kl_config *config = kl_object_get_config(object);
    const char *name = kl_config_as_string(kl_config_get(config, "name"));
    char registered[300];
    snprintf(registered, sizeof registered, "%s%s", name && strchr(name, '>') ? "" : "Custom>",
             name ? name : "");
    kl_config_free(config);
    kl_config *map = name ? kl_config_new_map() : NULL;
    if (!map)
        return NULL;
    kl_status status = kl_config_set_string(map, "module", "builtins");
    if (!status)
        status = kl_config_set_string(map, "class_name", "function");
    if (!status)
        status = kl_config_set_string(map, "config", registered);
    if (!status)
        status = kl_config_set_string(map, "registered_name", "function");
    if (!status)
        return map;
    kl_config_free(map);
    return NULL;
}

kl_config *kl_object_serialize(const void *object)
{
    kl_object *o = as_object(object);
    if (!o)
        return kl_config_new_null();
    const kl_class *cls = o->cls;
    /* Keras writes an activation without arguments by its name. */
    if (o->kind == KL_KIND_ACTIVATION && !cls->fields)
        return kl_config_new_string(cls->class_name);
    if (!strcmp(cls->class_name, KL_FUNCTION_CLASS))
        return serialize_function(o);
    kl_config *config = kl_object_get_config(o), *map = config ? kl_config_new_map() : NULL;
    kl_status status = map ? KL_OK : kl_last_status();
    bool custom = cls->package || kl_class_is_registered((kl_kind)o->kind, cls);
    char registered[300];
    snprintf(registered, sizeof registered, "%s>%s", cls->package ? cls->package : "Custom",
             cls->class_name);
    const char *module = kl_builtin_module((kl_kind)o->kind, cls->class_name);
    if (!module)
        module = cls->module ? cls->module : kl_kind_module((kl_kind)o->kind);
    if (!status)
        status = custom ? kl_config_set(map, "module", kl_config_new_null())
                        : kl_config_set_string(map, "module", module);
    if (!status)
        status = kl_config_set_string(map, "class_name", cls->class_name);
    if (!status) {
        status = kl_config_set(map, "config", config);
        config = NULL;
    }
    if (!status)
        status = custom ? kl_config_set_string(map, "registered_name", registered)
                        : kl_config_set(map, "registered_name", kl_config_new_null());
    if (!status)
        return map;
    kl_config_free(config);
    kl_config_free(map);
    return NULL;
}

void kl_error_unknown_class(kl_kind kind, const char *name)
{
    static const char *const foreign[] = {"FlaxLayer", "JaxLayer", "TFSMLayer",
                                          "TorchModuleWrapper"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign && kind == KL_KIND_LAYER; i++)
        if (!strcmp(name, foreign[i])) {
            kl_error(KL_ERROR_UNSUPPORTED,
                     "%s holds a program of another framework, which runs in Python alone: build "
                     "what it computes from layers and set their weights",
                     name);
            return;
        }
    kl_error(KL_ERROR_NOT_FOUND, "unknown %s: '%s'", kl_kind_text(kind), name);
}

/* A name may have its package in front, "Custom>swish2". */
static void *from_name(kl_kind kind, const char *name)
{
    const char *plain = strrchr(name, '>');
    plain = plain ? plain + 1 : name;
    const kl_class *cls = kl_class_find(kind, plain);
    if (!cls) {
        const unsigned errors = kl_error_count();
        kl_object *object = kl_registered_function(kind, plain);
        if (object || kl_error_count() != errors)
            return object;
        kl_error_unknown_class(kind, name);
        return NULL;
    }
    return kl_object_new(kind, cls, NULL);
}

void *kl_object_deserialize(kl_kind kind, const kl_config *config)
{
    if (!config) {
        kl_error_null("kl_object_deserialize", "config");
        return NULL;
    }
    const char *name = kl_config_as_string(config);
    if (name)
        return from_name(kind, name);
    const kl_config *class_name = kl_config_get(config, "class_name");
    const kl_config *inner = kl_config_get(config, "config");
    name = class_name ? kl_config_as_string(class_name) : NULL;
    if (kl_config_typeof(config) != KL_CONFIG_MAP || !name) {
        kl_error(KL_ERROR_FORMAT, "%s: expected a name or an object with a class_name",
                 kl_kind_text(kind));
        return NULL;
    }
    /* Keras saves functions as {"class_name": "function", "config": name}. */
    if (inner && !strcmp(name, "function") && kl_config_as_string(inner))
        return from_name(kind, kl_config_as_string(inner));
    /* 2.15 wrote registered classes as "package>name". */
    const char *plain = strrchr(name, '>');
    const kl_class *cls = kl_class_find(kind, plain ? plain + 1 : name);
    if (!cls) {
        kl_error_unknown_class(kind, name);
        return NULL;
    }
    if (inner && kl_config_typeof(inner) != KL_CONFIG_NULL)
        return kl_object_from_config(kind, cls, inner);
    return kl_object_new(kind, cls, NULL);
}

kl_status kl_named_resolve(kl_kind kind, kl_named value, kl_object **out)
{
    *out = NULL;
    if (!value)
        return KL_OK;
    const kl_object *object = value;
    if (object->magic != 0xFF) {
        *out = kl_object_own(from_name(kind, value));
        return *out ? KL_OK : kl_last_status();
    }
    if (object->kind != kind) {
        kl_status status =
            kl_error(KL_ERROR_INVALID, "expected %s, got the %s %s", kl_kind_text(kind),
                     kl_kind_text((kl_kind)object->kind), kl_object_class_name(object));
        kl_named_drop(object);
        return status;
    }
    *out = kl_object_own(object);
    return KL_OK;
}
