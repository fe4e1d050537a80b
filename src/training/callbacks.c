/* Callbacks of fit. */
#include "klayers/callbacks.h"
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "tensor/tensor.h"
#include "training/training.h"

double kl_logs_get(const kl_logs *logs, const char *name, double otherwise)
{
    for (int i = 0; logs && name && i < logs->count; i++)
        if (!strcmp(logs->names[i], name))
            return logs->values[i];
    return otherwise;
}

static kl_callback *make(const char *function, const kl_callback_vtable *cls, const void *args)
{
    kl_training_use();
    if (!args) {
        kl_error_null(function, "args");
        return NULL;
    }
    return kl_object_new(KL_KIND_CALLBACK, (const kl_class *)cls, args);
}

#define FIELD(T, member, kind)                                                                     \
    {                                                                                              \
        .name = #member, .type = KL_FIELD_##kind, .offset = offsetof(T, member)                    \
    }
#define CALLBACK_HEAD(name, T, S)                                                                  \
    .size = sizeof(kl_callback_vtable), .class_name = name, .state_size = sizeof(S),               \
    .args_size = sizeof(T)

/* ---- Functions of one's own ----------------------------------------------------------------- */

typedef kl_callback_lambda_args lambda_args;
static const kl_field lambda_fields[] = {
    FIELD(lambda_args, on_train_begin, POINTER), FIELD(lambda_args, on_train_end, POINTER),
    FIELD(lambda_args, on_epoch_begin, POINTER), FIELD(lambda_args, on_epoch_end, POINTER),
    FIELD(lambda_args, on_batch_begin, POINTER), FIELD(lambda_args, on_batch_end, POINTER),
    FIELD(lambda_args, user, POINTER),           {0}};
#define LAMBDA(slot)                                                                               \
    static kl_status lambda_##slot(void *state, kl_callback_event *event)                          \
    {                                                                                              \
        const lambda_args *a = state;                                                              \
        return a->slot ? a->slot(a->user, event) : KL_OK;                                          \
    }
LAMBDA(on_train_begin)
LAMBDA(on_train_end)
LAMBDA(on_epoch_begin)
LAMBDA(on_epoch_end)
LAMBDA(on_batch_begin)
LAMBDA(on_batch_end)
static const kl_callback_vtable lambda_class = {
    CALLBACK_HEAD("LambdaCallback", lambda_args, lambda_args),
    .fields = lambda_fields,
    .on_train_begin = lambda_on_train_begin,
    .on_train_end = lambda_on_train_end,
    .on_epoch_begin = lambda_on_epoch_begin,
    .on_epoch_end = lambda_on_epoch_end,
    .on_batch_begin = lambda_on_batch_begin,
    .on_batch_end = lambda_on_batch_end};

kl_callback *kl_callback_lambda_new(const kl_callback_lambda_args *args)
{
    return make("kl_callback_lambda", &lambda_class, args);
}

/* ---- Watching a value ----------------------------------------------------------------------- */

/* Whether larger is better: asked for, or told by the name as in Keras. */
bool kl_monitor_goes_up(const char *mode, const char *monitor)
{
    if (!strcmp(mode, "max"))
        return true;
    static const char *const ups[] = {"acc",   "auc", "precision", "recall",
                                      "fbeta", "f1",  "iou",       "io_u"};
    for (size_t i = 0; !strcmp(mode, "auto") && i < sizeof ups / sizeof *ups; i++)
        if (strstr(monitor, ups[i]))
            return true;
    return false;
}

static bool is_better(bool up, double value, double best, double min_delta)
{
    return up ? value - min_delta > best : value + min_delta < best;
}

#define MODE_FIELD(T)                                                                              \
    {                                                                                              \
        .name = "mode", .type = KL_FIELD_STRING, .offset = offsetof(T, mode), .def = "auto",       \
        .choices = "auto|min|max"                                                                  \
    }
#define MONITOR_FIELD(T)                                                                           \
    {                                                                                              \
        .name = "monitor", .type = KL_FIELD_STRING, .offset = offsetof(T, monitor),                \
        .def = "val_loss"                                                                          \
    }

/* ---- EarlyStopping -------------------------------------------------------------------------- */

typedef kl_callback_early_stopping_args stopping_args;
typedef struct stopping_state {
    stopping_args args;
    bool up;
    double best;
    int64_t wait;
    kl_tensor **weights; /* held copies of the best */
    int weight_count;
} stopping_state;

static const kl_field stopping_fields[] = {MONITOR_FIELD(stopping_args),
                                           FIELD(stopping_args, min_delta, FLOAT),
                                           FIELD(stopping_args, patience, INT),
                                           MODE_FIELD(stopping_args),
                                           {.name = "baseline",
                                            .type = KL_FIELD_FLOAT,
                                            .offset = offsetof(stopping_args, baseline),
                                            .flags = KL_FIELD_OPTIONAL},
                                           FIELD(stopping_args, restore_best_weights, BOOL),
                                           FIELD(stopping_args, start_from_epoch, INT),
                                           {0}};

static void forget_weights(stopping_state *s)
{
    for (int i = 0; s->weights && i < s->weight_count; i++)
        kl_unhold(s->weights[i]);
    kl_free(s->weights);
    s->weights = NULL;
    s->weight_count = 0;
}

static void stopping_destroy(void *self)
{
    forget_weights(kl_object_state(self));
}

static kl_status stopping_begin(void *state, kl_callback_event *event)
{
    stopping_state *s = state;
    forget_weights(s);
    s->args.min_delta = fabs(s->args.min_delta);
    s->up = kl_monitor_goes_up(s->args.mode, s->args.monitor);
    s->best = s->up ? -INFINITY : INFINITY;
    s->wait = 0;
    return KL_OK;
}

static kl_status keep_weights(stopping_state *s, const kl_model *model)
{
    int count = kl_layer_weight_count(model);
    if (!s->weights && !(s->weights = kl_calloc((size_t)count + 1, sizeof *s->weights)))
        return KL_ERROR_MEMORY;
    for (int i = 0; i < count; i++) {
        const kl_tensor *value = kl_weight_value(kl_layer_weight(model, i));
        if (i < s->weight_count) {
            kl_status status = kl_tensor_assign(s->weights[i], value);
            if (status)
                return status;
            continue;
        }
        kl_tensor *copy = kl_copy(value, (kl_dtype)value->dtype);
        s->weights[i] = kl_hold(copy);
        kl_release(copy);
        if (!copy)
            return kl_last_status();
        s->weight_count++;
    }
    return KL_OK;
}

static kl_status stopping_epoch_end(void *state, kl_callback_event *event)
{
    stopping_state *s = state;
    double value = kl_logs_get(event->logs, s->args.monitor, NAN);
    if (isnan(value) || event->epoch < s->args.start_from_epoch)
        return KL_OK;
    if (s->args.restore_best_weights && !s->weights) {
        kl_status status = keep_weights(s, event->model);
        if (status)
            return status;
    }
    s->wait++;
    if (is_better(s->up, value, s->best, s->args.min_delta)) {
        s->best = value;
        if (s->args.restore_best_weights) {
            kl_status status = keep_weights(s, event->model);
            if (status)
                return status;
        }
        if (isnan(s->args.baseline) || is_better(s->up, value, s->args.baseline, s->args.min_delta))
            s->wait = 0;
        return KL_OK;
    }
    if (s->wait >= s->args.patience && event->epoch > 0) {
        event->stop = true;
        if (s->args.verbose)
            printf("Epoch %lld: early stopping\n", (long long)event->epoch + 1);
    }
    return KL_OK;
}

static kl_status stopping_end(void *state, kl_callback_event *event)
{
    stopping_state *s = state;
    kl_status status = KL_OK;
    if (s->args.restore_best_weights && s->weights)
        status = kl_layer_set_weights(event->model, s->weight_count, s->weights);
    forget_weights(s);
    return status;
}

static const kl_callback_vtable stopping_class = {
    CALLBACK_HEAD("EarlyStopping", stopping_args, stopping_state),
    .fields = stopping_fields,
    .destroy = stopping_destroy,
    .on_train_begin = stopping_begin,
    .on_train_end = stopping_end,
    .on_epoch_end = stopping_epoch_end};

kl_callback *kl_callback_early_stopping_new(const kl_callback_early_stopping_args *args)
{
    return make("kl_callback_early_stopping", &stopping_class, args);
}

kl_callback_early_stopping_args kl_callback_early_stopping_defaults(void)
{
    return (stopping_args){
        .size = sizeof(stopping_args), .mark = kl_error_count(), KL_EARLY_STOPPING_DEFAULTS};
}

/* ---- ReduceLROnPlateau ---------------------------------------------------------------------- */

typedef kl_callback_reduce_lr_on_plateau_args plateau_args;
typedef struct plateau_state {
    plateau_args args;
    bool up;
    double best;
    int64_t wait, cooldown;
} plateau_state;

static const kl_field plateau_fields[] = {MONITOR_FIELD(plateau_args),
                                          {.name = "factor",
                                           .type = KL_FIELD_FLOAT,
                                           .offset = offsetof(plateau_args, factor),
                                           .def = "0.1",
                                           .min = 0,
                                           .max = 0.9999999},
                                          FIELD(plateau_args, patience, INT),
                                          MODE_FIELD(plateau_args),
                                          FIELD(plateau_args, min_delta, FLOAT),
                                          FIELD(plateau_args, cooldown, INT),
                                          FIELD(plateau_args, min_lr, FLOAT),
                                          {0}};

static kl_status plateau_begin(void *state, kl_callback_event *event)
{
    plateau_state *s = state;
    s->up = kl_monitor_goes_up(s->args.mode, s->args.monitor);
    s->best = s->up ? -INFINITY : INFINITY;
    s->wait = s->cooldown = 0;
    return KL_OK;
}

static kl_status plateau_epoch_end(void *state, kl_callback_event *event)
{
    plateau_state *s = state;
    kl_optimizer *optimizer = kl_model_optimizer(event->model);
    double value = kl_logs_get(event->logs, s->args.monitor, NAN);
    if (isnan(value) || !optimizer)
        return KL_OK;
    if (s->cooldown > 0) {
        s->cooldown--;
        s->wait = 0;
    }
    if (is_better(s->up, value, s->best, s->args.min_delta)) {
        s->best = value;
        s->wait = 0;
        return KL_OK;
    }
    if (s->cooldown > 0 || ++s->wait < s->args.patience)
        return KL_OK;
    double rate = kl_optimizer_learning_rate(optimizer);
    if (rate <= s->args.min_lr)
        return KL_OK;
    s->cooldown = s->args.cooldown;
    s->wait = 0;
    return kl_optimizer_set_learning_rate(optimizer, fmax(rate * s->args.factor, s->args.min_lr));
}

static const kl_callback_vtable plateau_class = {
    CALLBACK_HEAD("ReduceLROnPlateau", plateau_args, plateau_state), .fields = plateau_fields,
    .on_train_begin = plateau_begin, .on_epoch_end = plateau_epoch_end};

kl_callback *kl_callback_reduce_lr_on_plateau_new(const kl_callback_reduce_lr_on_plateau_args *args)
{
    return make("kl_callback_reduce_lr_on_plateau", &plateau_class, args);
}

kl_callback_reduce_lr_on_plateau_args kl_callback_reduce_lr_on_plateau_defaults(void)
{
    return (plateau_args){
        .size = sizeof(plateau_args), .mark = kl_error_count(), KL_REDUCE_LR_DEFAULTS};
}

/* ---- LearningRateScheduler ------------------------------------------------------------------ */

typedef kl_callback_learning_rate_scheduler_args scheduler_args;
static const kl_field scheduler_fields[] = {
    FIELD(scheduler_args, schedule, POINTER), FIELD(scheduler_args, user, POINTER), {0}};

static kl_status scheduler_epoch_begin(void *state, kl_callback_event *event)
{
    const scheduler_args *a = state;
    kl_optimizer *optimizer = kl_model_optimizer(event->model);
    if (!a->schedule)
        return kl_error_null("LearningRateScheduler", "schedule");
    if (!optimizer)
        return KL_OK;
    return kl_optimizer_set_learning_rate(
        optimizer, a->schedule(event->epoch, kl_optimizer_learning_rate(optimizer), a->user));
}

static const kl_callback_vtable scheduler_class = {
    CALLBACK_HEAD("LearningRateScheduler", scheduler_args, scheduler_args),
    .fields = scheduler_fields, .on_epoch_begin = scheduler_epoch_begin};

kl_callback *kl_callback_learning_rate_scheduler_new(
    const kl_callback_learning_rate_scheduler_args *args)
{
    return make("kl_callback_learning_rate_scheduler", &scheduler_class, args);
}

/* ---- CSVLogger ------------------------------------------------------------------------------ */

typedef kl_callback_csv_logger_args csv_args;
typedef struct csv_state {
    csv_args args;
    FILE *file;
    bool headed;
} csv_state;
static const kl_field csv_fields[] = {{.name = "filename",
                                       .type = KL_FIELD_STRING,
                                       .offset = offsetof(csv_args, filename),
                                       .flags = KL_FIELD_REQUIRED},
                                      {.name = "separator",
                                       .type = KL_FIELD_STRING,
                                       .offset = offsetof(csv_args, separator),
                                       .def = ","},
                                      FIELD(csv_args, append, BOOL),
                                      {0}};

static void csv_destroy(void *self)
{
    csv_state *s = kl_object_state(self);
    if (s->file)
        fclose(s->file);
}

static kl_status csv_begin(void *state, kl_callback_event *event)
{
    csv_state *s = state;
    if (s->file)
        fclose(s->file);
    s->file = fopen(s->args.filename, s->args.append ? "a" : "w");
    if (!s->file)
        return kl_error(KL_ERROR_IO, "CSVLogger: %s can't be opened for writing", s->args.filename);
    fseek(s->file, 0, SEEK_END);
    s->headed = ftell(s->file) > 0;
    return KL_OK;
}

static kl_status csv_epoch_end(void *state, kl_callback_event *event)
{
    csv_state *s = state;
    const char *separator = s->args.separator ? s->args.separator : ",";
    if (!s->headed) {
        fprintf(s->file, "epoch");
        for (int i = 0; i < event->logs->count; i++)
            fprintf(s->file, "%s%s", separator, event->logs->names[i]);
        fprintf(s->file, "\n");
        s->headed = true;
    }
    fprintf(s->file, "%lld", (long long)event->epoch);
    for (int i = 0; i < event->logs->count; i++)
        fprintf(s->file, "%s%.17g", separator, event->logs->values[i]);
    fprintf(s->file, "\n");
    if (fflush(s->file))
        return kl_error(KL_ERROR_IO, "CSVLogger: writing %s failed", s->args.filename);
    return KL_OK;
}

static kl_status csv_end(void *state, kl_callback_event *event)
{
    csv_state *s = state;
    bool failed = s->file && fclose(s->file);
    s->file = NULL;
    return failed ? kl_error(KL_ERROR_IO, "CSVLogger: writing %s failed", s->args.filename) : KL_OK;
}

static const kl_callback_vtable csv_class = {CALLBACK_HEAD("CSVLogger", csv_args, csv_state),
                                             .fields = csv_fields,
                                             .destroy = csv_destroy,
                                             .on_train_begin = csv_begin,
                                             .on_train_end = csv_end,
                                             .on_epoch_end = csv_epoch_end};

kl_callback *kl_callback_csv_logger_new(const kl_callback_csv_logger_args *args)
{
    return make("kl_callback_csv_logger", &csv_class, args);
}

/* ---- TerminateOnNaN ------------------------------------------------------------------------- */

typedef kl_callback_terminate_on_nan_args nan_args;
static const kl_field nan_fields[] = {FIELD(nan_args, raise_error, BOOL), {0}};

static kl_status nan_batch_end(void *state, kl_callback_event *event)
{
    const nan_args *a = state;
    if (isfinite(kl_logs_get(event->logs, "loss", 0)))
        return KL_OK;
    if (a->raise_error)
        return kl_error(KL_ERROR_STOPPED, "batch %lld: invalid loss, terminating training",
                        (long long)event->batch);
    event->stop = true;
    return KL_OK;
}

static const kl_callback_vtable nan_class = {CALLBACK_HEAD("TerminateOnNaN", nan_args, nan_args),
                                             .fields = nan_fields, .on_batch_end = nan_batch_end};

kl_callback *kl_callback_terminate_on_nan_new(const kl_callback_terminate_on_nan_args *args)
{
    return make("kl_callback_terminate_on_nan", &nan_class, args);
}

/* ---- The table ------------------------------------------------------------------------------ */

static const kl_callback_vtable *const callbacks[] = {&stopping_class, &plateau_class, &csv_class,
                                                      &nan_class};

const kl_class *kl_builtin_callback(const char *name)
{
    for (size_t i = 0; i < sizeof callbacks / sizeof *callbacks; i++)
        if (kl_class_is_named((const kl_class *)callbacks[i], name))
            return (const kl_class *)callbacks[i];
    return NULL;
}
