/* Optimizers as objects: variables, rate, configs. The update itself is in optimizer_apply.c. */
#include "training/optimizer.h"
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "layers/layer.h"
#include "tensor/tensor.h"
#include "training/losses.h"

static const kl_optimizer_vtable *vtable_of(const kl_optimizer *o)
{
    return (const kl_optimizer_vtable *)o->object.cls;
}

static const kl_optimizer_args *args_of(const kl_optimizer *o)
{
    return o->object.state;
}

static bool is_optimizer(const char *function, const void *object)
{
    if (!object) {
        kl_error_null(function, "optimizer");
        return false;
    }
    if (kl_object_kind(object) == KL_KIND_OPTIMIZER)
        return true;
    kl_error(KL_ERROR_INVALID, "%s: expected an optimizer, got another object", function);
    return false;
}

/* ---- Making and freeing --------------------------------------------------------------------- */

static kl_object *allocate(const kl_class *cls)
{
    const size_t head = (sizeof(kl_optimizer) + 63) / 64 * 64;
    size_t total;
    if (!kl_size_add(head, cls->state_size, &total)) {
        kl_error_memory();
        return NULL;
    }
    kl_optimizer *o = kl_calloc(1, total);
    if (!o)
        return NULL;
    o->object.state = (char *)o + head;
    return &o->object;
}

static void drop_variables(kl_optimizer *o)
{
    for (int i = 0; i < o->variable_count; i++) {
        kl_free(o->variables[i].name);
        kl_unhold(o->variables[i].value);
    }
    o->variable_count = 0;
    kl_free(o->weights);
    o->weights = NULL;
    o->weight_count = 0;
    o->scalar = NULL;
    o->built = false;
}

static void destroy(kl_object *object)
{
    kl_optimizer *o = (kl_optimizer *)object;
    drop_variables(o);
    kl_free(o->variables);
    kl_unhold(o->iteration);
    kl_unhold(o->rate);
    kl_object_disown(o->schedule);
    for (int i = 0; i < o->excluded_count; i++)
        kl_free(o->excluded[i]);
    kl_free(o->excluded);
    kl_free(o);
}

/* A tensor that the optimizer holds, also where a scope is open. */
static kl_tensor *held(kl_tensor *tensor)
{
    kl_tensor *kept = kl_hold(tensor);
    kl_release(tensor);
    return kept;
}

static kl_status check(const kl_optimizer_args *a, const char *name)
{
    int clips = !isnan(a->clipnorm) + !isnan(a->clipvalue) + !isnan(a->global_clipnorm);
    if (clips > 1)
        return kl_error(KL_ERROR_INVALID,
                        "%s: only one of clipnorm, clipvalue and global_clipnorm can be set, got "
                        "clipnorm=%g, clipvalue=%g, global_clipnorm=%g",
                        name, a->clipnorm, a->clipvalue, a->global_clipnorm);
    if (!isfinite(a->learning_rate) && !a->schedule)
        return kl_error(KL_ERROR_RANGE, "%s: learning_rate must be finite, got %g", name,
                        a->learning_rate);
    if (a->use_ema && !(a->ema_momentum >= 0 && a->ema_momentum <= 1))
        return kl_error(KL_ERROR_RANGE, "%s: ema_momentum must be from 0 to 1, got %g", name,
                        a->ema_momentum);
    if (a->ema_overwrite_frequency != KL_NONE && a->ema_overwrite_frequency < 1)
        return kl_error(KL_ERROR_RANGE, "%s: ema_overwrite_frequency must be at least 1, got %lld",
                        name, (long long)a->ema_overwrite_frequency);
    if (a->gradient_accumulation_steps != KL_NONE && a->gradient_accumulation_steps < 2)
        return kl_error(KL_ERROR_RANGE,
                        "%s: gradient_accumulation_steps must be at least 2, got %lld", name,
                        (long long)a->gradient_accumulation_steps);
    if (a->weight_decay < 0)
        return kl_error(KL_ERROR_RANGE, "%s: weight_decay must be at least 0, got %g", name,
                        a->weight_decay);
    return KL_OK;
}

static kl_status start(kl_object *object, const void *args)
{
    kl_optimizer *o = (kl_optimizer *)object;
    kl_optimizer_args *a = object->state;
    kl_status status = kl_default_name((char **)(uintptr_t)&a->name, object->cls->names);
    if (!status && args && a->schedule) {
        if (kl_object_kind(a->schedule) != KL_KIND_SCHEDULE)
            return kl_error(KL_ERROR_INVALID, "%s: schedule must be a schedule, got another object",
                            a->name);
        o->schedule = kl_object_own(a->schedule);
    }
    a->schedule = o->schedule;
    if (!status)
        status = check(a, a->name);
    if (status)
        return status;
    bool shapes = kl_shape_mode(false);
    o->iteration = held(kl_zeros(KL_INT64, 0, NULL));
    if (!o->schedule)
        o->rate = held(kl_full(KL_FLOAT32, 0, NULL, a->learning_rate));
    kl_shape_mode(shapes);
    return o->iteration && (o->schedule || o->rate) ? KL_OK : kl_last_status();
}

static kl_status read_schedule(kl_object *object, kl_config *config)
{
    kl_optimizer *o = (kl_optimizer *)object;
    const kl_config *rate = kl_config_get(config, "learning_rate");
    if (!rate || kl_config_typeof(rate) != KL_CONFIG_MAP)
        return KL_OK;
    kl_training_use();
    kl_config *value = kl_config_detach(config, "learning_rate");
    o->schedule = kl_object_own(kl_object_deserialize(KL_KIND_SCHEDULE, value));
    kl_config_free(value);
    return o->schedule ? KL_OK : kl_last_status();
}

const kl_kind_hooks kl_optimizer_hooks = {.allocate = allocate,
                                          .from_config = read_schedule,
                                          .start = start,
                                          .destroy = destroy,
                                          .find = kl_builtin_optimizer};

kl_status kl_optimizer_write(const void *self, kl_config *config)
{
    const kl_optimizer *o = self;
    if (o->schedule)
        return kl_config_set(config, "learning_rate", kl_object_serialize(o->schedule));
    return kl_config_set_float(config, "learning_rate", kl_tensor_at(o->rate, 0));
}

kl_optimizer *kl_optimizer_make(const char *function, const kl_optimizer_vtable *cls,
                                const void *args, kl_schedule *schedule)
{
    kl_training_use();
    if (!args) {
        kl_error_null(function, "args");
        return NULL;
    }
    /* Held meanwhile, so that a failure gives back a schedule that nobody else took. */
    kl_object_own(schedule);
    kl_optimizer *o = kl_object_new(KL_KIND_OPTIMIZER, (const kl_class *)cls, args);
    kl_object_disown(schedule);
    return o;
}

kl_optimizer *kl_optimizer_get(kl_named optimizer)
{
    kl_training_use();
    if (!optimizer) {
        kl_error_null("kl_optimizer_get", "optimizer");
        return NULL;
    }
    if (*(const uint8_t *)optimizer == 0xFF)
        return is_optimizer("kl_optimizer_get", optimizer) ? (kl_optimizer *)(uintptr_t)optimizer
                                                           : NULL;
    /* Keras takes "Adam", "adam" and "ADAM". */
    char lower[64];
    const char *name = optimizer;
    size_t length = strlen(name);
    for (size_t i = 0; i <= length && i < sizeof lower; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    const kl_class *cls = kl_class_find(KL_KIND_OPTIMIZER, name);
    if (!cls && length < sizeof lower)
        cls = kl_class_find(KL_KIND_OPTIMIZER, lower);
    if (!cls)
        kl_error(KL_ERROR_NOT_FOUND, "unknown optimizer: '%s'", name);
    return cls ? kl_object_new(KL_KIND_OPTIMIZER, cls, NULL) : NULL;
}

/* ---- Rate and steps ------------------------------------------------------------------------- */

const char *kl_optimizer_name(const kl_optimizer *o)
{
    return o && args_of(o)->name ? args_of(o)->name : "";
}

int64_t kl_optimizer_iterations(const kl_optimizer *o)
{
    return is_optimizer("kl_optimizer_iterations", o) ? (int64_t)kl_tensor_at(o->iteration, 0) : 0;
}

double kl_optimizer_learning_rate(const kl_optimizer *o)
{
    if (!is_optimizer("kl_optimizer_learning_rate", o))
        return NAN;
    if (o->schedule)
        return kl_schedule_call(o->schedule, kl_optimizer_iterations(o));
    return kl_tensor_at(o->rate, 0);
}

kl_status kl_optimizer_set_learning_rate(kl_optimizer *o, double learning_rate)
{
    if (!is_optimizer("kl_optimizer_set_learning_rate", o))
        return KL_ERROR_INVALID;
    if (o->schedule)
        return kl_error(KL_ERROR_STATE,
                        "%s: the learning rate is decided by a schedule and can't be set",
                        kl_optimizer_name(o));
    if (!isfinite(learning_rate))
        return kl_error(KL_ERROR_RANGE, "%s: learning_rate must be finite, got %g",
                        kl_optimizer_name(o), learning_rate);
    *(float *)kl_tensor_mutable_data(o->rate) = (float)learning_rate;
    return KL_OK;
}

double kl_optimizer_loss_scale(const kl_optimizer *o)
{
    double scale = args_of(o)->loss_scale_factor;
    return isnan(scale) ? 1 : scale;
}

kl_status kl_optimizer_exclude_from_weight_decay(kl_optimizer *o, kl_strings names)
{
    if (!is_optimizer("kl_optimizer_exclude_from_weight_decay", o))
        return KL_ERROR_INVALID;
    if (o->built)
        return kl_error(KL_ERROR_STATE,
                        "%s: weights can be left out of weight decay only before it is built",
                        kl_optimizer_name(o));
    for (size_t i = 0; i < names.count; i++) {
        char *text = names.at[i] ? kl_strdup(names.at[i]) : NULL;
        char **grown =
            text ? kl_realloc_array(o->excluded, (size_t)o->excluded_count + 1, sizeof *grown)
                 : NULL;
        if (!grown) {
            kl_free(text);
            return text ? KL_ERROR_MEMORY : kl_error_null("names", "name");
        }
        o->excluded = grown;
        o->excluded[o->excluded_count++] = text;
    }
    return KL_OK;
}

/* ---- Variables ------------------------------------------------------------------------------ */

/* Adds a variable under "<weight's path>_<name>"; the weight may be NULL. */
static kl_tensor *add_variable(kl_optimizer *o, const kl_weight *weight, const char *name,
                               size_t length, kl_tensor *value)
{
    kl_tensor *kept = held(value);
    if (!kept)
        return NULL;
    kl_str text = {0};
    if (weight) {
        kl_str_append(&text, weight->path);
        for (char *at = text.at; at && *at; at++)
            *at = *at == '/' ? '_' : *at;
        kl_str_append(&text, "_");
    }
    kl_str_append_n(&text, name, length);
    char *full = kl_str_take(&text);
    if (o->variable_count == o->variable_capacity) {
        int capacity = o->variable_capacity ? 2 * o->variable_capacity : 16;
        void *grown = kl_realloc_array(o->variables, (size_t)capacity, sizeof *o->variables);
        if (!grown) {
            kl_free(full);
            kl_unhold(kept);
            return NULL;
        }
        o->variables = grown;
        o->variable_capacity = capacity;
    }
    if (!full) {
        kl_unhold(kept);
        return NULL;
    }
    o->variables[o->variable_count++] = (kl_optimizer_variable_entry){full, kept};
    return kept;
}

/* A slot's shape is its weight's, but for the factored moments of Adafactor. */
static kl_tensor *new_slot(const kl_weight *weight, const char *name, size_t length, double initial)
{
    const kl_tensor *value = weight->value;
    int rank = kl_tensor_rank(value);
    int64_t shape[KL_MAX_RANK];
    memcpy(shape, value->shape, sizeof shape);
    bool row = length == 3 && !memcmp(name, "row", 3);
    bool column = length == 6 && !memcmp(name, "column", 6);
    if ((row || column) && rank < 2) {
        rank = 0;
    } else if (row || column) {
        if (column)
            shape[rank - 2] = shape[rank - 1];
        rank--;
    }
    return kl_full((kl_dtype)value->dtype, rank, shape, initial);
}

/* The slots of one group ("momentum,velocity") for all weights; *index goes on. */
static kl_status add_group(kl_optimizer *o, const char *group, size_t length, int *index)
{
    const kl_optimizer_vtable *cls = vtable_of(o);
    int first = *index;
    for (int i = 0; i < o->weight_count; i++) {
        kl_optimizer_weight *w = &o->weights[i];
        *index = first;
        for (size_t at = 0; at < length;) {
            size_t part = 0;
            while (at + part < length && group[at + part] != ',')
                part++;
            if (*index >= KL_OPTIMIZER_SLOTS)
                return kl_error(KL_ERROR_UNSUPPORTED, "%s: at most %d variables a weight",
                                o->object.cls->class_name, KL_OPTIMIZER_SLOTS);
            double initial = cls->initial ? cls->initial(o->object.state, *index) : 0;
            const kl_tensor *value = w->weight->value;
            kl_tensor *slot = *index < cls->copies ? kl_copy(value, (kl_dtype)value->dtype)
                                                   : new_slot(w->weight, group + at, part, initial);
            w->slots[*index] = add_variable(o, w->weight, group + at, part, slot);
            if (!w->slots[*index])
                return kl_last_status();
            ++*index;
            at += part + 1;
        }
    }
    return KL_OK;
}

static kl_status add_slots(kl_optimizer *o)
{
    const char *slots = vtable_of(o)->slots(o->object.state);
    int index = 0;
    while (slots && *slots) {
        size_t length = strcspn(slots, "|");
        kl_status status = add_group(o, slots, length, &index);
        if (status)
            return status;
        slots += length + (slots[length] == '|');
    }
    return KL_OK;
}

/* One variable like each weight: its average, or its accumulated gradient. */
static kl_status add_for_all(kl_optimizer *o, const char *name, size_t offset)
{
    for (int i = 0; i < o->weight_count; i++) {
        kl_optimizer_weight *w = &o->weights[i];
        kl_tensor *value = add_variable(o, w->weight, name, strlen(name),
                                        new_slot(w->weight, name, strlen(name), 0));
        if (!value)
            return kl_last_status();
        memcpy((char *)w + offset, &value, sizeof value);
    }
    return KL_OK;
}

static bool decays(const kl_optimizer *o, const kl_weight *weight)
{
    for (int i = 0; i < o->excluded_count; i++)
        if (strstr(weight->name, o->excluded[i]))
            return false;
    return true;
}

static kl_status build(kl_optimizer *o, int count, kl_weight *const *weights)
{
    o->weights = kl_calloc((size_t)count, sizeof *o->weights);
    if (!o->weights)
        return KL_ERROR_MEMORY;
    o->weight_count = count;
    for (int i = 0; i < count; i++) {
        if (!weights[i])
            return kl_error_null("kl_optimizer_build", "weights");
        o->weights[i].weight = weights[i];
        o->weights[i].decays = decays(o, weights[i]);
    }
    kl_status status = KL_OK;
    if (args_of(o)->use_ema)
        status = add_for_all(o, "average", offsetof(kl_optimizer_weight, average));
    if (!status && args_of(o)->gradient_accumulation_steps != KL_NONE)
        status = add_for_all(o, "gradient_accumulator", offsetof(kl_optimizer_weight, accumulator));
    if (!status)
        status = add_slots(o);
    const char *scalar = vtable_of(o)->scalar;
    if (!status && scalar) {
        o->scalar = add_variable(o, NULL, scalar, strlen(scalar), kl_full(KL_FLOAT32, 0, NULL, 1));
        status = o->scalar ? KL_OK : kl_last_status();
    }
    o->built = !status;
    return status;
}

kl_status kl_optimizer_build(kl_optimizer *o, int count, kl_weight *const *weights)
{
    if (!is_optimizer("kl_optimizer_build", o))
        return KL_ERROR_INVALID;
    if (count < 0 || (count && !weights))
        return kl_error_null("kl_optimizer_build", "weights");
    if (o->built)
        return KL_OK;
    bool shapes = kl_shape_mode(false);
    kl_status status = build(o, count, weights);
    kl_shape_mode(shapes);
    if (status)
        drop_variables(o);
    return status;
}

int kl_optimizer_variable_count(const kl_optimizer *o)
{
    if (!is_optimizer("kl_optimizer_variable_count", o))
        return 0;
    return o->variable_count + (o->rate ? 2 : 1);
}

kl_tensor *kl_optimizer_variable(const kl_optimizer *o, int index, const char **name)
{
    if (!is_optimizer("kl_optimizer_variable", o) || index < 0 ||
        index >= kl_optimizer_variable_count(o))
        return NULL;
    const char *text = "iteration";
    kl_tensor *value = o->iteration;
    if (index == 1 && o->rate) {
        text = "learning_rate";
        value = o->rate;
    } else if (index) {
        const kl_optimizer_variable_entry *entry = &o->variables[index - (o->rate ? 2 : 1)];
        text = entry->name;
        value = entry->value;
    }
    if (name)
        *name = text;
    return value;
}

kl_status kl_optimizer_set_variables(kl_optimizer *o, int count, kl_tensor *const *values)
{
    if (!is_optimizer("kl_optimizer_set_variables", o))
        return KL_ERROR_INVALID;
    if (count != kl_optimizer_variable_count(o))
        return kl_error(KL_ERROR_SHAPE, "%s: expected %d variables, got %d", kl_optimizer_name(o),
                        kl_optimizer_variable_count(o), count);
    for (int i = 0; i < count; i++) {
        const char *name;
        const kl_tensor *now = kl_optimizer_variable(o, i, &name);
        if (!values || !values[i])
            return kl_error_null("kl_optimizer_set_variables", "values");
        if (!kl_shape_equal(now, values[i])) {
            char need[128], got[128];
            return kl_error(KL_ERROR_SHAPE, "%s: variable %s has shape %s, got %s",
                            kl_optimizer_name(o), name,
                            kl_shape_text(now->rank, now->shape, need, sizeof need),
                            kl_shape_text(values[i]->rank, values[i]->shape, got, sizeof got));
        }
    }
    kl_status status = KL_OK;
    for (int i = 0; !status && i < count; i++)
        status = kl_tensor_assign(kl_optimizer_variable(o, i, NULL), values[i]);
    return status;
}
