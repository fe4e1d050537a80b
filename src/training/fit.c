/* The loops of fit, evaluate and the calls on one batch. */
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/random.h"
#include "tensor/tensor.h"
#include "training/prefetch.h"

typedef struct fit_run {
    const kl_fit_args *args;
    kl_training_state *t;
    kl_source data, validation;
    kl_prefetch *prefetch; /* NULL: batches are made when they are needed */
    bool validates;
    kl_history *history;
    kl_callback_event event;
    kl_logs logs;
    int64_t steps; /* an epoch's, -1: unknown */
    /* The epoch's logs with those of the validation, owned names. */
    const char **names;
    double *values;
    char (*labels)[128];
    int capacity;
} fit_run;

static int callback_count(const kl_fit_args *args)
{
    int count = 0;
    while (count < KL_MAX_LIST && args->callbacks[count])
        count++;
    return count;
}

/* Calls the slot at `offset` of every callback. */
static kl_status notify(fit_run *run, size_t offset)
{
    for (int i = 0; i < KL_MAX_LIST && run->args->callbacks[i]; i++) {
        const kl_object *callback = (const kl_object *)run->args->callbacks[i];
        kl_status (*function)(void *state, kl_callback_event *event);
        memcpy(&function, (const char *)callback->cls + offset, sizeof function);
        kl_status status = function ? function(callback->state, &run->event) : KL_OK;
        if (status)
            return status;
    }
    return KL_OK;
}
#define NOTIFY(run, slot) notify(run, offsetof(kl_callback_vtable, slot))

/* ---- Evaluation ----------------------------------------------------------------------------- */

/* Runs over a source without updates; metrics then hold the result. */
static kl_status evaluate(kl_training_state *t, kl_source *source, int64_t steps,
                          kl_progress *progress, int64_t *done)
{
    *done = 0;
    kl_training_reset(t);
    kl_status status = kl_source_restart(source);
    while (!status && (steps < 0 || *done < steps)) {
        kl_scope *scope = kl_scope_begin();
        kl_step_batch batch;
        bool end = false;
        status = scope ? kl_source_next(source, &batch, &end) : kl_last_status();
        if (!status && !end)
            status = kl_training_step(t, &batch, false, NULL);
        if (scope)
            kl_scope_end_keeping(scope, 0, NULL);
        if (end)
            break;
        ++*done;
        if (!status && progress && progress->bar && !(status = kl_training_logs(t))) {
            const kl_logs logs = {t->log_count, t->log_names, t->log_values};
            kl_progress_batch(progress, *done, &logs);
        }
    }
    if (!status && !*done)
        status = kl_error(KL_ERROR_SHAPE, "%s: the data has no batches", t->model->name);
    return status ? status : kl_training_logs(t);
}

/* A pool for the batches of a loop, so that they repeat in the same memory. */
typedef struct loop_pool {
    kl_pool *pool, *outer;
} loop_pool;

static kl_status enter_pool(loop_pool *p)
{
    p->pool = kl_pool_new();
    if (!p->pool)
        return kl_last_status();
    p->outer = kl_pool_enter(p->pool);
    return KL_OK;
}

static void leave_pool(loop_pool *p)
{
    kl_pool_enter(p->outer);
    kl_pool_close(p->pool);
}

kl_evaluate_args kl_evaluate_defaults(void)
{
    return (kl_evaluate_args){
        .size = sizeof(kl_evaluate_args), .mark = kl_error_count(), KL_EVALUATE_DEFAULTS};
}

kl_history *kl_evaluate_with(const kl_evaluate_args *args)
{
    if (!args || !kl_args_usable("kl_evaluate", args, args->size, sizeof *args, args->mark)) {
        if (!args)
            kl_error_null("kl_evaluate", "args");
        return NULL;
    }
    kl_training_state *t = kl_training_of("kl_evaluate", args->model);
    kl_source source;
    if (!t ||
        kl_source_open(&source, "kl_evaluate", args->x, args->y, args->sample_weight, args->inputs,
                       args->targets, args->sample_weights, &args->data, args->batch_size))
        return NULL;
    loop_pool pool = {0};
    kl_status status = enter_pool(&pool);
    source.preprocessing = args->preprocessing;
    kl_history *result = status ? NULL : kl_history_new();
    int64_t steps = args->steps == KL_NONE ? -1 : args->steps, done;
    if (result) {
        kl_progress progress;
        kl_progress_epoch(&progress, args->verbose, 0, 0,
                          steps < 0 ? kl_source_batches(&source) : steps);
        status = evaluate(t, &source, steps, &progress, &done);
        for (int i = 0; !status && i < t->log_count; i++)
            status = kl_history_add(result, "", t->log_names[i], t->log_values[i]);
        if (!status) {
            const kl_logs logs = {t->log_count, t->log_names, t->log_values};
            kl_progress_end(&progress, done, &logs);
        }
    }
    if (pool.pool)
        leave_pool(&pool);
    kl_source_close(&source);
    if (!status && result)
        return result;
    kl_history_free(result);
    return NULL;
}

/* ---- Fit ------------------------------------------------------------------------------------ */

kl_fit_args kl_fit_defaults(void)
{
    return (kl_fit_args){.size = sizeof(kl_fit_args), .mark = kl_error_count(), KL_FIT_DEFAULTS};
}

/* The last part of the arrays becomes the validation's. */
static kl_status split_data(fit_run *run)
{
    double part = run->args->validation_split;
    if (run->data.data)
        return kl_error(KL_ERROR_INVALID, "kl_fit: validation_split needs arrays, not a generator");
    int64_t samples = run->data.samples;
    int64_t at = (int64_t)floor((double)samples * (1 - part));
    if (!(part < 1) || at < 1 || at >= samples)
        return kl_error(KL_ERROR_RANGE,
                        "kl_fit: training data of %lld samples is not enough for "
                        "validation_split=%g",
                        (long long)samples, part);
    kl_source *v = &run->validation;
    const kl_step_batch *a = &run->data.arrays;
    int64_t size = run->args->validation_batch_size;
    kl_status status = kl_source_open(v, "kl_fit", NULL, NULL, NULL, a->x, a->y, a->w, NULL,
                                      size == KL_NONE ? run->args->batch_size : size);
    if (status)
        return status;
    run->validates = true;
    status = kl_source_slice(v, at, samples);
    return status ? status : kl_source_slice(&run->data, 0, at);
}

static kl_status open_validation(fit_run *run)
{
    const kl_fit_args *a = run->args;
    bool given = a->validation_data[0] || a->validation_inputs[0] || a->validation_source.next;
    if (!given)
        return a->validation_split != 0 ? split_data(run) : KL_OK;
    kl_tensor *const none[KL_MAX_LIST] = {0};
    int64_t size = a->validation_batch_size == KL_NONE ? a->batch_size : a->validation_batch_size;
    kl_status status =
        kl_source_open(&run->validation, "kl_fit: validation_data", a->validation_data[0],
                       a->validation_data[1], a->validation_data[2], a->validation_inputs,
                       a->validation_targets, none, &a->validation_source, size);
    run->validates = !status;
    return status;
}

static kl_status check_args(const kl_fit_args *a)
{
    if (a->epochs < 1)
        return kl_error(KL_ERROR_RANGE, "kl_fit: epochs must be at least 1, got %lld",
                        (long long)a->epochs);
    if (a->initial_epoch < 0)
        return kl_error(KL_ERROR_RANGE, "kl_fit: initial_epoch must be at least 0, got %lld",
                        (long long)a->initial_epoch);
    if (!(a->validation_split >= 0 && a->validation_split < 1))
        return kl_error(KL_ERROR_RANGE, "kl_fit: validation_split must be from 0 to 1, got %g",
                        a->validation_split);
    if (a->validation_freq < 1)
        return kl_error(KL_ERROR_RANGE, "kl_fit: validation_freq must be at least 1, got %lld",
                        (long long)a->validation_freq);
    if (a->steps_per_epoch != KL_NONE && a->steps_per_epoch < 1)
        return kl_error(KL_ERROR_RANGE, "kl_fit: steps_per_epoch must be at least 1, got %lld",
                        (long long)a->steps_per_epoch);
    if (a->prefetch != KL_NONE && (a->prefetch < 0 || a->prefetch > KL_MOST_PREFETCH))
        return kl_error(KL_ERROR_RANGE, "kl_fit: prefetch must be from 0 to %d, got %lld",
                        KL_MOST_PREFETCH, (long long)a->prefetch);
    if (a->preprocess_targets && !a->preprocessing)
        return kl_error(KL_ERROR_INVALID, "kl_fit: preprocess_targets needs preprocessing");
    for (int i = 0; i < callback_count(a); i++)
        if (kl_object_kind(a->callbacks[i]) != KL_KIND_CALLBACK)
            return kl_error(KL_ERROR_INVALID, "kl_fit: callbacks[%d] is no callback", i);
    return KL_OK;
}

static kl_status open_run(fit_run *run)
{
    const kl_fit_args *a = run->args;
    kl_status status = check_args(a);
    if (!status)
        status = kl_source_open(&run->data, "kl_fit", a->x, a->y, a->sample_weight, a->inputs,
                                a->targets, a->sample_weights, &a->data, a->batch_size);
    if (!status)
        status = open_validation(run);
    if (status)
        return status;
    run->data.class_weight = a->class_weight;
    run->data.preprocessing = run->validation.preprocessing = a->preprocessing;
    run->data.preprocess_targets = run->validation.preprocess_targets = a->preprocess_targets;
    run->data.trains = true;
    if (a->preprocessing)
        run->data.stream = kl_random_next_key();
    if (a->shuffle && !run->data.data) {
        run->data.order = kl_malloc_array((size_t)run->data.samples, sizeof *run->data.order);
        if (!run->data.order)
            return KL_ERROR_MEMORY;
    }
    run->steps = a->steps_per_epoch == KL_NONE ? kl_source_batches(&run->data) : a->steps_per_epoch;
    run->history = kl_history_new();
    run->event = (kl_callback_event){.model = a->model, .epochs = a->epochs, .steps = run->steps};
    return run->history ? kl_source_restart(&run->data) : KL_ERROR_MEMORY;
}

/* One batch; *end at the data's end. */
static kl_status train_batch(fit_run *run, bool *end)
{
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return kl_last_status();
    kl_step_batch batch;
    kl_status status = run->prefetch ? kl_prefetch_next(run->prefetch, &batch, end)
                                     : kl_source_next(&run->data, &batch, end);
    if (!status && !*end) {
        run->event.logs = NULL;
        status = NOTIFY(run, on_batch_begin);
        if (!status)
            status = kl_training_step(run->t, &batch, true, NULL);
    }
    kl_scope_end_keeping(scope, 0, NULL);
    return status;
}

static kl_status report_batch(fit_run *run, kl_progress *progress, int64_t done)
{
    if (!run->args->callbacks[0] && !progress->bar)
        return KL_OK;
    kl_status status = kl_training_logs(run->t);
    if (status)
        return status;
    const kl_logs logs = {run->t->log_count, run->t->log_names, run->t->log_values};
    run->event.logs = &logs;
    run->event.batch = done - 1;
    kl_progress_batch(progress, done, &logs);
    status = NOTIFY(run, on_batch_end);
    run->event.logs = NULL;
    return status;
}

static kl_status train_epoch(fit_run *run, kl_progress *progress, int64_t *done)
{
    *done = 0;
    kl_training_reset(run->t);
    int64_t most = run->args->steps_per_epoch == KL_NONE ? INT64_MAX : run->args->steps_per_epoch;
    kl_status status = KL_OK;
    if (run->prefetch)
        kl_prefetch_allow(run->prefetch, most);
    while (!status && *done < most) {
        bool end = false;
        status = train_batch(run, &end);
        if (end) {
            status =
                run->prefetch ? kl_prefetch_restart(run->prefetch) : kl_source_restart(&run->data);
            break;
        }
        ++*done;
        if (!status)
            status = report_batch(run, progress, *done);
        if (run->event.stop && run->args->steps_per_epoch != KL_NONE)
            break;
    }
    if (!status && !*done)
        status = kl_error(KL_ERROR_SHAPE, "kl_fit: the data has no batches");
    return status;
}

/* Copies the present logs behind the epoch's, under a prefix. */
static kl_status collect_logs(fit_run *run, const char *prefix)
{
    kl_training_state *t = run->t;
    kl_status status = kl_training_logs(t);
    if (status)
        return status;
    int most = run->logs.count + t->log_count;
    if (most > run->capacity) {
        int capacity = 2 * most;
        void *names = kl_malloc_array((size_t)capacity, sizeof *run->names);
        void *values = kl_realloc_array(run->values, (size_t)capacity, sizeof *run->values);
        if (values)
            run->values = values;
        void *labels = kl_realloc_array(run->labels, (size_t)capacity, sizeof *run->labels);
        if (labels)
            run->labels = labels;
        if (!names || !values || !labels) {
            kl_free(names);
            return KL_ERROR_MEMORY;
        }
        kl_free(run->names);
        run->names = names;
        run->capacity = capacity;
    }
    for (int i = 0; i < t->log_count; i++) {
        int at = run->logs.count++;
        snprintf(run->labels[at], sizeof run->labels[at], "%s%.100s", prefix, t->log_names[i]);
        run->values[at] = t->log_values[i];
        status = kl_history_add(run->history, prefix, t->log_names[i], t->log_values[i]);
        if (status)
            return status;
    }
    for (int i = 0; i < run->logs.count; i++)
        run->names[i] = run->labels[i];
    run->logs.names = run->names;
    run->logs.values = run->values;
    return KL_OK;
}

static kl_status run_epoch(fit_run *run, int64_t epoch)
{
    const kl_fit_args *a = run->args;
    kl_progress progress;
    int64_t done, validated;
    run->event.epoch = epoch;
    run->event.logs = NULL;
    kl_status status = NOTIFY(run, on_epoch_begin);
    if (status)
        return status;
    kl_progress_epoch(&progress, a->verbose, epoch, a->epochs, run->steps);
    status = train_epoch(run, &progress, &done);
    run->logs.count = 0;
    if (!status)
        status = collect_logs(run, "");
    if (!status && run->validates && (epoch + 1) % a->validation_freq == 0) {
        int64_t steps = a->validation_steps == KL_NONE ? -1 : a->validation_steps;
        status = evaluate(run->t, &run->validation, steps, NULL, &validated);
        if (!status)
            status = collect_logs(run, "val_");
    }
    if (status)
        return status;
    kl_progress_end(&progress, done, &run->logs);
    run->event.logs = &run->logs;
    status = NOTIFY(run, on_epoch_end);
    run->event.logs = NULL;
    return status;
}

static kl_status run_fit(fit_run *run)
{
    const kl_fit_args *a = run->args;
    loop_pool pool = {0};
    kl_status status = enter_pool(&pool);
    if (status)
        return status;
    int64_t depth = a->prefetch == KL_NONE ? (a->preprocessing ? 2 : 0) : a->prefetch;
    if (depth && !(run->prefetch = kl_prefetch_new(&run->data, depth)))
        status = kl_last_status();
    if (!status)
        status = NOTIFY(run, on_train_begin);
    for (int64_t epoch = a->initial_epoch; !status && epoch < a->epochs && !run->event.stop;
         epoch++)
        status = run_epoch(run, epoch);
    if (!status && run->t->optimizer)
        status = kl_optimizer_finalize(run->t->optimizer);
    if (!status) {
        run->event.logs = &run->logs;
        status = NOTIFY(run, on_train_end);
    }
    kl_prefetch_free(run->prefetch);
    leave_pool(&pool);
    return status;
}

kl_history *kl_fit_with(const kl_fit_args *args)
{
    kl_training_use();
    if (!args) {
        kl_error_null("kl_fit", "args");
        return NULL;
    }
    if (!args->size || args->size > sizeof *args) {
        kl_args_usable("kl_fit", args, args->size, sizeof *args, args->mark);
        return NULL;
    }
    for (int i = 0; i < callback_count(args); i++)
        kl_object_own(args->callbacks[i]);
    fit_run run = {.args = args};
    kl_status status = KL_ERROR_INVALID;
    if (kl_args_usable("kl_fit", args, args->size, sizeof *args, args->mark) &&
        (run.t = kl_training_of("kl_fit", args->model)))
        status = open_run(&run);
    if (!status)
        status = run_fit(&run);
    kl_source_close(&run.data);
    kl_source_close(&run.validation);
    for (int i = 0; i < callback_count(args); i++)
        kl_object_disown(args->callbacks[i]);
    kl_free(run.names);
    kl_free(run.values);
    kl_free(run.labels);
    if (!status)
        return run.history;
    kl_history_free(run.history);
    return NULL;
}

/* ---- One batch ------------------------------------------------------------------------------ */

static double on_batch(const char *function, const kl_batch_args *args, bool train)
{
    if (!args || !kl_args_usable(function, args, args->size, sizeof *args, args->mark)) {
        if (!args)
            kl_error_null(function, "args");
        return NAN;
    }
    kl_training_state *t = kl_training_of(function, args->model);
    kl_tensor *const weights[KL_MAX_LIST] = {0};
    kl_source source;
    if (!t || kl_source_open(&source, function, args->x, args->y, args->sample_weight, args->inputs,
                             args->targets, weights, NULL, INT64_MAX))
        return NAN;
    source.class_weight = args->class_weight;
    double loss = NAN;
    kl_scope *scope = kl_scope_begin();
    if (scope) {
        kl_step_batch batch;
        bool end;
        kl_training_reset(t);
        if (kl_source_next(&source, &batch, &end) || kl_training_step(t, &batch, train, &loss))
            loss = NAN;
        kl_scope_end_keeping(scope, 0, NULL);
    }
    kl_source_close(&source);
    return loss;
}

double kl_train_on_batch_with(const kl_batch_args *args)
{
    return on_batch("kl_train_on_batch", args, true);
}

double kl_test_on_batch_with(const kl_batch_args *args)
{
    return on_batch("kl_test_on_batch", args, false);
}
