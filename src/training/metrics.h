/* The inside of metrics. */
#ifndef KL_TRAINING_METRICS_H
#define KL_TRAINING_METRICS_H

#include "klayers/metrics.h"
#include "objects/object.h"
#include "training/losses.h"

/* A running mean; follows its class's arguments in the state of a metric that is one. */
typedef struct kl_mean {
    double total, count;
} kl_mean;

/* Adds values [samples, ...] as Keras's Mean does; weights may be NULL. Within a scope. */
kl_status kl_mean_add(kl_mean *mean, kl_tensor *values, kl_tensor *weights);
double kl_mean_value(const kl_mean *mean);
/* Weights of the values of a prediction that has a mask, as in Keras 3. NULL on error. */
kl_tensor *kl_masked_weights(kl_tensor *weights, kl_tensor *mask);
/* x as contiguous float32 or float64 elements, within a scope. */
kl_tensor *kl_metric_floats(kl_tensor *x);

/* The tables of the other sources, ended by NULL. */
extern const kl_metric_vtable *const kl_accuracy_metrics[], *const kl_confusion_metrics[],
                                                                *const kl_class_metrics[];

kl_metric *kl_metric_make(const char *function, const kl_metric_vtable *cls, const void *args);

#endif
