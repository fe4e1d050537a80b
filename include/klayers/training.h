/*
 * compile, fit, evaluate and their kin: https://keras.io/api/models/model_training_apis/.
 * (kl_predict is in model.h.)
 */
#ifndef KLAYERS_TRAINING_H
#define KLAYERS_TRAINING_H

#include "klayers/callbacks.h"
#include "klayers/losses.h"
#include "klayers/metrics.h"
#include "klayers/model.h"
#include "klayers/optimizers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most metrics for one output. */
#define KL_MAX_METRICS 8

typedef struct kl_compile_args {
    size_t size;
    unsigned mark;
    kl_named optimizer;           /* "rmsprop" */
    kl_named loss;                /* of every output */
    kl_named losses[KL_MAX_LIST]; /* or one an output; NULL: that output has none */
    kl_floats loss_weights;       /* one an output; none: 1 */
    /* Of the one output; with several outputs, one an output as in Keras. "accuracy" and
       "crossentropy" are chosen by the shapes. */
    kl_named metrics[KL_MAX_METRICS];
    kl_named weighted_metrics[KL_MAX_METRICS];
    kl_named output_metrics[KL_MAX_LIST][KL_MAX_METRICS]; /* several outputs, several metrics */
    bool run_eagerly, auto_scale_loss;                    /* kept in the config alone */
    int64_t steps_per_execution;                          /* likewise */
    bool jit_compile;                                     /* likewise */
    char pos_;
    kl_model *model;
} kl_compile_args;
/*
 * kl_compile(model, .optimizer = "adam", .loss = "mse", .metrics = {"mae"}). Takes over the objects
 * given, also when it fails; a failure is kept and told again by fit, evaluate and predict.
 * Compiling again starts with a new optimizer and fresh metrics.
 */
KL_API kl_status kl_compile_with(const kl_compile_args *args);
KL_API kl_compile_args kl_compile_defaults(void);
#define KL_COMPILE_DEFAULTS                                                                        \
    .optimizer = "rmsprop", .auto_scale_loss = true, .steps_per_execution = 1, .pos_ = 0
#ifndef __cplusplus
#define kl_compile(...)                                                                            \
    KL_CALL_(kl_compile_with, kl_compile_args, (KL_COMPILE_DEFAULTS), __VA_ARGS__)
#endif
/* The optimizer that the model was compiled with, lent; NULL without. */
KL_API kl_optimizer *kl_model_optimizer(const kl_model *model);
/* Keras's compile_config, the caller's; a null value if the model isn't compiled. And back. */
KL_API kl_config *kl_model_compile_config(const kl_model *model);
KL_API kl_status kl_model_compile_from_config(kl_model *model, const kl_config *config);

/* ---- What training gave --------------------------------------------------------------------- */

/* Values by name, one an epoch. */
typedef struct kl_history kl_history;
/* The values of "loss", "val_accuracy", ..., lent; *count (may be NULL) is how many. NULL if there
   is no such name. */
KL_API const double *kl_history_get(const kl_history *history, const char *name, size_t *count);
/* The last value; NaN if there is none. */
KL_API double kl_history_last(const kl_history *history, const char *name);
/* The names in alphabetical order; NULL beyond the end. */
KL_API const char *kl_history_name(const kl_history *history, size_t index);
KL_API void kl_history_free(kl_history *history);

/* ---- Data ----------------------------------------------------------------------------------- */

/* A batch from a generator: lists ended by NULL, each tensor [samples, ...]. The generator keeps
   them alive until it is called again. */
typedef struct kl_batch {
    kl_tensor *x[KL_MAX_LIST], *y[KL_MAX_LIST], *sample_weight[KL_MAX_LIST];
} kl_batch;
/* A source of batches in the place of arrays. */
typedef struct kl_data {
    /* Fills the batch, or sets *end where the epoch ends. */
    kl_status (*next)(void *user, kl_batch *batch, bool *end);
    /* MAY: called before every epoch. */
    kl_status (*restart)(void *user);
    void *user;
} kl_data;

/* ---- Training ------------------------------------------------------------------------------- */

typedef struct kl_fit_args {
    size_t size;
    unsigned mark;
    int64_t epochs;     /* 1 */
    int64_t batch_size; /* 32 */
    int verbose;        /* 1: progress bar on a terminal, lines elsewhere; 2: lines; 0: nothing */
    double validation_split;       /* the last part of the data, before shuffling */
    kl_tensor *validation_data[3]; /* x, y, sample_weight */
    kl_tensor *validation_inputs[KL_MAX_LIST], *validation_targets[KL_MAX_LIST]; /* or several */
    kl_data validation_source;              /* or a generator */
    bool shuffle;                           /* true: batches are drawn anew every epoch */
    kl_floats class_weight;                 /* by class; classes beyond the list count 1 */
    kl_tensor *sample_weight;               /* of every output */
    kl_tensor *sample_weights[KL_MAX_LIST]; /* or one an output */
    int64_t initial_epoch;
    int64_t steps_per_epoch;                               /* KL_NONE: until the data ends */
    int64_t validation_steps;                              /* likewise */
    int64_t validation_batch_size;                         /* KL_NONE: batch_size */
    int64_t validation_freq;                               /* 1: after every epoch */
    kl_callback *callbacks[KL_MAX_LIST];                   /* taken over */
    kl_tensor *inputs[KL_MAX_LIST], *targets[KL_MAX_LIST]; /* in the place of x and y */
    kl_data data;                                          /* or a generator */
    kl_layer *preprocessing; /* a layer or model that every batch's x goes through first: in
                                training mode, in validation not. Lent; shares nothing with the
                                model */
    bool preprocess_targets; /* it takes and gives x and then y (MixUp, CutMix) */
    int64_t prefetch; /* batches gathered and preprocessed ahead on a thread of their own; KL_NONE:
                         2 with preprocessing, else 0. Results are the same whatever it is; a
                         generator is called on that thread */
    char pos_;
    kl_model *model;
    kl_tensor *x, *y; /* [samples, ...], lent */
} kl_fit_args;
/*
 * kl_fit(model, x, y, .epochs = 5): trains and returns what it measured, to be freed with
 * kl_history_free; NULL on error. The model stays usable after a failure.
 */
KL_API kl_history *kl_fit_with(const kl_fit_args *args);
KL_API kl_fit_args kl_fit_defaults(void);
#define KL_FIT_DEFAULTS                                                                            \
    .epochs = 1, .batch_size = 32, .verbose = 1, .shuffle = true, .steps_per_epoch = KL_NONE,      \
    .validation_steps = KL_NONE, .validation_batch_size = KL_NONE, .validation_freq = 1,           \
    .prefetch = KL_NONE, .pos_ = 0
#ifndef __cplusplus
#define kl_fit(...) KL_CALL_(kl_fit_with, kl_fit_args, (KL_FIT_DEFAULTS), __VA_ARGS__)
#endif

typedef struct kl_evaluate_args {
    size_t size;
    unsigned mark;
    int64_t batch_size; /* 32 */
    int verbose;        /* 0 */
    kl_tensor *sample_weight;
    kl_tensor *sample_weights[KL_MAX_LIST];
    int64_t steps; /* KL_NONE: until the data ends */
    kl_tensor *inputs[KL_MAX_LIST], *targets[KL_MAX_LIST];
    kl_data data;
    kl_layer *preprocessing; /* as kl_fit has it, not in training mode */
    char pos_;
    kl_model *model;
    kl_tensor *x, *y;
} kl_evaluate_args;
/* Loss and metrics over data, one value a name: kl_history_last(result, "accuracy"). */
KL_API kl_history *kl_evaluate_with(const kl_evaluate_args *args);
KL_API kl_evaluate_args kl_evaluate_defaults(void);
#define KL_EVALUATE_DEFAULTS .batch_size = 32, .steps = KL_NONE, .pos_ = 0
#ifndef __cplusplus
#define kl_evaluate(...)                                                                           \
    KL_CALL_(kl_evaluate_with, kl_evaluate_args, (KL_EVALUATE_DEFAULTS), __VA_ARGS__)
#endif

typedef struct kl_batch_args {
    size_t size;
    unsigned mark;
    kl_tensor *sample_weight;
    kl_floats class_weight;
    kl_tensor *inputs[KL_MAX_LIST], *targets[KL_MAX_LIST];
    char pos_;
    kl_model *model;
    kl_tensor *x, *y;
} kl_batch_args;
/*
 * One batch as it is: kl_train_on_batch(model, x, y) makes one update, kl_test_on_batch none. The
 * loss of this batch, NaN with the error set on failure; metrics by kl_model_metric().
 */
KL_API double kl_train_on_batch_with(const kl_batch_args *args);
KL_API double kl_test_on_batch_with(const kl_batch_args *args);
#ifndef __cplusplus
#define kl_train_on_batch(...)                                                                     \
    KL_CALL_(kl_train_on_batch_with, kl_batch_args, (.pos_ = 0), __VA_ARGS__)
#define kl_test_on_batch(...)                                                                      \
    KL_CALL_(kl_test_on_batch_with, kl_batch_args, (.pos_ = 0), __VA_ARGS__)
#endif
/* The value that a metric has now ("loss", "accuracy"); NaN if there is none of the name. */
KL_API double kl_model_metric(const kl_model *model, const char *name);

#ifdef __cplusplus
}
#endif
#endif
