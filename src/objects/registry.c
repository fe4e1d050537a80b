#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/session.h"
#include "objects/kinds.h"

typedef struct registered_class {
    struct registered_class *next;
    kl_kind kind;
    const kl_class *cls;
} registered_class;

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static registered_class *registered;
static const kl_kind_hooks *_Atomic hooks_of[KL_KIND_COUNT];

void kl_kind_set_hooks(kl_kind kind, const kl_kind_hooks *hooks)
{
    /* Hooks with a table of all classes replace those without, never the other way round. */
    const kl_kind_hooks *now = atomic_load(&hooks_of[kind]);
    if (now && now->find && !hooks->find)
        return;
    atomic_store(&hooks_of[kind], hooks);
}

const kl_kind_hooks *kl_kind_get_hooks(kl_kind kind)
{
    return atomic_load(&hooks_of[kind]);
}

bool kl_class_is_named(const kl_class *cls, const char *name)
{
    if (!strcmp(cls->class_name, name))
        return true;
    size_t length = strlen(name);
    for (const char *at = cls->names; at && *at;) {
        const char *end = strchr(at, '|');
        size_t part = end ? (size_t)(end - at) : strlen(at);
        if (part == length && !memcmp(at, name, length))
            return true;
        at = end ? end + 1 : NULL;
    }
    return false;
}

static const kl_class *find_registered(kl_kind kind, const char *name)
{
    for (const registered_class *entry = registered; entry; entry = entry->next)
        if (entry->kind == kind && kl_class_is_named(entry->cls, name))
            return entry->cls;
    return NULL;
}

const kl_class *kl_class_find(kl_kind kind, const char *name)
{
    if (!name)
        return NULL;
    pthread_rwlock_rdlock(&lock);
    const kl_class *cls = find_registered(kind, name);
    pthread_rwlock_unlock(&lock);
    if (cls)
        return cls;
    const kl_kind_hooks *hooks = kl_kind_get_hooks(kind);
    if (hooks && hooks->find)
        return hooks->find(name);
    return kl_builtin_class(kind, name);
}

bool kl_class_is_registered(kl_kind kind, const kl_class *cls)
{
    pthread_rwlock_rdlock(&lock);
    const registered_class *entry = registered;
    while (entry && (entry->kind != kind || entry->cls != cls))
        entry = entry->next;
    pthread_rwlock_unlock(&lock);
    return entry != NULL;
}

kl_status kl_register_class(kl_kind kind, const kl_class *cls)
{
    if (!cls)
        return kl_error_null("kl_register_class", "cls");
    if ((unsigned)kind >= KL_KIND_COUNT || cls->size < sizeof *cls || !cls->class_name)
        return kl_error(KL_ERROR_INVALID, "a %s class needs its size and a class_name",
                        kl_kind_text(kind));
    const kl_class *taken = kl_class_find(kind, cls->class_name);
    if (taken == cls)
        return KL_OK;
    if (taken)
        return kl_error(KL_ERROR_STATE, "the %s class name '%s' is taken by another class",
                        kl_kind_text(kind), cls->class_name);
    registered_class *entry = kl_malloc(sizeof *entry);
    if (!entry)
        return KL_ERROR_MEMORY;
    pthread_rwlock_wrlock(&lock);
    *entry = (registered_class){registered, kind, cls};
    registered = entry;
    pthread_rwlock_unlock(&lock);
    kl_at_shutdown(kl_registry_clear);
    return KL_OK;
}

void kl_registry_clear(void)
{
    pthread_rwlock_wrlock(&lock);
    for (registered_class *entry = registered, *next; entry; entry = next) {
        next = entry->next;
        kl_free(entry);
    }
    registered = NULL;
    pthread_rwlock_unlock(&lock);
}
