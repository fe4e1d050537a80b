#include "layers/registry.h"

#include <string.h>

#include "base/error.h"
#include "layers/layer.h"

#define KL_LAYER_CLASS(name) extern const kl_layer_vtable name##_class;
#include "layers/registry.inc"
#undef KL_LAYER_CLASS

static const kl_layer_vtable *const classes[] = {
#define KL_LAYER_CLASS(name) &name##_class,
#include "layers/registry.inc"
#undef KL_LAYER_CLASS
};

static bool is_named(const kl_layer_vtable *vtable, const char *name)
{
    if (!strcmp(vtable->class_name, name))
        return true;
    size_t length = strlen(name);
    for (const char *at = vtable->names; at && *at;) {
        const char *end = strchr(at, '|');
        size_t part = end ? (size_t)(end - at) : strlen(at);
        if (part == length && !memcmp(at, name, length))
            return true;
        at = end ? end + 1 : NULL;
    }
    return false;
}

const kl_class *kl_builtin_layer(const char *class_name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (is_named(classes[i], class_name))
            return (const kl_class *)classes[i];
    return NULL;
}

const kl_layer_vtable *kl_builtin_layer_at(size_t index)
{
    return index < sizeof classes / sizeof *classes ? classes[index] : NULL;
}

void kl_layers_use_all(void)
{
    kl_layers_use(kl_builtin_layer);
}

kl_layer *kl_layer_from_config(const char *class_name, const char *config_json)
{
    if (!class_name) {
        kl_error_null("kl_layer_from_config", "class_name");
        return NULL;
    }
    kl_layers_use_all();
    const kl_class *cls = kl_class_find(KL_KIND_LAYER, class_name);
    if (!cls) {
        kl_error_unknown_class(KL_KIND_LAYER, class_name);
        return NULL;
    }
    const char *json = config_json ? config_json : "{}";
    kl_config *config = kl_config_parse(json, strlen(json));
    kl_layer *layer = config ? kl_object_from_config(KL_KIND_LAYER, cls, config) : NULL;
    kl_config_free(config);
    return layer;
}
