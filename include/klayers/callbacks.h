/* Callbacks of fit: https://keras.io/api/callbacks/. */
#ifndef KLAYERS_CALLBACKS_H
#define KLAYERS_CALLBACKS_H

#include "klayers/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What an epoch or batch gave, by name; lent for the call. */
typedef struct kl_logs {
    int count;
    const char *const *names;
    const double *values;
} kl_logs;
/* The value of a name, or `otherwise`. */
KL_API double kl_logs_get(const kl_logs *logs, const char *name, double otherwise);

/* What a callback is called with. */
typedef struct kl_callback_event {
    kl_model *model;
    int64_t epoch;         /* from 0 */
    int64_t batch;         /* of the epoch, from 0; batch calls alone */
    int64_t epochs, steps; /* in all; steps is -1 while it isn't known */
    const kl_logs *logs;   /* NULL in the begin calls */
    bool stop;             /* to be set: training ends after this epoch (model.stop_training) */
} kl_callback_event;

/* Every slot MAY be NULL; a status other than KL_OK ends fit with it. `state` is the object's. */
typedef struct kl_callback_vtable {
    KL_CLASS_HEAD
    kl_status (*on_train_begin)(void *state, kl_callback_event *event);
    kl_status (*on_train_end)(void *state, kl_callback_event *event);
    kl_status (*on_epoch_begin)(void *state, kl_callback_event *event);
    kl_status (*on_epoch_end)(void *state, kl_callback_event *event);
    kl_status (*on_batch_begin)(void *state, kl_callback_event *event);
    kl_status (*on_batch_end)(void *state, kl_callback_event *event);
} kl_callback_vtable;

/* A callback of one's own functions, without a class (LambdaCallback); each may be NULL. */
typedef struct kl_callback_lambda_args {
    size_t size;
    unsigned mark;
    kl_status (*on_train_begin)(void *user, kl_callback_event *event);
    kl_status (*on_train_end)(void *user, kl_callback_event *event);
    kl_status (*on_epoch_begin)(void *user, kl_callback_event *event);
    kl_status (*on_epoch_end)(void *user, kl_callback_event *event);
    kl_status (*on_batch_begin)(void *user, kl_callback_event *event);
    kl_status (*on_batch_end)(void *user, kl_callback_event *event);
    void *user;
} kl_callback_lambda_args;
KL_API kl_callback *kl_callback_lambda_new(const kl_callback_lambda_args *args);

/* Ends training when `monitor` no longer gets better. */
typedef struct kl_callback_early_stopping_args {
    size_t size;
    unsigned mark;
    const char *monitor; /* "val_loss" */
    double min_delta;
    int64_t patience;
    const char *mode; /* "auto", "min" or "max" */
    double baseline;  /* KL_NONEF */
    bool restore_best_weights;
    int64_t start_from_epoch;
    int verbose;
} kl_callback_early_stopping_args;
KL_API kl_callback *kl_callback_early_stopping_new(const kl_callback_early_stopping_args *args);

/* Lowers the learning rate when `monitor` no longer gets better. */
typedef struct kl_callback_reduce_lr_on_plateau_args {
    size_t size;
    unsigned mark;
    const char *monitor; /* "val_loss" */
    double factor;       /* 0.1 */
    int64_t patience;    /* 10 */
    const char *mode;    /* "auto", "min" or "max" */
    double min_delta;    /* 0.0001 */
    int64_t cooldown;
    double min_lr;
    int verbose;
} kl_callback_reduce_lr_on_plateau_args;
KL_API kl_callback *kl_callback_reduce_lr_on_plateau_new(
    const kl_callback_reduce_lr_on_plateau_args *args);

/* Sets the learning rate at the start of every epoch. */
typedef struct kl_callback_learning_rate_scheduler_args {
    size_t size;
    unsigned mark;
    double (*schedule)(int64_t epoch, double learning_rate, void *user); /* required */
    void *user;
    int verbose;
} kl_callback_learning_rate_scheduler_args;
KL_API kl_callback *kl_callback_learning_rate_scheduler_new(
    const kl_callback_learning_rate_scheduler_args *args);

/* Writes a line an epoch into a file. */
typedef struct kl_callback_csv_logger_args {
    size_t size;
    unsigned mark;
    const char *filename;  /* required */
    const char *separator; /* "," */
    bool append;
} kl_callback_csv_logger_args;
KL_API kl_callback *kl_callback_csv_logger_new(const kl_callback_csv_logger_args *args);

/* Ends training when the loss is NaN or infinite. */
typedef struct kl_callback_terminate_on_nan_args {
    size_t size;
    unsigned mark;
    bool raise_error; /* fit then fails */
} kl_callback_terminate_on_nan_args;
KL_API kl_callback *kl_callback_terminate_on_nan_new(const kl_callback_terminate_on_nan_args *args);

/*
 * Saves the model, or its weights alone, during training. The path may hold {epoch}, {epoch:02d}
 * and names of logs such as {val_loss:.2f}; it ends in ".keras", with save_weights_only in
 * ".weights.h5".
 */
typedef struct kl_callback_model_checkpoint_args {
    size_t size;
    unsigned mark;
    const char *filepath; /* required */
    const char *monitor;  /* "val_loss"; for save_best_only */
    int verbose;
    bool save_best_only, save_weights_only;
    const char *mode;               /* "auto", "min" or "max" */
    int64_t save_freq;              /* batches between saves; KL_NONE: every epoch */
    double initial_value_threshold; /* KL_NONEF: none; else only what is better is saved */
} kl_callback_model_checkpoint_args;
KL_API kl_callback *kl_callback_model_checkpoint_new(const kl_callback_model_checkpoint_args *args);
KL_API kl_callback_model_checkpoint_args kl_callback_model_checkpoint_defaults(void);

#define KL_MODEL_CHECKPOINT_DEFAULTS                                                               \
    .monitor = "val_loss", .mode = "auto", .save_freq = KL_NONE, .initial_value_threshold = KL_NONEF
#define KL_EARLY_STOPPING_DEFAULTS .monitor = "val_loss", .mode = "auto", .baseline = KL_NONEF
#define KL_REDUCE_LR_DEFAULTS                                                                      \
    .monitor = "val_loss", .factor = 0.1, .patience = 10, .mode = "auto", .min_delta = 0.0001
KL_API kl_callback_early_stopping_args kl_callback_early_stopping_defaults(void);
KL_API kl_callback_reduce_lr_on_plateau_args kl_callback_reduce_lr_on_plateau_defaults(void);
#ifndef __cplusplus
#define kl_callback_lambda(...)                                                                    \
    KL_CALL_(kl_callback_lambda_new, kl_callback_lambda_args, (.user = NULL), __VA_ARGS__)
#define kl_callback_early_stopping(...)                                                            \
    KL_CALL_(kl_callback_early_stopping_new, kl_callback_early_stopping_args,                      \
             (KL_EARLY_STOPPING_DEFAULTS), __VA_ARGS__)
#define kl_callback_reduce_lr_on_plateau(...)                                                      \
    KL_CALL_(kl_callback_reduce_lr_on_plateau_new, kl_callback_reduce_lr_on_plateau_args,          \
             (KL_REDUCE_LR_DEFAULTS), __VA_ARGS__)
#define kl_callback_learning_rate_scheduler(...)                                                   \
    KL_CALL_(kl_callback_learning_rate_scheduler_new, kl_callback_learning_rate_scheduler_args,    \
             (.user = NULL), __VA_ARGS__)
#define kl_callback_model_checkpoint(...)                                                          \
    KL_CALL_(kl_callback_model_checkpoint_new, kl_callback_model_checkpoint_args,                  \
             (KL_MODEL_CHECKPOINT_DEFAULTS), __VA_ARGS__)
#define kl_callback_csv_logger(...)                                                                \
    KL_CALL_(kl_callback_csv_logger_new, kl_callback_csv_logger_args, (.separator = ","),          \
             __VA_ARGS__)
#define kl_callback_terminate_on_nan(...)                                                          \
    KL_CALL_(kl_callback_terminate_on_nan_new, kl_callback_terminate_on_nan_args,                  \
             (.raise_error = false), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
