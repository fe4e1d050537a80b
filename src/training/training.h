/* What kl_compile leaves in a model, and the parts of fit. */
#ifndef KL_TRAINING_TRAINING_H
#define KL_TRAINING_TRAINING_H

#include "klayers/training.h"
#include "layers/layer.h"
#include "training/metrics.h"
#include "training/optimizer.h"

/* An argument as it was given: a name, an object (owned), or neither. */
typedef struct kl_given {
    char *name;
    kl_object *object;
} kl_given;

typedef struct kl_compiled_metric {
    char *label; /* in logs */
    kl_metric *metric;
    int output;
    bool weighted;
} kl_compiled_metric;

/* A mean under a name: added metrics, losses of outputs. */
typedef struct kl_named_mean {
    char label[96];
    kl_mean mean;
} kl_named_mean;

typedef struct kl_training_state {
    kl_model *model;
    kl_optimizer *optimizer; /* owned */
    kl_given loss, losses[KL_MAX_LIST];
    bool per_output; /* losses, not loss */
    float loss_weights[KL_MAX_LIST];
    size_t loss_weight_count;
    kl_given metrics[KL_MAX_LIST][KL_MAX_METRICS], weighted[KL_MAX_LIST][KL_MAX_METRICS];
    bool by_output; /* metrics came by output_metrics */
    bool run_eagerly, auto_scale_loss, jit_compile;
    int64_t steps_per_execution;
    /* From the first batch on: */
    bool resolved;
    int outputs;
    kl_loss *loss_of[KL_MAX_LIST]; /* owned; NULL: none */
    char *output_names[KL_MAX_LIST];
    int loss_count;
    kl_compiled_metric *compiled;
    int compiled_count;
    kl_mean loss_mean;
    kl_named_mean *output_means; /* with several losses */
    kl_named_mean *added;        /* of kl_add_metric */
    int added_count, added_capacity;
    /* The logs, sorted by name. */
    const char **log_names;
    double *log_values;
    int log_count, log_capacity;
    /* Lists of a step. */
    kl_weight **weights;
    kl_tensor **values, **gradients;
    int weight_capacity;
} kl_training_state;

/* The compiled state of a model; NULL with an error that tells to compile. */
kl_training_state *kl_training_of(const char *function, const kl_model *model);
/* Losses and metrics from what was given, by the first batch's shapes. */
kl_status kl_training_resolve(kl_training_state *t, int targets, kl_tensor *const *y,
                              kl_tensors predictions);

/* A batch: lists of tensors; weights may have none, or one for all outputs. */
typedef struct kl_step_batch {
    int inputs, targets, weights;
    kl_tensor *x[KL_MAX_LIST], *y[KL_MAX_LIST], *w[KL_MAX_LIST];
} kl_step_batch;
/* Calls the model, takes loss and metrics in; with `train` also updates the weights. *loss (may be
   NULL) gets the batch's own loss. */
kl_status kl_training_step(kl_training_state *t, const kl_step_batch *batch, bool train,
                           double *loss);
void kl_training_reset(kl_training_state *t);
/* Refreshes t->log_names and log_values. */
kl_status kl_training_logs(kl_training_state *t);

/* ---- Data ----------------------------------------------------------------------------------- */

typedef struct kl_source {
    kl_step_batch arrays; /* whole arrays, contiguous, held; or `data` */
    const kl_data *data;
    kl_floats class_weight; /* lent */
    int64_t samples, batch_size, at;
    int64_t *order;          /* shuffled; NULL: as they come */
    bool fresh;              /* at the start of its data */
    bool ahead;              /* batches outlive the next: what a generator gives is copied */
    kl_layer *preprocessing; /* lent; NULL: none */
    bool preprocess_targets, trains;
    uint64_t stream, preprocessed; /* the key of draws in training, and batches so far */
} kl_source;

/* Checks the lists, holds the arrays; x or lists as the argument structs have them. */
kl_status kl_source_open(kl_source *s, const char *function, kl_tensor *x, kl_tensor *y,
                         kl_tensor *w, kl_tensor *const *xs, kl_tensor *const *ys,
                         kl_tensor *const *ws, const kl_data *data, int64_t batch_size);
/* Keeps samples [begin, end) of arrays. */
kl_status kl_source_slice(kl_source *s, int64_t begin, int64_t end);
/* Goes back to the start, with a new order if it is shuffled. */
kl_status kl_source_restart(kl_source *s);
/* The next batch within the open scope; *end instead at the end. */
kl_status kl_source_next(kl_source *s, kl_step_batch *batch, bool *end);
/* Number of batches; -1 if unknown. */
int64_t kl_source_batches(const kl_source *s);
void kl_source_close(kl_source *s);
/* Class weights of labels, multiplied into w (may be NULL). Within a scope. */
kl_tensor *kl_class_weights(kl_floats weights, kl_tensor *y, kl_tensor *w);

/* ---- History -------------------------------------------------------------------------------- */

kl_history *kl_history_new(void);
/* Appends a value under "<prefix><name>". */
kl_status kl_history_add(kl_history *history, const char *prefix, const char *name, double value);

/* ---- Callbacks ------------------------------------------------------------------------------ */

/* Whether larger values of what a callback watches are better. */
bool kl_monitor_goes_up(const char *mode, const char *monitor);

/* ---- Progress ------------------------------------------------------------------------------- */

typedef struct kl_progress {
    int verbose;
    bool bar;
    int64_t steps; /* -1: unknown */
    double started, shown;
} kl_progress;
void kl_progress_epoch(kl_progress *p, int verbose, int64_t epoch, int64_t epochs, int64_t steps);
void kl_progress_batch(kl_progress *p, int64_t done, const kl_logs *logs);
void kl_progress_end(kl_progress *p, int64_t done, const kl_logs *logs);

#endif
