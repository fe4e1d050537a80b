/* Readies the kinds of objects of this folder. */
#include "base/alloc.h"
#include "objects/object.h"
#include "training/losses.h"
#include "training/metrics.h"
#include "training/optimizer.h"

static kl_status start_loss(kl_object *object, const void *args)
{
    const kl_loss_vtable *cls = (const kl_loss_vtable *)object->cls;
    kl_loss_args *a = object->state;
    return kl_default_name((char **)(uintptr_t)&a->name,
                           cls->default_name ? cls->default_name : cls->names);
}

static kl_status start_metric(kl_object *object, const void *args)
{
    const kl_metric_vtable *cls = (const kl_metric_vtable *)object->cls;
    kl_metric_args *a = object->state;
    return kl_default_name((char **)(uintptr_t)&a->name,
                           cls->default_name ? cls->default_name : cls->names);
}

kl_status kl_default_name(char **name, const char *otherwise)
{
    if (*name)
        return KL_OK;
    size_t length = 0;
    while (otherwise && otherwise[length] && otherwise[length] != '|')
        length++;
    *name = kl_strndup(otherwise ? otherwise : "", length);
    return *name ? KL_OK : KL_ERROR_MEMORY;
}

static const kl_kind_hooks loss_hooks = {.start = start_loss, .find = kl_builtin_loss};
static const kl_kind_hooks metric_hooks = {.start = start_metric, .find = kl_builtin_metric};
static const kl_kind_hooks schedule_hooks = {.find = kl_builtin_schedule};
static const kl_kind_hooks callback_hooks = {.find = kl_builtin_callback};

void kl_training_use(void)
{
    kl_kind_set_hooks(KL_KIND_LOSS, &loss_hooks);
    kl_kind_set_hooks(KL_KIND_METRIC, &metric_hooks);
    kl_kind_set_hooks(KL_KIND_SCHEDULE, &schedule_hooks);
    kl_kind_set_hooks(KL_KIND_OPTIMIZER, &kl_optimizer_hooks);
    kl_kind_set_hooks(KL_KIND_CALLBACK, &callback_hooks);
}
