#include "objects/functions.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/session.h"
#include "objects/kinds.h"

typedef struct named_function {
    struct named_function *next;
    kl_kind kind;
    const kl_class *cls; /* of the objects made of it */
    kl_any_function *function;
    void *user;
    char name[];
} named_function;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static named_function *functions;

const kl_field kl_own_function_fields[] = {{0}};

kl_status kl_own_function_get_config(const void *self, kl_config *config)
{
    const kl_own_function *s = kl_object_state(self);
    return kl_config_set_string(config, "name", s->name);
}

void kl_own_function_destroy(void *self)
{
    kl_own_function *s = kl_object_state(self);
    kl_free(s->name);
}

void *kl_own_function_new(const char *maker, kl_kind kind, const kl_class *cls, const char *name,
                          kl_any_function *function, void *user)
{
    if (!name || !function) {
        kl_error_null(maker, name ? "function" : "name");
        return NULL;
    }
    void *object = kl_object_new(kind, cls, NULL);
    kl_own_function *s = object ? kl_object_state(object) : NULL;
    if (!s)
        return NULL;
    *s = (kl_own_function){function, user, kl_strdup(name)};
    if (!s->name) {
        kl_object_release(object);
        return NULL;
    }
    return object;
}

static void forget_functions(void)
{
    pthread_mutex_lock(&guard);
    for (named_function *entry = functions, *next; entry; entry = next) {
        next = entry->next;
        kl_free(entry);
    }
    functions = NULL;
    pthread_mutex_unlock(&guard);
}

static const char *without_package(const char *name)
{
    const char *end = strrchr(name, '>');
    return end ? end + 1 : name;
}

kl_status kl_own_function_register(const char *maker, kl_kind kind, const kl_class *cls,
                                   const char *name, kl_any_function *function, void *user)
{
    if (!name || !function)
        return kl_error_null(maker, name ? "function" : "name");
    if (kl_class_find(kind, without_package(name)))
        return kl_error(KL_ERROR_STATE, "the %s name '%s' is taken", kl_kind_text(kind), name);
    named_function *entry = kl_malloc(sizeof *entry + strlen(name) + 1);
    if (!entry)
        return KL_ERROR_MEMORY;
    *entry = (named_function){.kind = kind, .cls = cls, .function = function, .user = user};
    memcpy(entry->name, name, strlen(name) + 1);
    pthread_mutex_lock(&guard);
    entry->next = functions;
    functions = entry;
    pthread_mutex_unlock(&guard);
    kl_at_shutdown(forget_functions);
    return KL_OK;
}

kl_object *kl_registered_function(kl_kind kind, const char *name)
{
    pthread_mutex_lock(&guard);
    const named_function *entry = functions;
    while (entry && (entry->kind != kind || strcmp(without_package(entry->name), name) != 0))
        entry = entry->next;
    pthread_mutex_unlock(&guard);
    /* Entries live until the library is shut down. */
    return entry ? kl_own_function_new("kl_registered_function", kind, entry->cls, entry->name,
                                       entry->function, entry->user)
                 : NULL;
}
