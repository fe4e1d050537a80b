#include "ops/registry.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/session.h"
#include "ops/get_item.h"

extern const kl_op *const kl_unary_ops[],
    *const kl_binary_ops[], *const kl_select_ops[], *const kl_axis_ops[],
                                                        *const kl_shape_ops[],
                                                            *const kl_product_ops[];

typedef struct registered_op {
    struct registered_op *next;
    const kl_op *op;
} registered_op;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static registered_op *registered;

static void forget_ops(void)
{
    pthread_mutex_lock(&guard);
    for (registered_op *entry = registered, *next; entry; entry = next) {
        next = entry->next;
        kl_free(entry);
    }
    registered = NULL;
    pthread_mutex_unlock(&guard);
}

static const kl_op *find_builtin(const char *class_name)
{
    const kl_op *const *const tables[] = {kl_unary_ops, kl_binary_ops, kl_select_ops,
                                          kl_axis_ops,  kl_shape_ops,  kl_product_ops};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const kl_op *const *op = tables[t]; *op; op++)
            if ((*op)->class_name && !strcmp((*op)->class_name, class_name))
                return *op;
    return strcmp(class_name, kl_get_item_op.class_name) ? NULL : &kl_get_item_op;
}

const kl_op *kl_op_find(const char *class_name)
{
    const kl_op *found = find_builtin(class_name);
    pthread_mutex_lock(&guard);
    for (const registered_op *entry = registered; entry && !found; entry = entry->next)
        if (!strcmp(entry->op->class_name, class_name))
            found = entry->op;
    pthread_mutex_unlock(&guard);
    return found;
}

kl_status kl_register_op(const kl_op *op)
{
    if (!op || !op->class_name)
        return kl_error_null("kl_register_op", op ? "class_name" : "op");
    const kl_op *taken = kl_op_find(op->class_name);
    if (taken)
        return taken == op
                   ? KL_OK
                   : kl_error(KL_ERROR_STATE, "operation class '%s' is taken", op->class_name);
    registered_op *entry = kl_malloc(sizeof *entry);
    if (!entry)
        return KL_ERROR_MEMORY;
    pthread_mutex_lock(&guard);
    *entry = (registered_op){registered, op};
    registered = entry;
    pthread_mutex_unlock(&guard);
    kl_at_shutdown(forget_ops);
    return KL_OK;
}
