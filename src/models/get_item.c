#include "models/get_item.h"

#include <string.h>

#include "base/error.h"

static const char slice_class[] = "__slice__", rest_class[] = "__ellipsis__";

static kl_status read_bound(const kl_config *slice, const char *name, int64_t *out)
{
    const kl_config *value = kl_config_get(slice, name);
    *out = KL_NONE;
    if (!value || kl_config_typeof(value) == KL_CONFIG_NULL || kl_config_as_int(value, out))
        return KL_OK;
    return kl_error(KL_ERROR_UNSUPPORTED, "GetItem: a slice's %s must be a whole number or None",
                    name);
}

static kl_status read_part(const kl_config *config, kl_key_part *part)
{
    *part = (kl_key_part){.kind = KL_KEY_NEW};
    if (kl_config_typeof(config) == KL_CONFIG_NULL)
        return KL_OK;
    part->kind = KL_KEY_AT;
    if (kl_config_as_int(config, &part->start))
        return KL_OK;
    const kl_config *name =
        kl_config_typeof(config) == KL_CONFIG_MAP ? kl_config_get(config, "class_name") : NULL;
    const char *class_name = name ? kl_config_as_string(name) : NULL;
    if (class_name && !strcmp(class_name, rest_class)) {
        part->kind = KL_KEY_REST;
        return KL_OK;
    }
    const kl_config *slice = kl_config_get(config, "config");
    if (!class_name || strcmp(class_name, slice_class) != 0 || !slice)
        return kl_error(KL_ERROR_UNSUPPORTED,
                        "GetItem: a key must be of whole numbers, slices, None and ...");
    part->kind = KL_KEY_SLICE;
    kl_status status = read_bound(slice, "start", &part->start);
    if (!status)
        status = read_bound(slice, "stop", &part->stop);
    return status ? status : read_bound(slice, "step", &part->step);
}

kl_status kl_key_read(const kl_config *config, kl_key *key)
{
    if (!config)
        return kl_error(KL_ERROR_FORMAT, "GetItem: a call lacks its key");
    bool list = kl_config_typeof(config) == KL_CONFIG_LIST;
    size_t count = list ? kl_config_count(config) : 1;
    if (count > KL_KEY_MOST)
        return kl_error(KL_ERROR_UNSUPPORTED, "GetItem: a key has at most %d parts, got %zu",
                        KL_KEY_MOST, count);
    memset(key, 0, sizeof *key);
    key->count = (int)count;
    kl_status status = KL_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = read_part(list ? kl_config_at(config, i) : config, &key->parts[i]);
    return status;
}

static kl_status put_bound(kl_status status, kl_config *map, const char *name, int64_t value)
{
    if (status)
        return status;
    return kl_config_set(map, name,
                         value == KL_NONE ? kl_config_new_null() : kl_config_new_int(value));
}

/* Keras's form of an object. */
static kl_config *write_object(const kl_key_part *part)
{
    kl_config *map = kl_config_new_map(), *inner = kl_config_new_map();
    bool slice = part->kind == KL_KEY_SLICE;
    kl_status status = map && inner ? KL_OK : KL_ERROR_MEMORY;
    if (slice) {
        status = put_bound(status, inner, "start", part->start);
        status = put_bound(status, inner, "stop", part->stop);
        status = put_bound(status, inner, "step", part->step);
    }
    if (!status)
        status = kl_config_set_string(map, "class_name", slice ? slice_class : rest_class);
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

kl_config *kl_key_write(const kl_key *key)
{
    kl_config *list = kl_config_new_list();
    for (int i = 0; list && i < key->count; i++) {
        const kl_key_part *part = &key->parts[i];
        kl_config *item = part->kind == KL_KEY_AT    ? kl_config_new_int(part->start)
                          : part->kind == KL_KEY_NEW ? kl_config_new_null()
                                                     : write_object(part);
        if (kl_config_append(list, item)) {
            kl_config_free(list);
            return NULL;
        }
    }
    return list;
}
