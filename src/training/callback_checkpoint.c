/* ModelCheckpoint. In no table of names, so that only programs that use it link saving. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "klayers/saving.h"
#include "training/training.h"

typedef kl_callback_model_checkpoint_args checkpoint_args;
typedef struct checkpoint_state {
    checkpoint_args args;
    bool up;
    double best;
    int64_t batches; /* since the last save */
} checkpoint_state;

static const kl_field checkpoint_fields[] = {
    {.name = "filepath",
     .type = KL_FIELD_STRING,
     .offset = offsetof(checkpoint_args, filepath),
     .flags = KL_FIELD_REQUIRED},
    {.name = "monitor",
     .type = KL_FIELD_STRING,
     .offset = offsetof(checkpoint_args, monitor),
     .def = "val_loss"},
    {.name = "save_best_only",
     .type = KL_FIELD_BOOL,
     .offset = offsetof(checkpoint_args, save_best_only)},
    {.name = "save_weights_only",
     .type = KL_FIELD_BOOL,
     .offset = offsetof(checkpoint_args, save_weights_only)},
    {.name = "mode",
     .type = KL_FIELD_STRING,
     .offset = offsetof(checkpoint_args, mode),
     .def = "auto",
     .choices = "auto|min|max"},
    {.name = "save_freq",
     .type = KL_FIELD_INT,
     .offset = offsetof(checkpoint_args, save_freq),
     .min = 1,
     .max = 1e18,
     .flags = KL_FIELD_OPTIONAL},
    {.name = "initial_value_threshold",
     .type = KL_FIELD_FLOAT,
     .offset = offsetof(checkpoint_args, initial_value_threshold),
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), part = strlen(end);
    return length >= part && !strcmp(text + length - part, end);
}

static kl_status checkpoint_init(void *self)
{
    const checkpoint_args *a = kl_object_state(self);
    const char *end = a->save_weights_only ? ".weights.h5" : ".keras";
    if (ends_in(a->filepath, end))
        return KL_OK;
    return kl_error(KL_ERROR_INVALID, "ModelCheckpoint: filepath must end in %s, got '%s'", end,
                    a->filepath);
}

/* Appends what stands for "{name:spec}"; spec is of the forms 02d, d and .2f. */
static kl_status put_value(kl_str *path, const char *name, const char *spec,
                           const kl_callback_event *event)
{
    char *end = NULL;
    if (!strcmp(name, "epoch")) {
        int width = *spec ? (int)strtol(spec, &end, 10) : 0;
        if ((end && strcmp(end, "d") != 0) || width < 0 || width > 20)
            return kl_error(KL_ERROR_FORMAT, "ModelCheckpoint: epoch can't be written as '%s'",
                            spec);
        kl_str_printf(path, "%0*lld", width, (long long)event->epoch + 1);
        return KL_OK;
    }
    double value = kl_logs_get(event->logs, name, NAN);
    if (isnan(value))
        return kl_error(KL_ERROR_NOT_FOUND, "ModelCheckpoint: there is no value '%s' for the path",
                        name);
    int digits = 6;
    if (*spec) {
        digits = spec[0] == '.' ? (int)strtol(spec + 1, &end, 10) : -1;
        if (digits < 0 || digits > 20 || strcmp(end, "f") != 0)
            return kl_error(KL_ERROR_FORMAT, "ModelCheckpoint: %s can't be written as '%s'", name,
                            spec);
    }
    kl_str_printf(path, "%.*f", digits, value);
    return KL_OK;
}

/* The path with its places filled, to be freed; NULL on error. */
static char *fill_path(const char *template, const kl_callback_event *event)
{
    kl_str path = {0};
    kl_status status = KL_OK;
    while (!status && *template) {
        size_t plain = strcspn(template, "{");
        kl_str_append_n(&path, template, plain);
        template += plain;
        if (!*template)
            break;
        char place[100];
        size_t length = strcspn(template, "}");
        if (!template[length] || length >= sizeof place) {
            status = kl_error(KL_ERROR_FORMAT, "ModelCheckpoint: a { of the path is not closed");
            break;
        }
        memcpy(place, template + 1, length - 1);
        place[length - 1] = 0;
        char *colon = strchr(place, ':');
        if (colon)
            *colon = 0;
        status = put_value(&path, place, colon ? colon + 1 : "", event);
        template += length + 1;
    }
    if (!status)
        return kl_str_take(&path);
    kl_str_free(&path);
    return NULL;
}

static kl_status save(const checkpoint_state *s, kl_callback_event *event)
{
    char *path = fill_path(s->args.filepath, event);
    if (!path)
        return kl_last_status();
    kl_status status = s->args.save_weights_only ? kl_save_weights(event->model, path)
                                                 : kl_save_model(event->model, path);
    if (!status && s->args.verbose)
        printf("Epoch %lld: saving model to %s\n", (long long)event->epoch + 1, path);
    kl_free(path);
    return status;
}

static kl_status save_if_better(checkpoint_state *s, kl_callback_event *event)
{
    if (!s->args.save_best_only)
        return save(s, event);
    double value = kl_logs_get(event->logs, s->args.monitor, NAN);
    if (isnan(value) || !(s->up ? value > s->best : value < s->best))
        return KL_OK;
    s->best = value;
    return save(s, event);
}

static kl_status checkpoint_begin(void *state, kl_callback_event *event)
{
    checkpoint_state *s = state;
    s->up = kl_monitor_goes_up(s->args.mode, s->args.monitor);
    s->best = s->up ? -INFINITY : INFINITY;
    if (!isnan(s->args.initial_value_threshold))
        s->best = s->args.initial_value_threshold;
    s->batches = 0;
    return KL_OK;
}

static kl_status checkpoint_batch_end(void *state, kl_callback_event *event)
{
    checkpoint_state *s = state;
    if (s->args.save_freq == KL_NONE || ++s->batches < s->args.save_freq)
        return KL_OK;
    s->batches = 0;
    return save_if_better(s, event);
}

static kl_status checkpoint_epoch_end(void *state, kl_callback_event *event)
{
    checkpoint_state *s = state;
    return s->args.save_freq == KL_NONE ? save_if_better(s, event) : KL_OK;
}

static const kl_callback_vtable checkpoint_class = {.size = sizeof(kl_callback_vtable),
                                                    .class_name = "ModelCheckpoint",
                                                    .state_size = sizeof(checkpoint_state),
                                                    .args_size = sizeof(checkpoint_args),
                                                    .fields = checkpoint_fields,
                                                    .init = checkpoint_init,
                                                    .on_train_begin = checkpoint_begin,
                                                    .on_batch_end = checkpoint_batch_end,
                                                    .on_epoch_end = checkpoint_epoch_end};

kl_callback *kl_callback_model_checkpoint_new(const kl_callback_model_checkpoint_args *args)
{
    kl_training_use();
    if (!args) {
        kl_error_null("kl_callback_model_checkpoint", "args");
        return NULL;
    }
    return kl_object_new(KL_KIND_CALLBACK, (const kl_class *)&checkpoint_class, args);
}

kl_callback_model_checkpoint_args kl_callback_model_checkpoint_defaults(void)
{
    return (checkpoint_args){
        .size = sizeof(checkpoint_args), .mark = kl_error_count(), KL_MODEL_CHECKPOINT_DEFAULTS};
}
