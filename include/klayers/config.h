/*
 * The config tree: what get_config gives and from_config takes, a JSON value in memory. Layers
 * described by a field table never touch it; it is here for those that fill the get_config,
 * from_config, save_assets or load_assets slots.
 */
#ifndef KLAYERS_CONFIG_H
#define KLAYERS_CONFIG_H

#include "klayers/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_config kl_config;

typedef enum kl_config_type {
    KL_CONFIG_NULL,
    KL_CONFIG_BOOL,
    KL_CONFIG_NUMBER,
    KL_CONFIG_STRING,
    KL_CONFIG_LIST,
    KL_CONFIG_MAP
} kl_config_type;

/* New values; the caller owns them until they are put into a list or map. NULL on no memory. */
KL_API kl_config *kl_config_new_null(void);
KL_API kl_config *kl_config_new_bool(bool value);
KL_API kl_config *kl_config_new_int(int64_t value);
KL_API kl_config *kl_config_new_float(double value);
KL_API kl_config *kl_config_new_string(const char *value);
KL_API kl_config *kl_config_new_list(void);
KL_API kl_config *kl_config_new_map(void);

/*
 * JSON text to a tree; NaN, Infinity and -Infinity are read as Python writes them. Depth is at
 * most 1000. KL_ERROR_FORMAT with the position otherwise.
 */
KL_API kl_config *kl_config_parse(const char *json, size_t length);
/* A tree to JSON text (kl_config_free_text frees it); floats are written so that they read back
   the same, integers without a point. */
KL_API char *kl_config_print(const kl_config *config, bool indented);
KL_API void kl_config_free_text(char *text);
KL_API kl_config *kl_config_copy(const kl_config *config);
KL_API bool kl_config_equal(const kl_config *a, const kl_config *b);
/* Frees a value and all below it; NULL is allowed. Not for a value inside another. */
KL_API void kl_config_free(kl_config *config);

KL_API kl_config_type kl_config_typeof(const kl_config *config);
/* The value as an int64 or double; false if it isn't a number (or, for int, not a whole one). */
KL_API bool kl_config_as_int(const kl_config *config, int64_t *out);
KL_API bool kl_config_as_float(const kl_config *config, double *out);
KL_API bool kl_config_as_bool(const kl_config *config, bool *out);
/* The text, lent; NULL if not a string. */
KL_API const char *kl_config_as_string(const kl_config *config);

/* Lists: how many, and the i-th, lent (NULL beyond the end). */
KL_API size_t kl_config_count(const kl_config *config);
KL_API kl_config *kl_config_at(const kl_config *config, size_t i);
/* Takes `value` also when it fails; a NULL value fails. */
KL_API kl_status kl_config_append(kl_config *list, kl_config *value);

/* Maps: kl_config_count and kl_config_at walk the values, kl_config_key the keys in order. */
KL_API const char *kl_config_key(const kl_config *map, size_t i);
KL_API kl_config *kl_config_get(const kl_config *map, const char *key);
KL_API kl_status kl_config_set(kl_config *map, const char *key, kl_config *value);
KL_API kl_config *kl_config_detach(kl_config *map, const char *key);
KL_API kl_status kl_config_set_bool(kl_config *map, const char *key, bool value);
KL_API kl_status kl_config_set_int(kl_config *map, const char *key, int64_t value);
KL_API kl_status kl_config_set_float(kl_config *map, const char *key, double value);
KL_API kl_status kl_config_set_string(kl_config *map, const char *key, const char *value);

#ifdef __cplusplus
}
#endif
#endif
