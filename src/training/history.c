/* Values by name, one an epoch. */
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "training/training.h"

typedef struct series {
    char *name;
    double *values;
    size_t count, capacity;
} series;

struct kl_history {
    series *series; /* sorted by name */
    size_t count;
};

kl_history *kl_history_new(void)
{
    return kl_calloc(1, sizeof(kl_history));
}

static series *find(const kl_history *history, const char *name)
{
    for (size_t i = 0; i < history->count; i++)
        if (!strcmp(history->series[i].name, name))
            return &history->series[i];
    return NULL;
}

static series *insert(kl_history *history, const char *name)
{
    char *copy = kl_strdup(name);
    series *grown =
        copy ? kl_realloc_array(history->series, history->count + 1, sizeof *grown) : NULL;
    if (!grown) {
        kl_free(copy);
        return NULL;
    }
    history->series = grown;
    size_t at = history->count++;
    for (; at > 0 && strcmp(grown[at - 1].name, name) > 0; at--)
        grown[at] = grown[at - 1];
    grown[at] = (series){.name = copy};
    return &grown[at];
}

kl_status kl_history_add(kl_history *history, const char *prefix, const char *name, double value)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    series *s = find(history, full);
    if (!s && !(s = insert(history, full)))
        return KL_ERROR_MEMORY;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 16;
        double *grown = kl_realloc_array(s->values, capacity, sizeof *grown);
        if (!grown)
            return KL_ERROR_MEMORY;
        s->values = grown;
        s->capacity = capacity;
    }
    s->values[s->count++] = value;
    return KL_OK;
}

const double *kl_history_get(const kl_history *history, const char *name, size_t *count)
{
    if (count)
        *count = 0;
    if (!history || !name) {
        kl_error_null("kl_history_get", history ? "name" : "history");
        return NULL;
    }
    const series *s = find(history, name);
    if (!s) {
        kl_error(KL_ERROR_NOT_FOUND, "the history has no '%s'", name);
        return NULL;
    }
    if (count)
        *count = s->count;
    return s->values;
}

double kl_history_last(const kl_history *history, const char *name)
{
    size_t count;
    const double *values = kl_history_get(history, name, &count);
    return values ? values[count - 1] : NAN;
}

const char *kl_history_name(const kl_history *history, size_t index)
{
    return history && index < history->count ? history->series[index].name : NULL;
}

void kl_history_free(kl_history *history)
{
    if (!history)
        return;
    for (size_t i = 0; i < history->count; i++) {
        kl_free(history->series[i].name);
        kl_free(history->series[i].values);
    }
    kl_free(history->series);
    kl_free(history);
}
