#include "layers/context.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "layers/layer.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

static _Thread_local kl_context *current;

kl_context *kl_context_current(void)
{
    return current;
}

/* Takes a context from the free list or makes one, for models with a pool of its own: what a single
   layer computes comes from the thread's default pool. */
static kl_context *take_context(kl_layer *layer)
{
    pthread_mutex_lock(&layer->guard);
    kl_context *ctx = layer->contexts;
    if (ctx)
        layer->contexts = ctx->next;
    pthread_mutex_unlock(&layer->guard);
    if (ctx)
        return ctx;
    ctx = kl_calloc(1, sizeof *ctx);
    if (!ctx)
        return NULL;
    if (layer->sublayer_count && !(ctx->pool = kl_pool_new())) {
        kl_free(ctx);
        return NULL;
    }
    return ctx;
}

void kl_contexts_free(kl_layer *layer)
{
    for (kl_context *ctx = layer->contexts, *next; ctx; ctx = next) {
        next = ctx->next;
        kl_pool_close(ctx->pool);
        kl_free(ctx->updates);
        kl_free(ctx->losses);
        kl_free(ctx->loss_owners);
        kl_free(ctx->metrics);
        kl_free(ctx);
    }
    layer->contexts = NULL;
}

static void lock_layer(kl_layer *layer, kl_context_mode mode)
{
    if (mode == KL_CONTEXT_TRAINING || kl_layer_is_stateful(layer))
        pthread_rwlock_wrlock(&layer->lock);
    else
        pthread_rwlock_rdlock(&layer->lock);
}

kl_context *kl_context_begin(kl_layer *outermost, kl_context_mode mode)
{
    kl_context *ctx = take_context(outermost);
    if (!ctx)
        return NULL;
    ctx->outermost = outermost;
    ctx->mode = mode;
    ctx->training = mode == KL_CONTEXT_TRAINING;
    ctx->outer = current;
    if (mode != KL_CONTEXT_SHAPES)
        lock_layer(outermost, mode);
    ctx->outer_shapes = kl_shape_mode(mode == KL_CONTEXT_SHAPES);
    ctx->outer_pool = kl_pool_enter(ctx->pool);
    current = ctx;
    return ctx;
}

static void drop_results(kl_context *ctx)
{
    for (int i = 0; i < ctx->update_count; i++)
        kl_unhold(ctx->updates[i].value);
    for (int i = 0; i < ctx->loss_count; i++)
        kl_unhold(ctx->losses[i]);
    for (int i = 0; i < ctx->metric_count; i++)
        kl_unhold(ctx->metrics[i].value);
    ctx->update_count = ctx->loss_count = ctx->metric_count = 0;
}

void kl_context_end(kl_context *ctx)
{
    if (!ctx)
        return;
    drop_results(ctx);
    kl_layer *layer = ctx->outermost;
    kl_pool_enter(ctx->outer_pool);
    kl_shape_mode(ctx->outer_shapes);
    current = ctx->outer;
    ctx->call = NULL;
    ctx->masks = NULL;
    if (ctx->mode != KL_CONTEXT_SHAPES)
        pthread_rwlock_unlock(&layer->lock);
    pthread_mutex_lock(&layer->guard);
    ctx->next = layer->contexts;
    layer->contexts = ctx;
    pthread_mutex_unlock(&layer->guard);
}

bool kl_context_shapes_only(const kl_context *ctx)
{
    return ctx->mode == KL_CONTEXT_SHAPES;
}

kl_tensors kl_context_losses(const kl_context *ctx)
{
    return (kl_tensors){ctx->loss_count, ctx->losses};
}

kl_tensor *kl_context_metric(const kl_context *ctx, int index, const char **name)
{
    if (index < 0 || index >= ctx->metric_count)
        return NULL;
    if (name)
        *name = ctx->metrics[index].name;
    return ctx->metrics[index].value;
}

kl_status kl_context_commit(kl_context *ctx)
{
    kl_status status = KL_OK;
    for (int i = 0; i < ctx->update_count; i++) {
        kl_status one = kl_tensor_assign(ctx->updates[i].weight->value, ctx->updates[i].value);
        if (!status)
            status = one;
        kl_unhold(ctx->updates[i].value);
    }
    ctx->update_count = 0;
    return status;
}

bool kl_training(const kl_context *ctx)
{
    return ctx && ctx->training;
}

static kl_tensor *pending(const kl_context *ctx, const kl_weight *weight)
{
    for (int i = ctx->update_count; i-- > 0;)
        if (ctx->updates[i].weight == weight)
            return ctx->updates[i].value;
    return NULL;
}

kl_tensor *kl_read_variable(kl_context *ctx, const kl_weight *weight)
{
    if (!ctx || !weight) {
        kl_error_null("kl_read", ctx ? "weight" : "ctx");
        return NULL;
    }
    kl_tensor *value = ctx->update_count ? pending(ctx, weight) : NULL;
    return value ? value : weight->value;
}

kl_tensor *kl_read(kl_context *ctx, const kl_weight *weight)
{
    kl_tensor *value = kl_read_variable(ctx, weight);
    if (!value || !kl_dtype_is_float(value->dtype) || value->dtype == weight->owner->compute_dtype)
        return value;
    return kl_op_cast(value, weight->owner->compute_dtype);
}

kl_status kl_update(kl_context *ctx, const kl_weight *weight, kl_tensor *value)
{
    if (!ctx || !weight || !value)
        return kl_error_null("kl_update", !ctx ? "ctx" : !weight ? "weight" : "value");
    if (!kl_shape_equal(weight->value, value)) {
        char need[128], got[128];
        return kl_error(KL_ERROR_SHAPE, "update of %s: expected shape %s, got %s", weight->path,
                        kl_shape_text(weight->value->rank, weight->value->shape, need, sizeof need),
                        kl_shape_text(value->rank, value->shape, got, sizeof got));
    }
    if (ctx->mode == KL_CONTEXT_SHAPES)
        return KL_OK;
    for (int i = 0; i < ctx->update_count; i++) {
        if (ctx->updates[i].weight == weight) {
            kl_hold(value);
            kl_unhold(ctx->updates[i].value);
            ctx->updates[i].value = value;
            return KL_OK;
        }
    }
    if (ctx->update_count == ctx->update_capacity) {
        int capacity = ctx->update_capacity ? 2 * ctx->update_capacity : 16;
        void *grown = kl_realloc_array(ctx->updates, (size_t)capacity, sizeof *ctx->updates);
        if (!grown)
            return KL_ERROR_MEMORY;
        ctx->updates = grown;
        ctx->update_capacity = capacity;
    }
    ctx->updates[ctx->update_count].weight = weight;
    ctx->updates[ctx->update_count++].value = kl_hold(value);
    return KL_OK;
}

kl_status kl_add_loss(kl_context *ctx, kl_tensor *loss)
{
    if (!ctx || !loss)
        return kl_error_null("kl_add_loss", ctx ? "loss" : "ctx");
    if (ctx->mode == KL_CONTEXT_SHAPES)
        return KL_OK;
    if (ctx->loss_count == ctx->loss_capacity) {
        int capacity = ctx->loss_capacity ? 2 * ctx->loss_capacity : 8;
        void *grown = kl_realloc_array(ctx->losses, (size_t)capacity, sizeof *ctx->losses);
        if (!grown)
            return KL_ERROR_MEMORY;
        ctx->losses = grown;
        void *owners = kl_realloc_array(ctx->loss_owners, (size_t)capacity, sizeof(kl_layer *));
        if (!owners)
            return KL_ERROR_MEMORY;
        ctx->loss_owners = owners;
        ctx->loss_capacity = capacity;
    }
    ctx->loss_owners[ctx->loss_count] = ctx->call ? ctx->call->layer : ctx->outermost;
    ctx->losses[ctx->loss_count++] = kl_hold(loss);
    return KL_OK;
}

void kl_context_drop_losses(kl_context *ctx, int count)
{
    for (; count > 0 && ctx->loss_count > 0; count--)
        kl_unhold(ctx->losses[--ctx->loss_count]);
}

kl_status kl_add_metric(kl_context *ctx, const char *name, kl_tensor *value)
{
    if (!ctx || !name || !value)
        return kl_error_null("kl_add_metric", !ctx ? "ctx" : !name ? "name" : "value");
    if (ctx->mode == KL_CONTEXT_SHAPES)
        return KL_OK;
    if (ctx->metric_count == ctx->metric_capacity) {
        int capacity = ctx->metric_capacity ? 2 * ctx->metric_capacity : 8;
        void *grown = kl_realloc_array(ctx->metrics, (size_t)capacity, sizeof *ctx->metrics);
        if (!grown)
            return KL_ERROR_MEMORY;
        ctx->metrics = grown;
        ctx->metric_capacity = capacity;
    }
    kl_context_value *metric = &ctx->metrics[ctx->metric_count++];
    metric->value = kl_hold(value);
    snprintf(metric->name, sizeof metric->name, "%s", name);
    return KL_OK;
}

kl_tensor *kl_input_mask(const kl_context *ctx, int index)
{
    if (!ctx || !ctx->masks || index < 0 || index >= ctx->input_count)
        return NULL;
    return ctx->masks[index];
}

static kl_tensors listed(kl_tensor *const *list)
{
    kl_tensors result = {0, (kl_tensor **)(uintptr_t)list};
    while (result.count < KL_MAX_LIST && list[result.count])
        result.count++;
    return result;
}

kl_tensors kl_initial_state(const kl_context *ctx)
{
    return ctx && ctx->call ? listed(ctx->call->initial_state) : (kl_tensors){0};
}

kl_tensors kl_constants(const kl_context *ctx)
{
    return ctx && ctx->call ? listed(ctx->call->constants) : (kl_tensors){0};
}

kl_tensor *kl_call_argument(const kl_context *ctx, const char *name)
{
    if (!ctx || !ctx->call || !name)
        return NULL;
    for (size_t i = 0; i < sizeof ctx->call->arguments / sizeof *ctx->call->arguments; i++)
        if (ctx->call->arguments[i].name && !strcmp(ctx->call->arguments[i].name, name))
            return ctx->call->arguments[i].value;
    return NULL;
}

bool kl_call_flag(const kl_context *ctx, const char *name, bool otherwise)
{
    if (!ctx || !ctx->call || !name)
        return otherwise;
    for (size_t i = 0; i < sizeof ctx->call->arguments / sizeof *ctx->call->arguments; i++)
        if (ctx->call->arguments[i].name && !strcmp(ctx->call->arguments[i].name, name))
            return ctx->call->arguments[i].flag;
    return otherwise;
}
