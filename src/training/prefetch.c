/* Preprocessing of batches, and batches made ahead on a worker thread. */
#include "training/prefetch.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

/* ---- Preprocessing -------------------------------------------------------------------------- */

kl_status kl_source_preprocess(kl_source *s, kl_step_batch *batch)
{
    kl_tensor *inputs[2 * KL_MAX_LIST];
    int count = batch->inputs, targets = s->preprocess_targets ? batch->targets : 0;
    memcpy(inputs, batch->x, (size_t)count * sizeof *inputs);
    memcpy(inputs + count, batch->y, (size_t)targets * sizeof *inputs);
    kl_call_args call = {.size = sizeof call,
                         .mark = kl_error_count(),
                         .layer = s->preprocessing,
                         .inputs_list = {count + targets, inputs},
                         .training = s->trains ? KL_TRUE : KL_FALSE};
    /* Draws of layers without a generator of their own: from one stream, a part of it a batch, so
       that they don't depend on what else draws meanwhile. */
    kl_random stream = {s->stream, s->preprocessed++ << 20}, *outer = NULL;
    if (s->trains)
        outer = kl_random_enter(&stream);
    kl_tensors out = kl_call_with_args(&call);
    if (s->trains)
        kl_random_enter(outer);
    if (!out.at)
        return kl_last_status();
    int outputs = out.count - targets;
    if (outputs < 1 || outputs > KL_MAX_LIST || (targets && outputs != count))
        return kl_error(KL_ERROR_SHAPE,
                        "preprocessing %s: expected %d inputs and %d targets back, got %d outputs",
                        kl_layer_name(s->preprocessing), count, targets, out.count);
    for (int i = 0; i < KL_MAX_LIST; i++)
        batch->x[i] = i < outputs ? out.at[i] : NULL;
    batch->inputs = outputs;
    memcpy(batch->y, out.at + outputs, (size_t)targets * sizeof *batch->y);
    return KL_OK;
}

/* ---- Random generators of the preprocessing ------------------------------------------------- */

/* How far each generator has drawn, in a fixed order. */
typedef struct draw_list {
    uint64_t *at;
    int count, capacity;
} draw_list;

static void read_draws(kl_layer *layer, draw_list *list)
{
    if (layer->seed_generator) {
        if (list->count < list->capacity) {
            pthread_mutex_lock(&layer->guard);
            list->at[list->count] = layer->seed_generator->draw;
            pthread_mutex_unlock(&layer->guard);
        }
        list->count++;
    }
    for (int i = 0; i < layer->sublayer_count; i++)
        read_draws(layer->sublayers[i].layer, list);
}

static kl_status note_draws(kl_layer *layer, draw_list *list)
{
    list->count = 0;
    read_draws(layer, list);
    if (list->count <= list->capacity)
        return KL_OK;
    uint64_t *grown = kl_realloc_array(list->at, (size_t)list->count, sizeof *grown);
    if (!grown)
        return KL_ERROR_MEMORY;
    list->at = grown;
    list->capacity = list->count;
    list->count = 0;
    read_draws(layer, list);
    return KL_OK;
}

static void set_draws(kl_layer *layer, const draw_list *list, int *at)
{
    if (layer->seed_generator && *at < list->count) {
        pthread_mutex_lock(&layer->guard);
        layer->seed_generator->draw = list->at[(*at)++];
        pthread_mutex_unlock(&layer->guard);
    }
    for (int i = 0; i < layer->sublayer_count; i++)
        set_draws(layer->sublayers[i].layer, list, at);
}

/* ---- The worker ----------------------------------------------------------------------------- */

typedef struct item {
    kl_step_batch batch; /* held */
    bool end;
    kl_saved_error error; /* status KL_OK: none */
    draw_list draws;      /* after this batch */
} item;

struct kl_prefetch {
    kl_source *source;
    int64_t depth, first, count; /* a ring of items */
    int64_t wanted;              /* batches that may still be made */
    bool paused;                 /* at the end of the data, or after an error */
    bool stops;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    item taken; /* what the last batch was made of */
    item items[];
};

static kl_tensor **list_of(kl_step_batch *batch, int which)
{
    return which == 0 ? batch->x : which == 1 ? batch->y : batch->w;
}

static void hold_batch(kl_step_batch *batch)
{
    for (int which = 0; which < 3; which++)
        for (int i = 0; i < KL_MAX_LIST; i++)
            kl_hold(list_of(batch, which)[i]);
}

static void drop_batch(item *it)
{
    for (int which = 0; which < 3; which++)
        for (int i = 0; i < KL_MAX_LIST; i++)
            kl_unhold(list_of(&it->batch, which)[i]);
    it->batch = (kl_step_batch){0};
}

static void make_item(kl_prefetch *p, item *it)
{
    it->end = false;
    it->error.status = KL_OK;
    kl_scope *scope = kl_scope_begin();
    kl_status status = scope ? kl_source_next(p->source, &it->batch, &it->end) : kl_last_status();
    if (!status && p->source->preprocessing)
        status = note_draws(p->source->preprocessing, &it->draws);
    if (status || it->end)
        it->batch = (kl_step_batch){0};
    hold_batch(&it->batch);
    if (status) {
        kl_error_save(&it->error);
        it->error.status = status;
    }
    if (scope)
        kl_scope_end_keeping(scope, 0, NULL);
}

static void *work(void *arg)
{
    kl_prefetch *p = arg;
    kl_pool *pool = kl_pool_new(), *outer = pool ? kl_pool_enter(pool) : NULL;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stops && (p->paused || p->wanted < 1 || p->count == p->depth))
            pthread_cond_wait(&p->changed, &p->lock);
        if (p->stops)
            break;
        item *it = &p->items[(p->first + p->count) % p->depth];
        p->wanted--;
        pthread_mutex_unlock(&p->lock);
        make_item(p, it);
        pthread_mutex_lock(&p->lock);
        p->count++;
        p->paused = it->end || it->error.status;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    if (pool) {
        kl_pool_enter(outer);
        kl_pool_close(pool);
    }
    return NULL;
}

/* Signals go to the host's threads. */
static bool start_thread(kl_prefetch *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool good = pthread_create(&p->thread, NULL, work, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good;
}

kl_prefetch *kl_prefetch_new(kl_source *source, int64_t depth)
{
    kl_prefetch *p = kl_calloc(1, sizeof *p + (size_t)depth * sizeof *p->items);
    if (!p)
        return NULL;
    p->source = source;
    p->depth = depth;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    source->ahead = true;
    if (start_thread(p))
        return p;
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    kl_free(p);
    kl_error(KL_ERROR_STATE, "kl_fit: the thread for prefetching can't be started");
    return NULL;
}

void kl_prefetch_allow(kl_prefetch *p, int64_t batches)
{
    pthread_mutex_lock(&p->lock);
    p->wanted = batches;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

kl_status kl_prefetch_next(kl_prefetch *p, kl_step_batch *batch, bool *end)
{
    drop_batch(&p->taken);
    pthread_mutex_lock(&p->lock);
    while (!p->count)
        pthread_cond_wait(&p->changed, &p->lock);
    /* The item's lists change places, so that their memory is used again. */
    item *it = &p->items[p->first], before = p->taken;
    p->taken = *it;
    *it = before;
    p->first = (p->first + 1) % p->depth;
    p->count--;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    *end = p->taken.end;
    *batch = p->taken.batch;
    if (!p->taken.error.status)
        return KL_OK;
    return kl_error(p->taken.error.status, "%s", p->taken.error.message);
}

kl_status kl_prefetch_restart(kl_prefetch *p)
{
    pthread_mutex_lock(&p->lock);
    p->wanted = 0;
    p->paused = false;
    kl_status status = kl_source_restart(p->source);
    pthread_mutex_unlock(&p->lock);
    return status;
}

void kl_prefetch_free(kl_prefetch *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stops = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    /* Batches that nobody took were not drawn for. */
    int at = 0;
    if (p->count && p->source->preprocessing && p->taken.draws.count)
        set_draws(p->source->preprocessing, &p->taken.draws, &at);
    for (int64_t i = 0; i < p->depth; i++) {
        drop_batch(&p->items[i]);
        kl_free(p->items[i].draws.at);
    }
    drop_batch(&p->taken);
    kl_free(p->taken.draws.at);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    kl_free(p);
}
