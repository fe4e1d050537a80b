#include "base/config.h"

#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"

enum {
    TABLE_FROM = 32 /* entries from which on a map has a table */
};

static bool is_container(const kl_config *config)
{
    return config && (config->type == KL_CONFIG_LIST || config->type == KL_CONFIG_MAP);
}

/* ---- Making and freeing --------------------------------------------------------------------- */

static kl_config *new_value(kl_config_type type)
{
    kl_config *config = kl_calloc(1, sizeof *config);
    if (config)
        config->type = type;
    return config;
}

kl_config *kl_config_new_null(void)
{
    return new_value(KL_CONFIG_NULL);
}

kl_config *kl_config_new_bool(bool value)
{
    kl_config *config = new_value(KL_CONFIG_BOOL);
    if (config)
        config->as.boolean = value;
    return config;
}

kl_config *kl_config_new_int(int64_t value)
{
    kl_config *config = new_value(KL_CONFIG_NUMBER);
    if (config) {
        config->is_int = true;
        config->as.integer = value;
    }
    return config;
}

kl_config *kl_config_new_float(double value)
{
    kl_config *config = new_value(KL_CONFIG_NUMBER);
    if (config)
        config->as.number = value;
    return config;
}

kl_config *kl_config_take_string(char *text)
{
    if (!text)
        return NULL;
    kl_config *config = new_value(KL_CONFIG_STRING);
    if (config)
        config->as.string = text;
    else
        kl_free(text);
    return config;
}

/* Checks that a text may stand in JSON. */
static bool is_utf8(const char *function, const char *text)
{
    size_t length = strlen(text), at = 0;
    while (at < length) {
        size_t bytes = kl_utf8_length(text + at, length - at);
        if (bytes == 0) {
            kl_error(KL_ERROR_INVALID, "%s: the text is not UTF-8 at byte %zu", function, at);
            return false;
        }
        at += bytes;
    }
    return true;
}

kl_config *kl_config_new_string(const char *value)
{
    if (!value) {
        kl_error_null("kl_config_new_string", "value");
        return NULL;
    }
    return is_utf8("kl_config_new_string", value) ? kl_config_take_string(kl_strdup(value)) : NULL;
}

kl_config *kl_config_new_list(void)
{
    return new_value(KL_CONFIG_LIST);
}

kl_config *kl_config_new_map(void)
{
    return new_value(KL_CONFIG_MAP);
}

static void free_value(kl_config *config)
{
    if (is_container(config)) {
        for (size_t i = 0; i < config->as.entries.count; i++) {
            kl_free(config->as.entries.at[i].key);
            free_value(config->as.entries.at[i].value);
        }
        kl_free(config->as.entries.at);
        kl_free(config->as.entries.table);
    } else if (config->type == KL_CONFIG_STRING) {
        kl_free(config->as.string);
    }
    kl_free(config);
}

void kl_config_free(kl_config *config)
{
    if (config && !config->inside)
        free_value(config);
}

static kl_config *copy_entries(const kl_config *config)
{
    kl_config *copy = new_value(config->type);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < config->as.entries.count; i++) {
        const kl_config_entry *entry = &config->as.entries.at[i];
        kl_config *value = kl_config_copy(entry->value);
        kl_status status =
            entry->key ? kl_config_set(copy, entry->key, value) : kl_config_append(copy, value);
        if (status != KL_OK) {
            kl_config_free(copy);
            return NULL;
        }
    }
    return copy;
}

kl_config *kl_config_copy(const kl_config *config)
{
    if (!config) {
        kl_error_null("kl_config_copy", "config");
        return NULL;
    }
    if (is_container(config))
        return copy_entries(config);
    if (config->type == KL_CONFIG_STRING)
        return kl_config_take_string(kl_strdup(config->as.string));
    kl_config *copy = kl_memdup(config, sizeof *config);
    if (copy)
        copy->inside = false;
    return copy;
}

/* ---- Reading -------------------------------------------------------------------------------- */

kl_config_type kl_config_typeof(const kl_config *config)
{
    return config ? config->type : KL_CONFIG_NULL;
}

bool kl_config_as_int(const kl_config *config, int64_t *out)
{
    if (!config || config->type != KL_CONFIG_NUMBER)
        return false;
    if (config->is_int) {
        *out = config->as.integer;
        return true;
    }
    double value = config->as.number;
    if (!(value >= -0x1p63 && value < 0x1p63) || floor(value) != value)
        return false;
    *out = (int64_t)value;
    return true;
}

bool kl_config_as_float(const kl_config *config, double *out)
{
    if (!config || config->type != KL_CONFIG_NUMBER)
        return false;
    *out = config->is_int ? (double)config->as.integer : config->as.number;
    return true;
}

bool kl_config_as_bool(const kl_config *config, bool *out)
{
    if (!config || config->type != KL_CONFIG_BOOL)
        return false;
    *out = config->as.boolean;
    return true;
}

const char *kl_config_as_string(const kl_config *config)
{
    return config && config->type == KL_CONFIG_STRING ? config->as.string : NULL;
}

size_t kl_config_count(const kl_config *config)
{
    return is_container(config) ? config->as.entries.count : 0;
}

kl_config *kl_config_at(const kl_config *config, size_t i)
{
    return i < kl_config_count(config) ? config->as.entries.at[i].value : NULL;
}

const char *kl_config_key(const kl_config *map, size_t i)
{
    return i < kl_config_count(map) ? map->as.entries.at[i].key : NULL;
}

static uint32_t hash_of(const char *key)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return hash;
}

static bool has_key(const kl_config_entry *entry, const char *key, uint32_t hash)
{
    return entry->hash == hash && strcmp(entry->key, key) == 0;
}

/* Where a key stands, or the count of entries if it doesn't. */
static size_t find_key(const kl_config *map, const char *key, uint32_t hash)
{
    size_t count = map->as.entries.count, size = map->as.entries.table_size;
    const kl_config_entry *at = map->as.entries.at;
    if (size > 0) {
        for (size_t slot = hash & (size - 1);; slot = (slot + 1) & (size - 1)) {
            uint32_t number = map->as.entries.table[slot];
            if (number == 0)
                return count;
            if (has_key(&at[number - 1], key, hash))
                return number - 1;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (has_key(&at[i], key, hash))
            return i;
    return count;
}

kl_config *kl_config_get(const kl_config *map, const char *key)
{
    if (!map || map->type != KL_CONFIG_MAP || !key)
        return NULL;
    size_t i = find_key(map, key, hash_of(key));
    return kl_config_at(map, i);
}

static bool equal_entries(const kl_config *a, const kl_config *b)
{
    size_t count = a->as.entries.count;
    if (count != b->as.entries.count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const kl_config_entry *entry = &a->as.entries.at[i];
        const kl_config *other =
            entry->key ? kl_config_get(b, entry->key) : b->as.entries.at[i].value;
        if (!other || !kl_config_equal(entry->value, other))
            return false;
    }
    return true;
}

bool kl_config_equal(const kl_config *a, const kl_config *b)
{
    if (!a || !b)
        return a == b;
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case KL_CONFIG_NULL:
        return true;
    case KL_CONFIG_BOOL:
        return a->as.boolean == b->as.boolean;
    case KL_CONFIG_STRING:
        return strcmp(a->as.string, b->as.string) == 0;
    case KL_CONFIG_LIST:
    case KL_CONFIG_MAP:
        return equal_entries(a, b);
    case KL_CONFIG_NUMBER:
        break;
    }
    if (a->is_int && b->is_int)
        return a->as.integer == b->as.integer;
    double x, y;
    kl_config_as_float(a, &x);
    kl_config_as_float(b, &y);
    return x == y || (isnan(x) && isnan(y));
}

/* ---- Changing ------------------------------------------------------------------------------- */

static void drop_table(kl_config *map)
{
    kl_free(map->as.entries.table);
    map->as.entries.table = NULL;
    map->as.entries.table_size = 0;
}

static void put_in_table(kl_config *map, size_t i)
{
    size_t mask = map->as.entries.table_size - 1, slot = map->as.entries.at[i].hash & mask;
    while (map->as.entries.table[slot] != 0)
        slot = (slot + 1) & mask;
    map->as.entries.table[slot] = (uint32_t)(i + 1);
}

/* Keeps the table of a map that grew by its last entry at most half full. */
static void index_last(kl_config *map)
{
    size_t count = map->as.entries.count, size = map->as.entries.table_size;
    if (count < TABLE_FROM)
        return;
    if (2 * count <= size) {
        put_in_table(map, count - 1);
        return;
    }
    drop_table(map);
    if (count > UINT32_MAX / 8)
        return;
    for (size = 4 * TABLE_FROM; size < 4 * count;)
        size *= 2;
    kl_saved_error saved;
    kl_error_save(&saved);
    map->as.entries.table = kl_calloc(size, sizeof *map->as.entries.table);
    if (!map->as.entries.table) {
        kl_error_restore(&saved); /* looking through the entries still works */
        return;
    }
    map->as.entries.table_size = size;
    for (size_t i = 0; i < count; i++)
        put_in_table(map, i);
}

static kl_status add_entry(kl_config *container, char *key, uint32_t hash, kl_config *value)
{
    size_t count = container->as.entries.count, capacity = container->as.entries.capacity;
    if (count == capacity) {
        size_t larger = capacity ? 2 * capacity : 4;
        kl_config_entry *grown = kl_realloc_array(container->as.entries.at, larger, sizeof *grown);
        if (!grown)
            return KL_ERROR_MEMORY;
        container->as.entries.at = grown;
        container->as.entries.capacity = larger;
    }
    container->as.entries.at[container->as.entries.count++] = (kl_config_entry){key, value, hash};
    value->inside = true;
    return KL_OK;
}

/* Whether `value` may be put into `container`; says why not. */
static bool may_take(const char *function, const kl_config *container, kl_config_type type,
                     const kl_config *value)
{
    if (!value)
        kl_error_null(function, "value");
    else if (!container)
        kl_error_null(function, type == KL_CONFIG_LIST ? "list" : "map");
    else if (container->type != type)
        kl_error(KL_ERROR_INVALID, "%s: expected a %s", function,
                 type == KL_CONFIG_LIST ? "list" : "map");
    else if (value == container || value->inside)
        kl_error(KL_ERROR_INVALID, "%s: the value is already part of a list or map", function);
    else
        return true;
    return false;
}

kl_status kl_config_append(kl_config *list, kl_config *value)
{
    kl_status status = KL_ERROR_INVALID;
    if (may_take("kl_config_append", list, KL_CONFIG_LIST, value))
        status = add_entry(list, NULL, 0, value);
    if (status != KL_OK && value != list)
        kl_config_free(value);
    return status == KL_OK ? KL_OK : kl_last_status();
}

static kl_status set_checked(kl_config *map, char *key, kl_config *value)
{
    uint32_t hash = hash_of(key);
    size_t i = find_key(map, key, hash);
    if (i < map->as.entries.count) {
        free_value(map->as.entries.at[i].value);
        map->as.entries.at[i].value = value;
        value->inside = true;
        kl_free(key);
        return KL_OK;
    }
    kl_status status = add_entry(map, key, hash, value);
    if (status == KL_OK)
        index_last(map);
    else
        kl_free(key);
    return status;
}

kl_status kl_config_set_taking(kl_config *map, char *key, kl_config *value)
{
    kl_status status = KL_ERROR_INVALID;
    if (!key)
        kl_error_null("kl_config_set", "key");
    else if (may_take("kl_config_set", map, KL_CONFIG_MAP, value))
        status = set_checked(map, key, value);
    else
        kl_free(key);
    if (status != KL_OK && value != map)
        kl_config_free(value);
    return status == KL_OK ? KL_OK : kl_last_status();
}

kl_status kl_config_set(kl_config *map, const char *key, kl_config *value)
{
    char *copy = key && is_utf8("kl_config_set", key) ? kl_strdup(key) : NULL;
    if (key && !copy) {
        if (value != map)
            kl_config_free(value);
        return kl_last_status();
    }
    return kl_config_set_taking(map, copy, value);
}

kl_config *kl_config_detach(kl_config *map, const char *key)
{
    if (!map || map->type != KL_CONFIG_MAP || !key)
        return NULL;
    size_t i = find_key(map, key, hash_of(key));
    if (i == map->as.entries.count)
        return NULL;
    kl_config_entry *at = map->as.entries.at;
    kl_config *value = at[i].value;
    kl_free(at[i].key);
    map->as.entries.count--;
    memmove(&at[i], &at[i + 1], (map->as.entries.count - i) * sizeof *at);
    drop_table(map);
    value->inside = false;
    return value;
}

kl_status kl_config_set_bool(kl_config *map, const char *key, bool value)
{
    return kl_config_set(map, key, kl_config_new_bool(value));
}

kl_status kl_config_set_int(kl_config *map, const char *key, int64_t value)
{
    return kl_config_set(map, key, kl_config_new_int(value));
}

kl_status kl_config_set_float(kl_config *map, const char *key, double value)
{
    return kl_config_set(map, key, kl_config_new_float(value));
}

kl_status kl_config_set_string(kl_config *map, const char *key, const char *value)
{
    return kl_config_set(map, key, kl_config_new_string(value));
}
