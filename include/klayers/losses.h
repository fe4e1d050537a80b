/*
 * Losses: https://keras.io/api/losses/. Wherever a loss is an argument it may be a Keras name
 * ("mse", "sparse_categorical_crossentropy"), an object made here, or a function of one's own
 * wrapped by kl_loss_from().
 */
#ifndef KLAYERS_LOSSES_H
#define KLAYERS_LOSSES_H

#include "klayers/object.h"
#include "klayers/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_loss_vtable {
    KL_CLASS_HEAD
    /* MUST: through ops, the values before reduction, usually y_pred's shape without its last axis.
       `state` is the object's; y_true comes in its own dtype. Called within a scope. */
    kl_tensor *(*call)(const void *state, kl_tensor *y_true, kl_tensor *y_pred);
    const char *default_name; /* MAY: what `name` is if not given; NULL: the first of `names` */
} kl_loss_vtable;

/*
 * The head of every loss's arguments. reduction: "sum_over_batch_size", "sum", "mean",
 * "mean_with_sample_weight", "none" or NULL (none).
 */
#define KL_LOSS_ARGS                                                                               \
    size_t size;                                                                                   \
    unsigned mark;                                                                                 \
    const char *reduction;                                                                         \
    const char *name;                                                                              \
    const char *dtype;
#define KL_LOSS_DEFAULTS .reduction = "sum_over_batch_size"

typedef struct kl_loss_args {
    KL_LOSS_ARGS
} kl_loss_args;

typedef struct kl_loss_crossentropy_args {
    KL_LOSS_ARGS
    bool from_logits;
    double label_smoothing; /* 0..1 */
    int64_t axis;           /* -1 */
} kl_loss_crossentropy_args;

typedef struct kl_loss_sparse_args {
    KL_LOSS_ARGS
    bool from_logits;
    int64_t ignore_class; /* KL_NONE: every class counts */
    int64_t axis;         /* -1 */
} kl_loss_sparse_args;

typedef struct kl_loss_focal_args {
    KL_LOSS_ARGS
    bool apply_class_balancing; /* binary only */
    double alpha, gamma;        /* 0.25, 2 */
    bool from_logits;
    double label_smoothing;
    int64_t axis; /* -1 */
} kl_loss_focal_args;

typedef struct kl_loss_axis_args {
    KL_LOSS_ARGS
    int64_t axis; /* -1 */
} kl_loss_axis_args;

typedef struct kl_loss_huber_args {
    KL_LOSS_ARGS
    double delta; /* 1 */
} kl_loss_huber_args;

typedef struct kl_loss_dice_args {
    KL_LOSS_ARGS
    kl_ints axis; /* none: over all axes */
} kl_loss_dice_args;

typedef struct kl_loss_tversky_args {
    KL_LOSS_ARGS
    double alpha, beta; /* 0.5, 0.5 */
    kl_ints axis;       /* none: over all axes */
} kl_loss_tversky_args;

typedef struct kl_loss_generalized_args {
    KL_LOSS_ARGS
    double q; /* 0.5; in (0, 1) */
} kl_loss_generalized_args;

typedef struct kl_loss_circle_args {
    KL_LOSS_ARGS
    double gamma, margin; /* 80, 0.4 */
    bool remove_diagonal; /* true */
} kl_loss_circle_args;

/* Each constructor: kl_loss_X_new(args), and the keyword form kl_loss_X(.reduction = "sum"). The
   caller owns the object until something takes it over. NULL on bad arguments. */
KL_API kl_loss *kl_loss_mean_squared_error_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_mean_absolute_error_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_mean_absolute_percentage_error_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_mean_squared_logarithmic_error_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_hinge_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_squared_hinge_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_categorical_hinge_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_kl_divergence_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_log_cosh_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_poisson_new(const kl_loss_args *args);
KL_API kl_loss *kl_loss_huber_new(const kl_loss_huber_args *args);
KL_API kl_loss *kl_loss_cosine_similarity_new(const kl_loss_axis_args *args);
KL_API kl_loss *kl_loss_binary_crossentropy_new(const kl_loss_crossentropy_args *args);
KL_API kl_loss *kl_loss_categorical_crossentropy_new(const kl_loss_crossentropy_args *args);
KL_API kl_loss *kl_loss_sparse_categorical_crossentropy_new(const kl_loss_sparse_args *args);
KL_API kl_loss *kl_loss_binary_focal_crossentropy_new(const kl_loss_focal_args *args);
KL_API kl_loss *kl_loss_categorical_focal_crossentropy_new(const kl_loss_focal_args *args);
KL_API kl_loss *kl_loss_dice_new(const kl_loss_dice_args *args);
KL_API kl_loss *kl_loss_tversky_new(const kl_loss_tversky_args *args);
KL_API kl_loss *kl_loss_categorical_generalized_cross_entropy_new(
    const kl_loss_generalized_args *args);
KL_API kl_loss *kl_loss_circle_new(const kl_loss_circle_args *args);

/* The defaults as a struct, for C++ and for programs that fill arguments at run time. */
KL_API kl_loss_args kl_loss_defaults(void);
KL_API kl_loss_crossentropy_args kl_loss_crossentropy_defaults(void);
KL_API kl_loss_sparse_args kl_loss_sparse_defaults(void);
KL_API kl_loss_focal_args kl_loss_focal_defaults(void);
KL_API kl_loss_axis_args kl_loss_axis_defaults(void);
KL_API kl_loss_huber_args kl_loss_huber_defaults(void);
KL_API kl_loss_dice_args kl_loss_dice_defaults(void);
KL_API kl_loss_tversky_args kl_loss_tversky_defaults(void);
KL_API kl_loss_generalized_args kl_loss_generalized_defaults(void);
KL_API kl_loss_circle_args kl_loss_circle_defaults(void);

#define KL_LOSS_CROSSENTROPY_DEFAULTS KL_LOSS_DEFAULTS, .axis = -1
#define KL_LOSS_SPARSE_DEFAULTS       KL_LOSS_DEFAULTS, .ignore_class = KL_NONE, .axis = -1
#define KL_LOSS_FOCAL_DEFAULTS        KL_LOSS_DEFAULTS, .alpha = 0.25, .gamma = 2, .axis = -1
#define KL_LOSS_AXIS_DEFAULTS         KL_LOSS_DEFAULTS, .axis = -1
#define KL_LOSS_HUBER_DEFAULTS        KL_LOSS_DEFAULTS, .delta = 1
#define KL_LOSS_DICE_DEFAULTS         KL_LOSS_DEFAULTS
#define KL_LOSS_TVERSKY_DEFAULTS      KL_LOSS_DEFAULTS, .alpha = 0.5, .beta = 0.5
#define KL_LOSS_GENERALIZED_DEFAULTS  KL_LOSS_DEFAULTS, .q = 0.5
#define KL_LOSS_CIRCLE_DEFAULTS                                                                    \
    KL_LOSS_DEFAULTS, .gamma = 80, .margin = 0.4, .remove_diagonal = true

#ifndef __cplusplus
#define KL_LOSS_(name, T, defaults, ...) KL_CALL_(kl_loss_##name##_new, T, defaults, __VA_ARGS__)
#define kl_loss_mean_squared_error(...)                                                            \
    KL_LOSS_(mean_squared_error, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_mean_absolute_error(...)                                                           \
    KL_LOSS_(mean_absolute_error, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_mean_absolute_percentage_error(...)                                                \
    KL_LOSS_(mean_absolute_percentage_error, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_mean_squared_logarithmic_error(...)                                                \
    KL_LOSS_(mean_squared_logarithmic_error, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_hinge(...) KL_LOSS_(hinge, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_squared_hinge(...)                                                                 \
    KL_LOSS_(squared_hinge, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_categorical_hinge(...)                                                             \
    KL_LOSS_(categorical_hinge, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_kl_divergence(...)                                                                 \
    KL_LOSS_(kl_divergence, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_log_cosh(...) KL_LOSS_(log_cosh, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_poisson(...)  KL_LOSS_(poisson, kl_loss_args, (KL_LOSS_DEFAULTS), __VA_ARGS__)
#define kl_loss_huber(...)                                                                         \
    KL_LOSS_(huber, kl_loss_huber_args, (KL_LOSS_HUBER_DEFAULTS), __VA_ARGS__)
#define kl_loss_cosine_similarity(...)                                                             \
    KL_LOSS_(cosine_similarity, kl_loss_axis_args, (KL_LOSS_AXIS_DEFAULTS), __VA_ARGS__)
#define kl_loss_binary_crossentropy(...)                                                           \
    KL_LOSS_(binary_crossentropy, kl_loss_crossentropy_args, (KL_LOSS_CROSSENTROPY_DEFAULTS),      \
             __VA_ARGS__)
#define kl_loss_categorical_crossentropy(...)                                                      \
    KL_LOSS_(categorical_crossentropy, kl_loss_crossentropy_args, (KL_LOSS_CROSSENTROPY_DEFAULTS), \
             __VA_ARGS__)
#define kl_loss_sparse_categorical_crossentropy(...)                                               \
    KL_LOSS_(sparse_categorical_crossentropy, kl_loss_sparse_args, (KL_LOSS_SPARSE_DEFAULTS),      \
             __VA_ARGS__)
#define kl_loss_binary_focal_crossentropy(...)                                                     \
    KL_LOSS_(binary_focal_crossentropy, kl_loss_focal_args, (KL_LOSS_FOCAL_DEFAULTS), __VA_ARGS__)
#define kl_loss_categorical_focal_crossentropy(...)                                                \
    KL_LOSS_(categorical_focal_crossentropy, kl_loss_focal_args, (KL_LOSS_FOCAL_DEFAULTS),         \
             __VA_ARGS__)
#define kl_loss_dice(...) KL_LOSS_(dice, kl_loss_dice_args, (KL_LOSS_DICE_DEFAULTS), __VA_ARGS__)
#define kl_loss_tversky(...)                                                                       \
    KL_LOSS_(tversky, kl_loss_tversky_args, (KL_LOSS_TVERSKY_DEFAULTS), __VA_ARGS__)
#define kl_loss_categorical_generalized_cross_entropy(...)                                         \
    KL_LOSS_(categorical_generalized_cross_entropy, kl_loss_generalized_args,                      \
             (KL_LOSS_GENERALIZED_DEFAULTS), __VA_ARGS__)
#define kl_loss_circle(...)                                                                        \
    KL_LOSS_(circle, kl_loss_circle_args, (KL_LOSS_CIRCLE_DEFAULTS), __VA_ARGS__)
#endif

/* By Keras name, or an object as it is (one reference is taken over); NULL for None. */
KL_API kl_loss *kl_loss_get(kl_named loss);
/* One's own function of y_true and y_pred, through ops: one value a sample (or more; they are
   reduced as in Keras). */
KL_API kl_loss *kl_loss_from(const char *name,
                             kl_tensor *(*function)(kl_tensor *y_true, kl_tensor *y_pred,
                                                    void *user),
                             void *user);
KL_API const char *kl_loss_name(const kl_loss *loss);
/*
 * The reduced loss: a scalar, or with reduction "none" one value a sample. sample_weight may be
 * NULL, one value a sample, or of any shape that broadcasts to the values. y_pred's mask counts as
 * in Keras 3.
 */
KL_API kl_tensor *kl_loss_call(const kl_loss *loss, kl_tensor *y_true, kl_tensor *y_pred,
                               kl_tensor *sample_weight);

#ifdef __cplusplus
}
#endif
#endif
