#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "layers/layer.h"
#include "saving/saving.h"

/* "a" + "/" + "b" in memory of its own. */
static char *join(const char *a, const char *b)
{
    kl_str text = {0};
    kl_str_printf(&text, "%s%s%s", a, *a && *b ? "/" : "", b);
    return kl_str_take(&text);
}

/* Whether several sublayers go by this attribute, or it is a list of layers also with one in it. */
static bool is_list(const kl_layer *layer, const char *attribute)
{
    int count = 0;
    for (int i = 0; i < layer->sublayer_count; i++)
        count += !strcmp(layer->sublayers[i].attribute, attribute);
    return count > 1 || !strcmp(attribute, "layers") || !strcmp(attribute, "cells");
}

/* Keras's name within a list: the class in snake case, numbered from the second on. */
static kl_status list_name(const kl_layer *layer, int index, char *out, size_t size)
{
    const kl_sublayer *entry = &layer->sublayers[index];
    const char *class_name = entry->layer->object.cls->class_name;
    const char *plain = entry->layer->vtable->snake_name;
    int before = 0;
    for (int i = 0; i < index; i++)
        before += !strcmp(layer->sublayers[i].attribute, entry->attribute) &&
                  !strcmp(layer->sublayers[i].layer->object.cls->class_name, class_name);
    char snake[200];
    /* A functional model made in Python may be of class Functional or Model: one name for both. */
    if (!kl_to_snake_case(plain ? plain : class_name, snake, sizeof snake))
        return kl_error(KL_ERROR_RANGE, "the class name '%s' is too long", class_name);
    if (before)
        snprintf(out, size, "%s/%s_%d", entry->attribute, snake, before);
    else
        snprintf(out, size, "%s/%s", entry->attribute, snake);
    return KL_OK;
}

kl_status kl_layer_walk(kl_layer *layer, const char *path, kl_layer_visitor *visit, void *user)
{
    kl_status status = visit(layer, path, user);
    for (int i = 0; i < layer->sublayer_count && !status; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s", layer->sublayers[i].attribute);
        if (is_list(layer, layer->sublayers[i].attribute))
            status = list_name(layer, i, name, sizeof name);
        char *below = status ? NULL : join(path, name);
        if (!status)
            status = below ? kl_layer_walk(layer->sublayers[i].layer, below, visit, user)
                           : KL_ERROR_MEMORY;
        kl_free(below);
    }
    return status;
}
