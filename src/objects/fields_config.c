/* Field tables to configs and back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "objects/fields.h"
#include "objects/kinds.h"
#include "tensor/tensor.h"

static kl_status ill_typed(const char *what, const kl_field *field, const char *expected)
{
    return kl_error(KL_ERROR_FORMAT, "%s: %s: expected %s", what, field->name, expected);
}

/* The key's value under its name or an alias, taken out of the map. */
static kl_config *take_key(const kl_field *field, kl_config *config)
{
    kl_config *value = kl_config_detach(config, field->name);
    for (const char *at = field->alias; !value && at && *at;) {
        char key[64];
        const char *end = strchr(at, '|');
        size_t length = end ? (size_t)(end - at) : strlen(at);
        if (length >= sizeof key)
            break;
        memcpy(key, at, length);
        key[length] = 0;
        value = kl_config_detach(config, key);
        at = end ? end + 1 : NULL;
    }
    return value;
}

static kl_status read_list(const char *what, const kl_field *field, const kl_config *value,
                           int64_t *out, int most, bool open_ok)
{
    int count = 1;
    bool list = kl_config_typeof(value) == KL_CONFIG_LIST;
    if (list) {
        if (kl_config_count(value) > (size_t)most)
            return kl_error(KL_ERROR_FORMAT, "%s: %s: expected at most %d values, got %zu", what,
                            field->name, most, kl_config_count(value));
        count = (int)kl_config_count(value);
    }
    for (int i = 0; i < count; i++) {
        const kl_config *item = list ? kl_config_at(value, (size_t)i) : value;
        if (open_ok && kl_config_typeof(item) == KL_CONFIG_NULL)
            out[i] = -1;
        else if (!kl_config_as_int(item, &out[i]))
            return ill_typed(what, field, "whole numbers");
        else if (!out[i])
            return kl_error(KL_ERROR_RANGE, "%s: %s must not have a 0", what, field->name);
    }
    return KL_OK;
}

static kl_status read_dims(const char *what, const kl_field *field, const kl_config *value,
                           int64_t *out)
{
    size_t count = kl_config_count(value);
    if (kl_config_typeof(value) == KL_CONFIG_LIST && count != (size_t)field->count)
        return kl_error(KL_ERROR_FORMAT, "%s: %s: expected %d values, got %zu", what, field->name,
                        field->count, count);
    return read_list(what, field, value, out, field->count, false);
}

static kl_status read_shape(const char *what, const kl_field *field, const kl_config *value,
                            int64_t *out)
{
    if (kl_config_typeof(value) == KL_CONFIG_LIST && !kl_config_count(value)) {
        out[0] = KL_SCALAR;
        return KL_OK;
    }
    return read_list(what, field, value, out, KL_MAX_RANK, field->flags & KL_FIELD_UNKNOWN_OK);
}

/* Lists of any length: ints, floats and strings; one value stands for a list of it. */
static kl_status read_values(const char *what, const kl_field *field, const kl_config *value,
                             void *slot)
{
    bool list = kl_config_typeof(value) == KL_CONFIG_LIST;
    size_t count = list ? kl_config_count(value) : 1;
    size_t size = field->type == KL_FIELD_INTS     ? sizeof(int64_t)
                  : field->type == KL_FIELD_FLOATS ? sizeof(float)
                                                   : sizeof(char *);
    char *at = kl_calloc(count + 1, size);
    if (!at)
        return KL_ERROR_MEMORY;
    if (field->type == KL_FIELD_INTS)
        *(kl_ints *)slot = (kl_ints){(const int64_t *)(const void *)at, count};
    else if (field->type == KL_FIELD_FLOATS)
        *(kl_floats *)slot = (kl_floats){(const float *)(const void *)at, count};
    else
        *(kl_strings *)slot = (kl_strings){(const char *const *)(const void *)at, count};
    for (size_t i = 0; i < count; i++) {
        const kl_config *item = list ? kl_config_at(value, i) : value;
        double number;
        if (field->type == KL_FIELD_INTS) {
            if (!kl_config_as_int(item, (int64_t *)(void *)at + i))
                return ill_typed(what, field, "whole numbers");
        } else if (field->type == KL_FIELD_FLOATS) {
            if (!kl_config_as_float(item, &number))
                return ill_typed(what, field, "numbers");
            ((float *)(void *)at)[i] = (float)number;
        } else {
            const char *text = kl_config_as_string(item);
            if (!text)
                return ill_typed(what, field, "strings");
            if (!(((char **)(void *)at)[i] = kl_strdup(text)))
                return KL_ERROR_MEMORY;
        }
    }
    return KL_OK;
}

/* A number for all axes, or an entry an axis (of a lone axis: both its sides), each a number or a
   pair. */
static kl_status read_pairs(const char *what, const kl_field *field, const kl_config *value,
                            kl_ints *slot)
{
    const size_t axes = (size_t)field->count, entries = axes == 1 ? 2 : axes;
    bool list = kl_config_typeof(value) == KL_CONFIG_LIST;
    if (list && kl_config_count(value) != entries)
        return kl_error(KL_ERROR_FORMAT, "%s: %s: expected %zu values, got %zu", what, field->name,
                        entries, kl_config_count(value));
    int64_t *pairs = kl_malloc_array(2 * axes, sizeof *pairs);
    if (!pairs)
        return KL_ERROR_MEMORY;
    *slot = (kl_ints){pairs, 2 * axes};
    for (size_t i = 0; i < 2 * axes; i++) {
        const kl_config *item = list ? kl_config_at(value, i * entries / (2 * axes)) : value;
        if (list && axes > 1 && kl_config_typeof(item) == KL_CONFIG_LIST &&
            kl_config_count(item) == 2)
            item = kl_config_at(item, i % 2);
        if (!kl_config_as_int(item, &pairs[i]))
            return ill_typed(what, field, "whole numbers or pairs of them");
    }
    return KL_OK;
}

static kl_status nested_shape(const kl_config *value, int depth, int64_t *shape, int *rank)
{
    if (kl_config_typeof(value) != KL_CONFIG_LIST) {
        *rank = depth;
        return KL_OK;
    }
    if (depth == KL_MAX_RANK)
        return kl_error(KL_ERROR_FORMAT, "lists are nested more than %d deep", KL_MAX_RANK);
    shape[depth] = (int64_t)kl_config_count(value);
    *rank = depth + 1;
    return shape[depth] ? nested_shape(kl_config_at(value, 0), depth + 1, shape, rank) : KL_OK;
}

static kl_status nested_values(const kl_config *value, int depth, int rank, const int64_t *shape,
                               double **out)
{
    if (depth == rank) {
        bool flag;
        if (kl_config_as_bool(value, &flag))
            **out = flag;
        else if (!kl_config_as_float(value, *out))
            return kl_error(KL_ERROR_FORMAT, "expected numbers in nested lists");
        ++*out;
        return KL_OK;
    }
    if (kl_config_typeof(value) != KL_CONFIG_LIST ||
        (int64_t)kl_config_count(value) != shape[depth])
        return kl_error(KL_ERROR_FORMAT, "nested lists of different lengths");
    kl_status status = KL_OK;
    for (int64_t i = 0; i < shape[depth] && !status; i++)
        status = nested_values(kl_config_at(value, (size_t)i), depth + 1, rank, shape, out);
    return status;
}

/* Nested lists, or Keras's {"class_name": "__numpy__", "config": {"value", "dtype"}}. */
static kl_status read_tensor(const kl_config *value, kl_tensor **slot)
{
    kl_dtype dtype = KL_FLOAT64;
    if (kl_config_typeof(value) == KL_CONFIG_MAP) {
        const kl_config *inner = kl_config_get(value, "config");
        const kl_config *name = inner ? kl_config_get(inner, "dtype") : NULL;
        if (name && kl_config_as_string(name))
            kl_dtype_from_name(kl_config_as_string(name), &dtype);
        value = inner ? kl_config_get(inner, "value") : NULL;
    }
    int rank = 0;
    int64_t shape[KL_MAX_RANK], size;
    if (!value || dtype == KL_STRING)
        return kl_error(KL_ERROR_FORMAT, "expected numbers in nested lists");
    kl_status status = nested_shape(value, 0, shape, &rank);
    if (status)
        return status;
    if (!kl_shape_size(rank, shape, &size))
        return kl_last_status();
    double *values = kl_malloc_array((size_t)size + 1, sizeof *values), *at = values;
    if (!values)
        return KL_ERROR_MEMORY;
    status = nested_values(value, 0, rank, shape, &at);
    kl_tensor *wide = status ? NULL : kl_from_data(KL_FLOAT64, rank, shape, values);
    kl_tensor *made = wide ? kl_copy(wide, dtype) : NULL;
    *slot = kl_hold(made);
    kl_release(made);
    kl_release(wide);
    kl_free(values);
    return status ? status : made ? KL_OK : kl_last_status();
}

static kl_status read_text(const char *what, const kl_field *field, const kl_config *value,
                           void *slot)
{
    const char *text = kl_config_as_string(value);
    if (!text && field->type == KL_FIELD_DTYPE) {
        const kl_config *inner = kl_config_get(value, "config");
        const kl_config *name = inner ? kl_config_get(inner, "name") : NULL;
        text = name ? kl_config_as_string(name) : NULL;
    }
    if (!text)
        return ill_typed(what, field, "a string");
    *(char **)slot = kl_strdup(text);
    return *(char **)slot ? KL_OK : KL_ERROR_MEMORY;
}

static kl_status read_value(const char *what, const kl_field *field, const kl_config *value,
                            void *slot)
{
    kl_kind kind;
    if (kl_field_kind(field, &kind)) {
        kl_object *object = kl_object_deserialize(kind, value);
        *(kl_object **)slot = kl_object_own(object);
        if (object)
            return KL_OK;
        kl_error_prefix(field->name);
        kl_error_prefix(what);
        return kl_last_status();
    }
    bool flag;
    double number;
    switch (field->type) {
    case KL_FIELD_BOOL:
        if (!kl_config_as_bool(value, slot))
            return ill_typed(what, field, "true or false");
        return KL_OK;
    case KL_FIELD_INT:
        if (kl_config_as_bool(value, &flag))
            *(int64_t *)slot = flag;
        else if (!kl_config_as_int(value, slot))
            return ill_typed(what, field, "a whole number");
        return KL_OK;
    case KL_FIELD_FLOAT:
        if (!kl_config_as_float(value, &number))
            return ill_typed(what, field, "a number");
        *(double *)slot = number;
        return KL_OK;
    case KL_FIELD_STRING:
    case KL_FIELD_DTYPE:
        return read_text(what, field, value, slot);
    case KL_FIELD_DIMS:
        return read_dims(what, field, value, slot);
    case KL_FIELD_SHAPE:
        return read_shape(what, field, value, slot);
    case KL_FIELD_INTS:
    case KL_FIELD_FLOATS:
    case KL_FIELD_STRINGS:
        return read_values(what, field, value, slot);
    case KL_FIELD_PAIRS:
        return read_pairs(what, field, value, slot);
    case KL_FIELD_TENSOR: {
        kl_status status = read_tensor(value, slot);
        if (status) {
            kl_error_prefix(field->name);
            kl_error_prefix(what);
        }
        return status;
    }
    case KL_FIELD_CONFIG: {
        char *text = kl_config_print(value, false);
        *(char **)slot = text ? kl_strdup(text) : NULL;
        kl_config_free_text(text);
        return *(char **)slot ? KL_OK : KL_ERROR_MEMORY;
    }
    default:
        return kl_error(KL_ERROR_FORMAT, "%s: %s can't be given in a config", what, field->name);
    }
}

static void put_none(const kl_field *field, void *slot)
{
    memset(slot, 0, kl_field_size(field));
    if (field->type == KL_FIELD_INT)
        *(int64_t *)slot = KL_NONE;
    if (field->type == KL_FIELD_FLOAT)
        *(double *)slot = NAN;
}

static kl_status read_field(const char *what, const kl_field *field, void *state, kl_config *config)
{
    kl_config *value = take_key(field, config);
    void *slot = (char *)state + field->offset;
    kl_status status = KL_OK;
    if (field->type == KL_FIELD_IGNORED || field->type == KL_FIELD_POINTER) {
        kl_config_free(value);
        return KL_OK;
    }
    if (!value) {
        if (field->flags & KL_FIELD_REQUIRED)
            return kl_error(KL_ERROR_FORMAT, "%s: %s must be given", what, field->name);
        return kl_field_take_default(what, field, state);
    }
    if (kl_config_typeof(value) == KL_CONFIG_NULL) {
        kl_kind kind;
        bool none_ok = field->flags & KL_FIELD_OPTIONAL;
        if (none_ok)
            put_none(field, slot);
        else if (field->flags & KL_FIELD_REQUIRED)
            status = kl_error(KL_ERROR_FORMAT, "%s: %s must not be None", what, field->name);
        else if (kl_field_kind(field, &kind) || field->type == KL_FIELD_STRING ||
                 field->type == KL_FIELD_DTYPE)
            status = kl_field_take_default(what, field, state);
        else
            status = kl_error(KL_ERROR_FORMAT, "%s: %s must not be None", what, field->name);
    } else {
        status = read_value(what, field, value, slot);
        if (!status)
            status = kl_field_check(what, field, slot);
    }
    kl_config_free(value);
    return status;
}

kl_status kl_fields_read(const char *what, const kl_field *fields, void *state, kl_config *config)
{
    kl_status status = KL_OK;
    for (const kl_field *field = fields; !status && field && field->type != KL_FIELD_END; field++)
        status = read_field(what, field, state, config);
    if (status || !kl_config_count(config))
        return status;
    return kl_error(KL_ERROR_FORMAT, "%s: unknown argument '%s'", what, kl_config_key(config, 0));
}

double kl_shortest_double(double value)
{
    if (!isfinite(value) || (double)(float)value != value)
        return value;
    for (int digits = 6; digits <= 9; digits++) {
        char text[40];
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if ((float)back == (float)value)
            return back;
    }
    return value;
}

static kl_config *write_list(const int64_t *at, int count, bool open_ok)
{
    kl_config *list = kl_config_new_list();
    for (int i = 0; list && i < count; i++) {
        kl_config *item = open_ok && at[i] < 0 ? kl_config_new_null() : kl_config_new_int(at[i]);
        if (kl_config_append(list, item)) {
            kl_config_free(list);
            return NULL;
        }
    }
    return list;
}

static kl_config *write_pairs(const kl_field *field, const int64_t *pairs)
{
    if (field->count == 1)
        return write_list(pairs, 2, false);
    kl_config *list = kl_config_new_list();
    for (int i = 0; list && i < field->count; i++)
        if (kl_config_append(list, write_list(pairs + 2 * (ptrdiff_t)i, 2, false))) {
            kl_config_free(list);
            return NULL;
        }
    return list;
}

static kl_config *write_dims(const kl_field *field, const int64_t *dims)
{
    bool equal = field->flags & KL_FIELD_LONE;
    for (int i = 1; i < field->count; i++)
        equal = equal && dims[i] == dims[0];
    if (!dims[0])
        return kl_config_new_null();
    return equal ? kl_config_new_int(dims[0]) : write_list(dims, field->count, false);
}

static kl_config *write_values(const kl_field *field, const void *slot)
{
    size_t count = field->type == KL_FIELD_INTS     ? ((const kl_ints *)slot)->count
                   : field->type == KL_FIELD_FLOATS ? ((const kl_floats *)slot)->count
                                                    : ((const kl_strings *)slot)->count;
    if (field->flags & KL_FIELD_LONE && field->type == KL_FIELD_FLOATS && count == 1)
        return kl_config_new_float(kl_shortest_double(((const kl_floats *)slot)->at[0]));
    if (field->flags & KL_FIELD_LONE && field->type == KL_FIELD_INTS && count == 1)
        return kl_config_new_int(((const kl_ints *)slot)->at[0]);
    kl_config *list = kl_config_new_list();
    for (size_t i = 0; list && i < count; i++) {
        kl_config *item =
            field->type == KL_FIELD_INTS ? kl_config_new_int(((const kl_ints *)slot)->at[i])
            : field->type == KL_FIELD_FLOATS
                ? kl_config_new_float(kl_shortest_double(((const kl_floats *)slot)->at[i]))
                : kl_config_new_string(((const kl_strings *)slot)->at[i]);
        if (kl_config_append(list, item)) {
            kl_config_free(list);
            return NULL;
        }
    }
    return list;
}

static kl_config *write_tensor(const kl_tensor *tensor, int axis, int64_t *at)
{
    if (axis == tensor->rank)
        return kl_config_new_float(kl_shortest_double(kl_tensor_at(tensor, (*at)++)));
    kl_config *list = kl_config_new_list();
    for (int64_t i = 0; list && i < tensor->shape[axis]; i++) {
        if (kl_config_append(list, write_tensor(tensor, axis + 1, at))) {
            kl_config_free(list);
            return NULL;
        }
    }
    return list;
}

static kl_config *write_value(const kl_field *field, const void *slot)
{
    kl_kind kind;
    if (kl_field_kind(field, &kind)) {
        const kl_object *object = *(kl_object *const *)slot;
        if (!object && kind == KL_KIND_ACTIVATION)
            return kl_config_new_string("linear");
        return kl_object_serialize(object);
    }
    const char *text;
    switch (field->type) {
    case KL_FIELD_BOOL:
        return kl_config_new_bool(*(const bool *)slot);
    case KL_FIELD_INT: {
        int64_t value = *(const int64_t *)slot;
        return value == KL_NONE ? kl_config_new_null() : kl_config_new_int(value);
    }
    case KL_FIELD_FLOAT: {
        double value = *(const double *)slot;
        return isnan(value) ? kl_config_new_null() : kl_config_new_float(kl_shortest_double(value));
    }
    case KL_FIELD_STRING:
    case KL_FIELD_DTYPE:
        text = *(const char *const *)slot;
        return text ? kl_config_new_string(text) : kl_config_new_null();
    case KL_FIELD_DIMS:
        return write_dims(field, slot);
    case KL_FIELD_PAIRS:
        return write_pairs(field, ((const kl_ints *)slot)->at);
    case KL_FIELD_SHAPE: {
        const int64_t *shape = slot;
        int rank = 0;
        if (!shape[0])
            return kl_config_new_null();
        if (shape[0] != KL_SCALAR)
            while (rank < KL_MAX_RANK && shape[rank])
                rank++;
        return write_list(shape, rank, !(field->flags & KL_FIELD_INFERRED));
    }
    case KL_FIELD_INTS:
        return ((const kl_ints *)slot)->at ? write_values(field, slot) : kl_config_new_null();
    case KL_FIELD_FLOATS:
        return ((const kl_floats *)slot)->at ? write_values(field, slot) : kl_config_new_null();
    case KL_FIELD_STRINGS:
        return ((const kl_strings *)slot)->at ? write_values(field, slot) : kl_config_new_null();
    case KL_FIELD_TENSOR: {
        const kl_tensor *tensor = *(kl_tensor *const *)slot;
        int64_t at = 0;
        return tensor ? write_tensor(tensor, 0, &at) : kl_config_new_null();
    }
    case KL_FIELD_CONFIG:
        text = *(const char *const *)slot;
        return text ? kl_config_parse(text, strlen(text)) : kl_config_new_null();
    default:
        return kl_config_new_null();
    }
}

kl_status kl_fields_write(const kl_field *fields, const void *state, kl_config *config)
{
    kl_status status = KL_OK;
    for (const kl_field *field = fields; !status && field && field->type != KL_FIELD_END; field++) {
        if (field->flags & KL_FIELD_HIDDEN || field->type == KL_FIELD_POINTER ||
            field->type == KL_FIELD_IGNORED)
            continue;
        status = kl_config_set(config, field->name,
                               write_value(field, (const char *)state + field->offset));
    }
    return status;
}
