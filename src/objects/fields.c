/* Field tables: defaults, copies from argument structs, checks. Configs are in fields_config.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/config.h"
#include "base/error.h"
#include "objects/fields.h"
#include "objects/kinds.h"
#include "tensor/tensor.h"

size_t kl_field_size(const kl_field *field)
{
    switch (field->type) {
    case KL_FIELD_BOOL:
        return sizeof(bool);
    case KL_FIELD_INT:
        return sizeof(int64_t);
    case KL_FIELD_FLOAT:
        return sizeof(double);
    case KL_FIELD_DIMS:
        return (size_t)field->count * sizeof(int64_t);
    case KL_FIELD_SHAPE:
        return (KL_MAX_RANK + 1) * sizeof(int64_t);
    case KL_FIELD_INTS:
    case KL_FIELD_PAIRS:
        return sizeof(kl_ints);
    case KL_FIELD_FLOATS:
        return sizeof(kl_floats);
    case KL_FIELD_STRINGS:
        return sizeof(kl_strings);
    case KL_FIELD_END:
    case KL_FIELD_IGNORED:
        return 0;
    default:
        return sizeof(void *);
    }
}

bool kl_field_kind(const kl_field *field, kl_kind *kind)
{
    switch (field->type) {
    case KL_FIELD_ACTIVATION:
        *kind = KL_KIND_ACTIVATION;
        return true;
    case KL_FIELD_INITIALIZER:
        *kind = KL_KIND_INITIALIZER;
        return true;
    case KL_FIELD_REGULARIZER:
        *kind = KL_KIND_REGULARIZER;
        return true;
    case KL_FIELD_CONSTRAINT:
        *kind = KL_KIND_CONSTRAINT;
        return true;
    case KL_FIELD_LAYER:
        *kind = KL_KIND_LAYER;
        return true;
    default:
        return false;
    }
}

/* Numbers of a default such as "2, 2" into out; returns how many. */
static int parse_numbers(const char *text, int64_t *out, int most)
{
    int count = 0;
    while (text && *text && count < most) {
        char *end;
        out[count] = strtoll(text, &end, 10);
        if (end == text)
            break;
        count++;
        text = end + strspn(end, ", ");
    }
    return count;
}

/* The point is a point in any locale of the program. */
static double parse_float(const char *text)
{
    void *locale = kl_locale_enter();
    double value = strtod(text, NULL);
    kl_locale_leave(locale);
    return value;
}

/* A field's default in the form that argument structs have. */
static void put_default(const kl_field *field, void *slot)
{
    const char *def = field->def;
    memset(slot, 0, kl_field_size(field));
    switch (field->type) {
    case KL_FIELD_BOOL:
        *(bool *)slot = def && !strcmp(def, "true");
        break;
    case KL_FIELD_INT:
        *(int64_t *)slot = def                                ? strtoll(def, NULL, 10)
                           : field->flags & KL_FIELD_OPTIONAL ? KL_NONE
                                                              : 0;
        break;
    case KL_FIELD_FLOAT:
        *(double *)slot = def ? parse_float(def) : field->flags & KL_FIELD_OPTIONAL ? NAN : 0;
        break;
    case KL_FIELD_DIMS:
        parse_numbers(def, slot, field->count);
        break;
    case KL_FIELD_SHAPE:
        parse_numbers(def, slot, KL_MAX_RANK);
        break;
    case KL_FIELD_INTS: {
        /* A list's default is one 0, or None. */
        static const int64_t zero[1] = {0};
        if (def)
            *(kl_ints *)slot = (kl_ints){zero, 1};
        break;
    }
    case KL_FIELD_STRING:
    case KL_FIELD_DTYPE:
    case KL_FIELD_CONFIG:
    case KL_FIELD_ACTIVATION:
    case KL_FIELD_INITIALIZER:
    case KL_FIELD_REGULARIZER:
    case KL_FIELD_CONSTRAINT:
        *(const char **)slot = def;
        break;
    default:
        break;
    }
}

kl_status kl_fields_defaults(const kl_field *fields, void *state)
{
    for (const kl_field *field = fields; field && field->type != KL_FIELD_END; field++)
        if (kl_field_size(field))
            put_default(field, (char *)state + field->offset);
    return KL_OK;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t length = strlen(value);
    for (const char *at = choices; at;) {
        const char *end = strchr(at, '|');
        size_t part = end ? (size_t)(end - at) : strlen(at);
        if (part == length && !memcmp(at, value, length))
            return true;
        at = end ? end + 1 : NULL;
    }
    return false;
}

static kl_status check_number(const char *what, const kl_field *field, double value)
{
    if (field->min < field->max && !(value >= field->min && value <= field->max)) {
        if (field->max >= 2147483647)
            return kl_error(KL_ERROR_RANGE, "%s: %s must be at least %g, got %g", what, field->name,
                            field->min, value);
        return kl_error(KL_ERROR_RANGE, "%s: %s must be from %g to %g, got %g", what, field->name,
                        field->min, field->max, value);
    }
    return KL_OK;
}

static kl_status check_dims(const char *what, const kl_field *field, int64_t *dims)
{
    bool lone = field->count > 1 && dims[0];
    for (int i = 1; i < field->count; i++)
        lone = lone && !dims[i];
    for (int i = 1; lone && i < field->count; i++)
        dims[i] = dims[0];
    if (!dims[0] && (field->flags & KL_FIELD_OPTIONAL))
        return KL_OK;
    for (int i = 0; i < field->count; i++) {
        kl_status status = check_number(what, field, (double)dims[i]);
        if (status)
            return status;
    }
    return KL_OK;
}

static kl_status check_shape(const char *what, const kl_field *field, const int64_t *shape)
{
    if (shape[0] == KL_SCALAR)
        return KL_OK;
    for (int i = 0; i <= KL_MAX_RANK && shape[i]; i++) {
        if (i == KL_MAX_RANK)
            return kl_error(KL_ERROR_SHAPE, "%s: %s has more than %d dimensions", what, field->name,
                            KL_MAX_RANK);
        if (shape[i] < (field->flags & KL_FIELD_UNKNOWN_OK ? -1 : 1))
            return kl_error(KL_ERROR_SHAPE, "%s: dimension %d of %s is %lld", what, i, field->name,
                            (long long)shape[i]);
    }
    return KL_OK;
}

static kl_status check_ints(const char *what, const kl_field *field, const kl_ints *list)
{
    kl_status status = KL_OK;
    for (size_t i = 0; !status && list->at && i < list->count; i++)
        status = check_number(what, field, (double)list->at[i]);
    return status;
}

static kl_status check_floats(const char *what, const kl_field *field, const kl_floats *list)
{
    kl_status status = KL_OK;
    for (size_t i = 0; !status && list->at && i < list->count; i++)
        status = check_number(what, field, (double)list->at[i]);
    return status;
}

kl_status kl_field_check(const char *what, const kl_field *field, void *slot)
{
    bool optional = field->flags & KL_FIELD_OPTIONAL;
    switch (field->type) {
    case KL_FIELD_INT: {
        int64_t value = *(int64_t *)slot;
        if (value == KL_NONE)
            return optional
                       ? KL_OK
                       : kl_error(KL_ERROR_INVALID, "%s: %s must not be None", what, field->name);
        return check_number(what, field, (double)value);
    }
    case KL_FIELD_FLOAT: {
        double value = *(double *)slot;
        if (isnan(value))
            return optional
                       ? KL_OK
                       : kl_error(KL_ERROR_INVALID, "%s: %s must not be None", what, field->name);
        return check_number(what, field, value);
    }
    case KL_FIELD_STRING: {
        const char *value = *(const char **)slot;
        if (!value)
            return optional || !field->choices
                       ? KL_OK
                       : kl_error(KL_ERROR_INVALID, "%s: %s must be one of %s, got None", what,
                                  field->name, field->choices);
        if (field->choices && !is_choice(field->choices, value))
            return kl_error(KL_ERROR_INVALID, "%s: %s must be one of %s, got '%s'", what,
                            field->name, field->choices, value);
        return KL_OK;
    }
    case KL_FIELD_DIMS:
        return check_dims(what, field, slot);
    case KL_FIELD_SHAPE:
        return check_shape(what, field, slot);
    case KL_FIELD_INTS:
    case KL_FIELD_PAIRS:
        return check_ints(what, field, slot);
    case KL_FIELD_FLOATS:
        return check_floats(what, field, slot);
    default:
        return KL_OK;
    }
}

static kl_status copy_text(void *slot, const char *text)
{
    char *copy = text ? kl_strdup(text) : NULL;
    *(char **)slot = copy;
    return text && !copy ? KL_ERROR_MEMORY : KL_OK;
}

static kl_status copy_strings(void *slot, const kl_strings *list)
{
    kl_strings *out = slot;
    *out = (kl_strings){0};
    if (!list->at)
        return KL_OK;
    char **copies = kl_calloc(list->count + 1, sizeof *copies);
    if (!copies)
        return KL_ERROR_MEMORY;
    *out = (kl_strings){(const char *const *)copies, list->count};
    for (size_t i = 0; i < list->count; i++) {
        if (!list->at[i])
            return kl_error_null("a list of strings", "item");
        if (!(copies[i] = kl_strdup(list->at[i])))
            return KL_ERROR_MEMORY;
    }
    return KL_OK;
}

static kl_status copy_array(const void **at, size_t count, size_t size)
{
    if (!*at)
        return KL_OK;
    size_t bytes;
    *at = kl_size_mul(count + 1, size, &bytes) ? *at : NULL;
    void *copy = *at ? kl_malloc(bytes) : NULL;
    if (copy && count)
        memcpy(copy, *at, count * size);
    *at = copy;
    return copy ? KL_OK : kl_error_memory();
}

/* One value, one an axis or two an axis to two an axis; None to the default. */
static kl_status take_pairs(const char *what, const kl_field *field, kl_ints *to, kl_ints from)
{
    int64_t given = 0;
    if (!from.at) {
        parse_numbers(field->def, &given, 1);
        from = (kl_ints){&given, 1};
    }
    const size_t axes = (size_t)field->count;
    if (from.count != 1 && from.count != axes && from.count != 2 * axes)
        return kl_error(KL_ERROR_INVALID, "%s: %s must have 1, %zu or %zu values, got %zu", what,
                        field->name, axes, 2 * axes, from.count);
    int64_t *pairs = kl_malloc_array(2 * axes, sizeof *pairs);
    if (!pairs)
        return KL_ERROR_MEMORY;
    for (size_t i = 0; i < 2 * axes; i++)
        pairs[i] = from.at[from.count == 1 ? 0 : from.count == axes ? i / 2 : i];
    *to = (kl_ints){pairs, 2 * axes};
    return KL_OK;
}

/* From an argument struct's form at `from` to the owned form at `to`. */
static kl_status take_field(const char *what, const kl_field *field, void *to, const void *from)
{
    kl_kind kind;
    kl_status status = KL_OK;
    if (kl_field_kind(field, &kind)) {
        kl_object *object = NULL;
        status = kl_named_resolve(kind, *(const void *const *)from, &object);
        *(kl_object **)to = object;
        if (status) {
            kl_error_prefix(field->name);
            kl_error_prefix(what);
        }
        return status;
    }
    switch (field->type) {
    case KL_FIELD_STRING:
    case KL_FIELD_DTYPE:
    case KL_FIELD_CONFIG:
        status = copy_text(to, *(const char *const *)from);
        break;
    case KL_FIELD_STRINGS:
        status = copy_strings(to, from);
        break;
    case KL_FIELD_INTS: {
        kl_ints list = *(const kl_ints *)from;
        const void *at = list.at;
        status = copy_array(&at, list.count, sizeof *list.at);
        *(kl_ints *)to = (kl_ints){at, at ? list.count : 0};
        break;
    }
    case KL_FIELD_FLOATS: {
        kl_floats list = *(const kl_floats *)from;
        const void *at = list.at;
        status = copy_array(&at, list.count, sizeof *list.at);
        *(kl_floats *)to = (kl_floats){at, at ? list.count : 0};
        break;
    }
    case KL_FIELD_PAIRS:
        status = take_pairs(what, field, to, *(const kl_ints *)from);
        break;
    case KL_FIELD_TENSOR:
        *(kl_tensor **)to = kl_hold(*(kl_tensor *const *)from);
        break;
    default:
        memmove(to, from, kl_field_size(field));
    }
    return status ? status : kl_field_check(what, field, to);
}

/* Whether a required argument was left at zero. */
static kl_status check_required(const char *what, const kl_field *field, const void *slot)
{
    static const char zero[128];
    if (!(field->flags & KL_FIELD_REQUIRED) || field->type == KL_FIELD_FLOAT ||
        (field->flags & KL_FIELD_OPTIONAL) || memcmp(slot, zero, kl_field_size(field)) != 0)
        return KL_OK;
    if (field->type == KL_FIELD_INT && field->min < field->max && field->min > 0)
        return check_number(what, field, 0);
    return kl_error(KL_ERROR_INVALID, "%s: %s must be given", what, field->name);
}

kl_status kl_fields_copy(const char *what, const kl_field *fields, void *state, const void *args,
                         size_t args_size)
{
    kl_status first = KL_OK;
    for (const kl_field *field = fields; field && field->type != KL_FIELD_END; field++) {
        size_t size = kl_field_size(field);
        if (!size)
            continue;
        char def[128];
        const void *from = (const char *)args + field->offset;
        if (field->offset + size > args_size) {
            put_default(field, def);
            from = def;
        }
        kl_kind kind;
        bool object = kl_field_kind(field, &kind);
        kl_status status = first ? first : check_required(what, field, from);
        /* Objects are taken over also when the call fails. */
        if (!status)
            status = take_field(what, field, (char *)state + field->offset, from);
        else if (object)
            kl_named_drop(*(const kl_named *)from);
        first = first ? first : status;
    }
    return first;
}

kl_status kl_fields_start(const char *what, const kl_field *fields, void *state)
{
    kl_status status = KL_OK;
    for (const kl_field *field = fields; !status && field && field->type != KL_FIELD_END; field++) {
        char def[128];
        if (!kl_field_size(field))
            continue;
        put_default(field, def);
        status = check_required(what, field, def);
        if (!status)
            status = take_field(what, field, (char *)state + field->offset, def);
    }
    return status;
}

kl_status kl_field_take_default(const char *what, const kl_field *field, void *state)
{
    char def[128];
    put_default(field, def);
    return take_field(what, field, (char *)state + field->offset, def);
}

void kl_fields_release_args(const kl_field *fields, const void *args, size_t size)
{
    for (const kl_field *field = fields; field && field->type != KL_FIELD_END; field++) {
        kl_kind kind;
        if (!kl_field_kind(field, &kind) || field->offset + sizeof(void *) > size)
            continue;
        kl_named value;
        memcpy(&value, (const char *)args + field->offset, sizeof value);
        kl_named_drop(value);
    }
}

void kl_fields_free(const kl_field *fields, void *state)
{
    for (const kl_field *field = fields; field && field->type != KL_FIELD_END; field++) {
        void *slot = (char *)state + field->offset;
        kl_kind kind;
        if (kl_field_kind(field, &kind)) {
            kl_object_disown(*(kl_object **)slot);
            continue;
        }
        switch (field->type) {
        case KL_FIELD_STRING:
        case KL_FIELD_DTYPE:
        case KL_FIELD_CONFIG:
            kl_free(*(char **)slot);
            break;
        case KL_FIELD_STRINGS: {
            const kl_strings *list = slot;
            for (size_t i = 0; i < list->count; i++)
                kl_free((char *)(uintptr_t)list->at[i]);
            kl_free((void *)(uintptr_t)list->at);
            break;
        }
        case KL_FIELD_INTS:
        case KL_FIELD_PAIRS:
            kl_free((void *)(uintptr_t)((kl_ints *)slot)->at);
            break;
        case KL_FIELD_FLOATS:
            kl_free((void *)(uintptr_t)((kl_floats *)slot)->at);
            break;
        case KL_FIELD_TENSOR:
            kl_unhold(*(kl_tensor **)slot);
            break;
        default:
            break;
        }
    }
}
