/* Learning from data before training: at once, batch by batch, from a source. */
#include "layers/layer.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "tensor/tensor.h"

static kl_status check_adapts(const char *function, const kl_layer *layer)
{
    if (!layer)
        return kl_error_null(function, "layer");
    if (!layer->vtable->adapt_update)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: %s has nothing to adapt", layer->name,
                        layer->object.cls->class_name);
    return KL_OK;
}

/* One of the layer's steps, which excludes its calls; what the step makes is gone after it. */
static kl_status run_step(kl_layer *layer, kl_status (*step)(kl_layer *self), kl_tensor *batch)
{
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return kl_last_status();
    pthread_rwlock_wrlock(&layer->lock);
    kl_status status = KL_OK;
    if (batch)
        status = layer->vtable->adapt_update(layer, batch);
    else if (step)
        status = step(layer);
    pthread_rwlock_unlock(&layer->lock);
    kl_scope_end_keeping(scope, 0, NULL);
    if (status)
        kl_error_prefix(layer->name);
    return status;
}

static kl_status build_for(kl_layer *layer, const kl_tensor *data, int64_t samples)
{
    kl_shape shape = {.rank = data->rank, .dtype = data->dtype};
    for (int i = 0; i < data->rank; i++)
        shape.at[i] = i ? data->shape[i] : samples;
    return kl_layer_build(layer, &shape, 1);
}

static kl_status take_batch(kl_layer *layer, kl_tensor *batch)
{
    if (batch->symbol)
        return kl_error(KL_ERROR_INVALID, "%s: adapt: the data is symbolic, it has no values",
                        layer->name);
    kl_status status = build_for(layer, batch, -1);
    return status ? status : run_step(layer, NULL, batch);
}

/* Forgets a half of what was to be learned; the error stays. */
static kl_status give_up(kl_layer *layer, kl_status status)
{
    kl_saved_error error;
    kl_error_save(&error);
    run_step(layer, layer->vtable->adapt_reset, NULL);
    kl_error_restore(&error);
    return status;
}

/* What was taken in and not yet used; a layer that can't learn, such as one that was given its
   state, has nothing to forget. */
kl_status kl_adapt_forget(kl_layer *layer)
{
    if (!layer->vtable->adapt_reset)
        return KL_OK;
    kl_saved_error error;
    kl_error_save(&error);
    kl_status status = run_step(layer, layer->vtable->adapt_reset, NULL);
    if (!status || status == KL_ERROR_MEMORY)
        return status;
    kl_error_restore(&error);
    return KL_OK;
}

kl_status kl_layer_update_state(kl_layer *layer, kl_tensor *batch)
{
    kl_status status = check_adapts("kl_layer_update_state", layer);
    if (status)
        return status;
    return batch ? take_batch(layer, batch) : kl_error_null("kl_layer_update_state", "batch");
}

kl_status kl_layer_finalize_state(kl_layer *layer)
{
    kl_status status = check_adapts("kl_layer_finalize_state", layer);
    return status ? status : run_step(layer, layer->vtable->adapt_finish, NULL);
}

kl_status kl_layer_adapt_source(kl_layer *layer, kl_status (*next)(void *user, kl_tensor **batch),
                                void *user)
{
    kl_status status = check_adapts("kl_layer_adapt_source", layer);
    if (status)
        return status;
    if (!next)
        return kl_error_null("kl_layer_adapt_source", "next");
    status = run_step(layer, layer->vtable->adapt_reset, NULL);
    if (status)
        return status;
    int64_t batches = 0;
    for (;; batches++) {
        kl_tensor *batch = NULL;
        status = next(user, &batch);
        if (status || !batch)
            break;
        status = take_batch(layer, batch);
        if (status)
            break;
    }
    if (!status && !batches)
        status = kl_error(KL_ERROR_INVALID, "%s: adapt: the source has no data", layer->name);
    return status ? give_up(layer, status) : run_step(layer, layer->vtable->adapt_finish, NULL);
}

/* A source of one batch. */
static kl_status next_once(void *user, kl_tensor **batch)
{
    kl_tensor **data = user;
    *batch = *data;
    *data = NULL;
    return KL_OK;
}

kl_status kl_layer_adapt(kl_layer *layer, kl_tensor *data)
{
    if (layer && !data)
        return kl_error_null("kl_layer_adapt", "data");
    /* Data that is there as a whole may be told apart along its first axis too. */
    if (layer && layer->vtable->adapt_update && !layer->built && !data->symbol && data->rank) {
        kl_status status = build_for(layer, data, data->shape[0]);
        if (status)
            return status;
    }
    return kl_layer_adapt_source(layer, next_once, &data);
}

static void free_items(void *items, void *user)
{
    kl_free(items);
}

kl_status kl_layer_adapt_texts(kl_layer *layer, const char *const *texts, int64_t count)
{
    if (!layer || !texts)
        return kl_error_null("kl_layer_adapt_texts", layer ? "texts" : "layer");
    if (count < 1)
        return kl_error(KL_ERROR_RANGE, "%s: adapt: expected at least 1 text, got %lld",
                        layer->name, (long long)count);
    kl_string *items = kl_malloc_array((size_t)count, sizeof *items);
    if (!items)
        return KL_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        if (!texts[i]) {
            kl_free(items);
            return kl_error(KL_ERROR_INVALID, "%s: adapt: text %lld is NULL", layer->name,
                            (long long)i);
        }
        items[i] = (kl_string){texts[i], strlen(texts[i])};
    }
    kl_tensor *data = kl_wrap(KL_STRING, 1, &count, NULL, items, free_items, NULL);
    kl_status status = data ? kl_layer_adapt(layer, data) : kl_last_status();
    kl_release(data);
    return status;
}
