/* The inside of losses: what metrics and the compiled loss share with them. */
#ifndef KL_TRAINING_LOSSES_H
#define KL_TRAINING_LOSSES_H

#include "klayers/losses.h"

/* Keras's epsilon(). */
#define KL_EPSILON 1e-7

typedef kl_tensor *kl_loss_function(const void *args, kl_tensor *y_true, kl_tensor *y_pred);
kl_loss_function kl_values_mean_squared_error, kl_values_mean_absolute_error,
    kl_values_mean_absolute_percentage_error, kl_values_mean_squared_logarithmic_error,
    kl_values_hinge, kl_values_squared_hinge, kl_values_categorical_hinge, kl_values_kl_divergence,
    kl_values_log_cosh, kl_values_poisson, kl_values_huber, kl_values_cosine_similarity,
    kl_values_binary_crossentropy, kl_values_categorical_crossentropy,
    kl_values_sparse_categorical_crossentropy, kl_values_binary_focal_crossentropy,
    kl_values_categorical_focal_crossentropy, kl_values_dice, kl_values_tversky,
    kl_values_categorical_generalized_cross_entropy, kl_values_circle;

/* Keras's squeeze_or_expand_to_same_rank; false if an op failed. */
bool kl_align_ranks(kl_tensor **a, kl_tensor **b, bool expand_rank_1);
/* Values, weights and mask (may be NULL) to the loss, through ops within a scope. */
kl_tensor *kl_reduce_loss(kl_tensor *values, kl_tensor *sample_weight, kl_tensor *mask,
                          const char *reduction);

/* Readies the kinds of this folder, so that names and configs are found. */
void kl_training_use(void);
const kl_class *kl_builtin_loss(const char *name);
const kl_class *kl_builtin_metric(const char *name);
const kl_class *kl_builtin_optimizer(const char *name);
const kl_class *kl_builtin_schedule(const char *name);
const kl_class *kl_builtin_callback(const char *name);

/* An object's `name` argument, at the same place in every loss; likewise for metrics. */
kl_status kl_default_name(char **name, const char *otherwise);

#endif
