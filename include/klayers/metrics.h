/*
 * Metrics: https://keras.io/api/metrics/. Wherever a metric is an argument it may be a Keras name
 * ("accuracy", "mae"), an object made here, a loss, or a function of one's own wrapped by
 * kl_metric_from(). A metric has state: it is used by one thread at a time.
 */
#ifndef KLAYERS_METRICS_H
#define KLAYERS_METRICS_H

#include "klayers/losses.h"
#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_metric_vtable {
    KL_CLASS_HEAD
    /* MUST: takes a batch in; `state` is the object's. sample_weight may be NULL. Called within a
       scope, no tape recording. */
    kl_status (*update)(void *state, kl_tensor *y_true, kl_tensor *y_pred,
                        kl_tensor *sample_weight);
    /* MUST: the value so far. */
    double (*value)(const void *state);
    /* MUST: forgets what came so far. */
    void (*reset)(void *state);
    /* MAY: the value of a metric that has several numbers; `value` then gives their mean. */
    kl_tensor *(*result)(const void *state);
    const char *default_name; /* MAY: NULL: the first of `names` */
} kl_metric_vtable;

/* The head of every metric's arguments. */
#define KL_METRIC_ARGS                                                                             \
    size_t size;                                                                                   \
    unsigned mark;                                                                                 \
    const char *reserved_; /* metrics and losses have one layout */                                \
    const char *name;                                                                              \
    const char *dtype;

typedef struct kl_metric_args {
    KL_METRIC_ARGS
} kl_metric_args;

typedef struct kl_metric_threshold_args {
    KL_METRIC_ARGS
    double threshold; /* 0.5 */
} kl_metric_threshold_args;

typedef struct kl_metric_top_k_args {
    KL_METRIC_ARGS
    int64_t k; /* 5 */
    bool from_sorted_ids;
} kl_metric_top_k_args;

typedef struct kl_metric_crossentropy_args {
    KL_METRIC_ARGS
    bool from_logits;
    double label_smoothing;
    int64_t axis; /* -1 */
} kl_metric_crossentropy_args;

typedef struct kl_metric_sparse_args {
    KL_METRIC_ARGS
    bool from_logits;
    int64_t ignore_class; /* KL_NONE */
    int64_t axis;         /* -1 */
} kl_metric_sparse_args;

typedef struct kl_metric_axis_args {
    KL_METRIC_ARGS
    int64_t axis; /* -1 */
} kl_metric_axis_args;

/* One threshold or several, each from 0 to 1; without any, 0.5. */
typedef struct kl_metric_confusion_args {
    KL_METRIC_ARGS
    kl_floats thresholds;
    int64_t top_k, class_id; /* KL_NONE; of Precision and Recall */
} kl_metric_confusion_args;

typedef struct kl_metric_auc_args {
    KL_METRIC_ARGS
    int64_t num_thresholds;       /* 200 */
    const char *curve;            /* "ROC" or "PR" */
    const char *summation_method; /* "interpolation", "minoring" or "majoring" */
    kl_floats thresholds;         /* instead of num_thresholds */
    bool from_logits;
} kl_metric_auc_args;

/* Precision at a recall and its kin: the best of one while the other is at least `value`. */
typedef struct kl_metric_constrained_args {
    KL_METRIC_ARGS
    double value;           /* required; from 0 to 1 */
    int64_t num_thresholds; /* 200 */
    int64_t class_id;       /* KL_NONE */
} kl_metric_constrained_args;

/* average: NULL (one value a class), "micro", "macro" or "weighted". */
typedef struct kl_metric_f_score_args {
    KL_METRIC_ARGS
    const char *average;
    double beta;      /* 1 */
    double threshold; /* KL_NONEF: the largest of a row counts */
} kl_metric_f_score_args;

typedef struct kl_metric_r2_score_args {
    KL_METRIC_ARGS
    const char *class_aggregation; /* "uniform_average", "variance_weighted_average" or NULL */
    int64_t num_regressors;
} kl_metric_r2_score_args;

typedef struct kl_metric_iou_args {
    KL_METRIC_ARGS
    int64_t num_classes;               /* required; of BinaryIoU always 2 */
    kl_ints target_class_ids;          /* none: all */
    int64_t ignore_class;              /* KL_NONE */
    bool sparse_y_true, sparse_y_pred; /* true: class ids, false: one value a class */
    int64_t axis;                      /* -1: of the classes */
    double threshold;                  /* 0.5; of BinaryIoU */
} kl_metric_iou_args;

/* Each constructor: kl_metric_X_new(args), and the keyword form kl_metric_X(.name = "acc"). */
/* clang-format off: its layout of long lists of X() does not settle. */
#define KL_METRICS_(X)                                                                             \
    X(mean, kl_metric_args)                                                                        \
    X(sum, kl_metric_args)                                                                         \
    X(root_mean_squared_error, kl_metric_args)                                                     \
    X(mean_squared_error, kl_metric_args)                                                          \
    X(mean_absolute_error, kl_metric_args)                                                         \
    X(mean_absolute_percentage_error, kl_metric_args)                                              \
    X(mean_squared_logarithmic_error, kl_metric_args)                                              \
    X(hinge, kl_metric_args)                                                                       \
    X(squared_hinge, kl_metric_args)                                                               \
    X(categorical_hinge, kl_metric_args)                                                           \
    X(kl_divergence, kl_metric_args)                                                               \
    X(log_cosh_error, kl_metric_args)                                                              \
    X(poisson, kl_metric_args)                                                                     \
    X(cosine_similarity, kl_metric_axis_args)                                                      \
    X(pearson_correlation, kl_metric_axis_args)                                                    \
    X(concordance_correlation, kl_metric_axis_args)                                                \
    X(binary_crossentropy, kl_metric_crossentropy_args)                                            \
    X(categorical_crossentropy, kl_metric_crossentropy_args)                                       \
    X(sparse_categorical_crossentropy, kl_metric_sparse_args)                                      \
    X(accuracy, kl_metric_args)                                                                    \
    X(binary_accuracy, kl_metric_threshold_args)                                                   \
    X(categorical_accuracy, kl_metric_args)                                                        \
    X(sparse_categorical_accuracy, kl_metric_args)                                                 \
    X(top_k_categorical_accuracy, kl_metric_top_k_args)                                            \
    X(sparse_top_k_categorical_accuracy, kl_metric_top_k_args)                                     \
    X(true_positives, kl_metric_confusion_args)                                                    \
    X(true_negatives, kl_metric_confusion_args)                                                    \
    X(false_positives, kl_metric_confusion_args)                                                   \
    X(false_negatives, kl_metric_confusion_args)                                                   \
    X(precision, kl_metric_confusion_args)                                                         \
    X(recall, kl_metric_confusion_args)                                                            \
    X(auc, kl_metric_auc_args)                                                                     \
    X(precision_at_recall, kl_metric_constrained_args)                                             \
    X(recall_at_precision, kl_metric_constrained_args)                                             \
    X(sensitivity_at_specificity, kl_metric_constrained_args)                                      \
    X(specificity_at_sensitivity, kl_metric_constrained_args)                                      \
    X(f1_score, kl_metric_f_score_args)                                                            \
    X(fbeta_score, kl_metric_f_score_args)                                                         \
    X(r2_score, kl_metric_r2_score_args)                                                           \
    X(iou, kl_metric_iou_args)                                                                     \
    X(mean_iou, kl_metric_iou_args)                                                                \
    X(one_hot_iou, kl_metric_iou_args)                                                             \
    X(one_hot_mean_iou, kl_metric_iou_args)                                                        \
    X(binary_iou, kl_metric_iou_args)
/* clang-format on */
#define KL_METRIC_DECLARE_(id, T) KL_API kl_metric *kl_metric_##id##_new(const T *args);
KL_METRICS_(KL_METRIC_DECLARE_)

#define KL_METRIC_DEFAULTS              .name = NULL
#define KL_METRIC_THRESHOLD_DEFAULTS    .threshold = 0.5
#define KL_METRIC_TOP_K_DEFAULTS        .k = 5
#define KL_METRIC_CROSSENTROPY_DEFAULTS .axis = -1
#define KL_METRIC_SPARSE_DEFAULTS       .ignore_class = KL_NONE, .axis = -1
#define KL_METRIC_AXIS_DEFAULTS         .axis = -1
#define KL_METRIC_CONFUSION_DEFAULTS    .top_k = KL_NONE, .class_id = KL_NONE
#define KL_METRIC_AUC_DEFAULTS                                                                     \
    .num_thresholds = 200, .curve = "ROC", .summation_method = "interpolation"

#define KL_METRIC_CONSTRAINED_DEFAULTS .num_thresholds = 200, .class_id = KL_NONE
#define KL_METRIC_F_SCORE_DEFAULTS     .beta = 1, .threshold = KL_NONEF
#define KL_METRIC_R2_SCORE_DEFAULTS    .class_aggregation = "uniform_average"
#define KL_METRIC_IOU_DEFAULTS                                                                     \
    .ignore_class = KL_NONE, .sparse_y_true = true, .sparse_y_pred = true, .axis = -1,             \
    .threshold = 0.5

KL_API kl_metric_args kl_metric_defaults(void);
KL_API kl_metric_threshold_args kl_metric_threshold_defaults(void);
KL_API kl_metric_top_k_args kl_metric_top_k_defaults(void);
KL_API kl_metric_crossentropy_args kl_metric_crossentropy_defaults(void);
KL_API kl_metric_sparse_args kl_metric_sparse_defaults(void);
KL_API kl_metric_axis_args kl_metric_axis_defaults(void);
KL_API kl_metric_confusion_args kl_metric_confusion_defaults(void);
KL_API kl_metric_auc_args kl_metric_auc_defaults(void);
KL_API kl_metric_constrained_args kl_metric_constrained_defaults(void);
KL_API kl_metric_f_score_args kl_metric_f_score_defaults(void);
KL_API kl_metric_r2_score_args kl_metric_r2_score_defaults(void);
KL_API kl_metric_iou_args kl_metric_iou_defaults(void);

#ifndef __cplusplus
#define KL_METRIC_(id, T, D, ...) KL_CALL_(kl_metric_##id##_new, T, (D), __VA_ARGS__)
#define KL_METRIC_PLAIN_(id, ...) KL_METRIC_(id, kl_metric_args, KL_METRIC_DEFAULTS, __VA_ARGS__)
#define kl_metric_mean(...)       KL_METRIC_PLAIN_(mean, __VA_ARGS__)
#define kl_metric_sum(...)        KL_METRIC_PLAIN_(sum, __VA_ARGS__)
#define kl_metric_root_mean_squared_error(...)                                                     \
    KL_METRIC_PLAIN_(root_mean_squared_error, __VA_ARGS__)
#define kl_metric_mean_squared_error(...)  KL_METRIC_PLAIN_(mean_squared_error, __VA_ARGS__)
#define kl_metric_mean_absolute_error(...) KL_METRIC_PLAIN_(mean_absolute_error, __VA_ARGS__)
#define kl_metric_mean_absolute_percentage_error(...)                                              \
    KL_METRIC_PLAIN_(mean_absolute_percentage_error, __VA_ARGS__)
#define kl_metric_mean_squared_logarithmic_error(...)                                              \
    KL_METRIC_PLAIN_(mean_squared_logarithmic_error, __VA_ARGS__)
#define kl_metric_hinge(...)                KL_METRIC_PLAIN_(hinge, __VA_ARGS__)
#define kl_metric_squared_hinge(...)        KL_METRIC_PLAIN_(squared_hinge, __VA_ARGS__)
#define kl_metric_categorical_hinge(...)    KL_METRIC_PLAIN_(categorical_hinge, __VA_ARGS__)
#define kl_metric_kl_divergence(...)        KL_METRIC_PLAIN_(kl_divergence, __VA_ARGS__)
#define kl_metric_log_cosh_error(...)       KL_METRIC_PLAIN_(log_cosh_error, __VA_ARGS__)
#define kl_metric_poisson(...)              KL_METRIC_PLAIN_(poisson, __VA_ARGS__)
#define kl_metric_accuracy(...)             KL_METRIC_PLAIN_(accuracy, __VA_ARGS__)
#define kl_metric_categorical_accuracy(...) KL_METRIC_PLAIN_(categorical_accuracy, __VA_ARGS__)
#define kl_metric_sparse_categorical_accuracy(...)                                                 \
    KL_METRIC_PLAIN_(sparse_categorical_accuracy, __VA_ARGS__)
#define kl_metric_cosine_similarity(...)                                                           \
    KL_METRIC_(cosine_similarity, kl_metric_axis_args, KL_METRIC_AXIS_DEFAULTS, __VA_ARGS__)
#define kl_metric_pearson_correlation(...)                                                         \
    KL_METRIC_(pearson_correlation, kl_metric_axis_args, KL_METRIC_AXIS_DEFAULTS, __VA_ARGS__)
#define kl_metric_concordance_correlation(...)                                                     \
    KL_METRIC_(concordance_correlation, kl_metric_axis_args, KL_METRIC_AXIS_DEFAULTS, __VA_ARGS__)
#define kl_metric_binary_crossentropy(...)                                                         \
    KL_METRIC_(binary_crossentropy, kl_metric_crossentropy_args, KL_METRIC_CROSSENTROPY_DEFAULTS,  \
               __VA_ARGS__)
#define kl_metric_categorical_crossentropy(...)                                                    \
    KL_METRIC_(categorical_crossentropy, kl_metric_crossentropy_args,                              \
               KL_METRIC_CROSSENTROPY_DEFAULTS, __VA_ARGS__)
#define kl_metric_sparse_categorical_crossentropy(...)                                             \
    KL_CALL_(kl_metric_sparse_categorical_crossentropy_new, kl_metric_sparse_args,                 \
             (KL_METRIC_SPARSE_DEFAULTS), __VA_ARGS__)
#define kl_metric_binary_accuracy(...)                                                             \
    KL_METRIC_(binary_accuracy, kl_metric_threshold_args, KL_METRIC_THRESHOLD_DEFAULTS, __VA_ARGS__)
#define kl_metric_top_k_categorical_accuracy(...)                                                  \
    KL_METRIC_(top_k_categorical_accuracy, kl_metric_top_k_args, KL_METRIC_TOP_K_DEFAULTS,         \
               __VA_ARGS__)
#define kl_metric_sparse_top_k_categorical_accuracy(...)                                           \
    KL_METRIC_(sparse_top_k_categorical_accuracy, kl_metric_top_k_args, KL_METRIC_TOP_K_DEFAULTS,  \
               __VA_ARGS__)
#define KL_METRIC_CONFUSION_(id, ...)                                                              \
    KL_CALL_(kl_metric_##id##_new, kl_metric_confusion_args, (KL_METRIC_CONFUSION_DEFAULTS),       \
             __VA_ARGS__)
#define kl_metric_true_positives(...)  KL_METRIC_CONFUSION_(true_positives, __VA_ARGS__)
#define kl_metric_true_negatives(...)  KL_METRIC_CONFUSION_(true_negatives, __VA_ARGS__)
#define kl_metric_false_positives(...) KL_METRIC_CONFUSION_(false_positives, __VA_ARGS__)
#define kl_metric_false_negatives(...) KL_METRIC_CONFUSION_(false_negatives, __VA_ARGS__)
#define kl_metric_precision(...)       KL_METRIC_CONFUSION_(precision, __VA_ARGS__)
#define kl_metric_recall(...)          KL_METRIC_CONFUSION_(recall, __VA_ARGS__)
#define kl_metric_auc(...)                                                                         \
    KL_CALL_(kl_metric_auc_new, kl_metric_auc_args, (KL_METRIC_AUC_DEFAULTS), __VA_ARGS__)
#define kl_metric_precision_at_recall(...)                                                         \
    KL_CALL_(kl_metric_precision_at_recall_new, kl_metric_constrained_args,                        \
             (KL_METRIC_CONSTRAINED_DEFAULTS), __VA_ARGS__)
#define kl_metric_recall_at_precision(...)                                                         \
    KL_CALL_(kl_metric_recall_at_precision_new, kl_metric_constrained_args,                        \
             (KL_METRIC_CONSTRAINED_DEFAULTS), __VA_ARGS__)
#define kl_metric_sensitivity_at_specificity(...)                                                  \
    KL_CALL_(kl_metric_sensitivity_at_specificity_new, kl_metric_constrained_args,                 \
             (KL_METRIC_CONSTRAINED_DEFAULTS), __VA_ARGS__)
#define kl_metric_specificity_at_sensitivity(...)                                                  \
    KL_CALL_(kl_metric_specificity_at_sensitivity_new, kl_metric_constrained_args,                 \
             (KL_METRIC_CONSTRAINED_DEFAULTS), __VA_ARGS__)
#define kl_metric_f1_score(...)                                                                    \
    KL_CALL_(kl_metric_f1_score_new, kl_metric_f_score_args, (KL_METRIC_F_SCORE_DEFAULTS),         \
             __VA_ARGS__)
#define kl_metric_fbeta_score(...)                                                                 \
    KL_CALL_(kl_metric_fbeta_score_new, kl_metric_f_score_args, (KL_METRIC_F_SCORE_DEFAULTS),      \
             __VA_ARGS__)
#define kl_metric_r2_score(...)                                                                    \
    KL_CALL_(kl_metric_r2_score_new, kl_metric_r2_score_args, (KL_METRIC_R2_SCORE_DEFAULTS),       \
             __VA_ARGS__)
#define kl_metric_iou(...)                                                                         \
    KL_CALL_(kl_metric_iou_new, kl_metric_iou_args, (KL_METRIC_IOU_DEFAULTS), __VA_ARGS__)
#define kl_metric_mean_iou(...)                                                                    \
    KL_CALL_(kl_metric_mean_iou_new, kl_metric_iou_args, (KL_METRIC_IOU_DEFAULTS), __VA_ARGS__)
#define kl_metric_one_hot_iou(...)                                                                 \
    KL_CALL_(kl_metric_one_hot_iou_new, kl_metric_iou_args, (KL_METRIC_IOU_DEFAULTS), __VA_ARGS__)
#define kl_metric_one_hot_mean_iou(...)                                                            \
    KL_CALL_(kl_metric_one_hot_mean_iou_new, kl_metric_iou_args, (KL_METRIC_IOU_DEFAULTS),         \
             __VA_ARGS__)
#define kl_metric_binary_iou(...)                                                                  \
    KL_CALL_(kl_metric_binary_iou_new, kl_metric_iou_args, (KL_METRIC_IOU_DEFAULTS), __VA_ARGS__)
#endif

/* By Keras name, or a metric as it is (one reference is taken over). "accuracy", "acc" give the
   plain Accuracy here; kl_compile chooses by the shapes. NULL on error. */
KL_API kl_metric *kl_metric_get(kl_named metric);
/* The mean of one's own function's values (MeanMetricWrapper). */
KL_API kl_metric *kl_metric_from(const char *name,
                                 kl_tensor *(*function)(kl_tensor *y_true, kl_tensor *y_pred,
                                                        void *user),
                                 void *user);
KL_API const char *kl_metric_name(const kl_metric *metric);
/* Takes a batch in. Mean and Sum take values as y_pred, and y_true NULL. */
KL_API kl_status kl_metric_update_state(kl_metric *metric, kl_tensor *y_true, kl_tensor *y_pred,
                                        kl_tensor *sample_weight);
/* The value so far; of several numbers their mean. NaN with an error for NULL. */
KL_API double kl_metric_value(const kl_metric *metric);
/* The value as a tensor of the caller's. */
KL_API kl_tensor *kl_metric_result(const kl_metric *metric);
KL_API kl_status kl_metric_reset(kl_metric *metric);

#ifdef __cplusplus
}
#endif
#endif
