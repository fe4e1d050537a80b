/*
 * Optimizers and learning-rate schedules: https://keras.io/api/optimizers/. An optimizer argument
 * is a Keras name ("adam") or an object made here. Formulas, the order of operations and the
 * variables are Keras 3's.
 */
#ifndef KLAYERS_OPTIMIZERS_H
#define KLAYERS_OPTIMIZERS_H

#include "klayers/layer.h"
#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Schedules ------------------------------------------------------------------------------ */

typedef struct kl_schedule_vtable {
    KL_CLASS_HEAD
    /* MUST: the learning rate after `step` updates; `state` is the object's. */
    double (*call)(const void *state, int64_t step);
} kl_schedule_vtable;

typedef struct kl_decay_args {
    size_t size;
    unsigned mark;
    const char *name;
    double initial_learning_rate; /* required */
    int64_t decay_steps;          /* required, at least 1 */
    double decay_rate;            /* required */
    bool staircase;
} kl_decay_args;
typedef struct kl_piecewise_constant_decay_args {
    size_t size;
    unsigned mark;
    const char *name;
    kl_ints boundaries; /* steps, rising */
    kl_floats values;   /* one more than boundaries */
} kl_piecewise_constant_decay_args;
typedef struct kl_polynomial_decay_args {
    size_t size;
    unsigned mark;
    const char *name;
    double initial_learning_rate;
    int64_t decay_steps;
    double end_learning_rate; /* 0.0001 */
    double power;             /* 1 */
    bool cycle;
} kl_polynomial_decay_args;
typedef struct kl_cosine_decay_args {
    size_t size;
    unsigned mark;
    const char *name;
    double initial_learning_rate;
    int64_t decay_steps;
    double alpha;
    double warmup_target; /* KL_NONEF: no warm-up */
    int64_t warmup_steps;
} kl_cosine_decay_args;
typedef struct kl_cosine_decay_restarts_args {
    size_t size;
    unsigned mark;
    const char *name;
    double initial_learning_rate;
    int64_t first_decay_steps;
    double t_mul, m_mul, alpha; /* 2, 1, 0 */
} kl_cosine_decay_restarts_args;

KL_API kl_schedule *kl_exponential_decay_new(const kl_decay_args *args);
KL_API kl_schedule *kl_inverse_time_decay_new(const kl_decay_args *args);
KL_API kl_schedule *kl_piecewise_constant_decay_new(const kl_piecewise_constant_decay_args *args);
KL_API kl_schedule *kl_polynomial_decay_new(const kl_polynomial_decay_args *args);
KL_API kl_schedule *kl_cosine_decay_new(const kl_cosine_decay_args *args);
KL_API kl_schedule *kl_cosine_decay_restarts_new(const kl_cosine_decay_restarts_args *args);
KL_API kl_decay_args kl_decay_defaults(void);
KL_API kl_piecewise_constant_decay_args kl_piecewise_constant_decay_defaults(void);
KL_API kl_polynomial_decay_args kl_polynomial_decay_defaults(void);
KL_API kl_cosine_decay_args kl_cosine_decay_defaults(void);
KL_API kl_cosine_decay_restarts_args kl_cosine_decay_restarts_defaults(void);
#define KL_DECAY_DEFAULTS            .name = NULL
#define KL_POLYNOMIAL_DECAY_DEFAULTS .end_learning_rate = 0.0001, .power = 1
#define KL_COSINE_DECAY_DEFAULTS     .warmup_target = KL_NONEF
#define KL_COSINE_RESTARTS_DEFAULTS  .t_mul = 2, .m_mul = 1
#ifndef __cplusplus
#define kl_exponential_decay(...)                                                                  \
    KL_CALL_(kl_exponential_decay_new, kl_decay_args, (KL_DECAY_DEFAULTS), __VA_ARGS__)
#define kl_inverse_time_decay(...)                                                                 \
    KL_CALL_(kl_inverse_time_decay_new, kl_decay_args, (KL_DECAY_DEFAULTS), __VA_ARGS__)
#define kl_piecewise_constant_decay(...)                                                           \
    KL_CALL_(kl_piecewise_constant_decay_new, kl_piecewise_constant_decay_args,                    \
             (KL_DECAY_DEFAULTS), __VA_ARGS__)
#define kl_polynomial_decay(...)                                                                   \
    KL_CALL_(kl_polynomial_decay_new, kl_polynomial_decay_args, (KL_POLYNOMIAL_DECAY_DEFAULTS),    \
             __VA_ARGS__)
#define kl_cosine_decay(...)                                                                       \
    KL_CALL_(kl_cosine_decay_new, kl_cosine_decay_args, (KL_COSINE_DECAY_DEFAULTS), __VA_ARGS__)
#define kl_cosine_decay_restarts(...)                                                              \
    KL_CALL_(kl_cosine_decay_restarts_new, kl_cosine_decay_restarts_args,                          \
             (KL_COSINE_RESTARTS_DEFAULTS), __VA_ARGS__)
#endif
/* The rate after `step` updates; NaN with an error for NULL. */
KL_API double kl_schedule_call(const kl_schedule *schedule, int64_t step);

/* ---- Optimizers ----------------------------------------------------------------------------- */

/*
 * The head of every optimizer's arguments. `schedule`, if given, is taken over and decides the
 * rate. At most one of clipnorm, clipvalue and global_clipnorm may be set.
 */
#define KL_OPTIMIZER_ARGS                                                                          \
    size_t size;                                                                                   \
    unsigned mark;                                                                                 \
    double learning_rate;                                                                          \
    kl_schedule *schedule;                                                                         \
    const char *name;                                                                              \
    double weight_decay, clipnorm, clipvalue, global_clipnorm; /* KL_NONEF: none */                \
    bool use_ema;                                                                                  \
    double ema_momentum;                                                                           \
    int64_t ema_overwrite_frequency;     /* KL_NONE: only at the end */                            \
    double loss_scale_factor;            /* KL_NONEF: none */                                      \
    int64_t gradient_accumulation_steps; /* KL_NONE: none */
#define KL_OPTIMIZER_DEFAULTS                                                                      \
    .learning_rate = 0.001, .weight_decay = KL_NONEF, .clipnorm = KL_NONEF, .clipvalue = KL_NONEF, \
    .global_clipnorm = KL_NONEF, .ema_momentum = 0.99, .ema_overwrite_frequency = KL_NONE,         \
    .loss_scale_factor = KL_NONEF, .gradient_accumulation_steps = KL_NONE

typedef struct kl_optimizer_args {
    KL_OPTIMIZER_ARGS
} kl_optimizer_args;

/* One weight's update, as an optimizer's rule gets it. All pointers are to `count` elements. */
typedef struct kl_optimizer_step {
    kl_dtype dtype; /* of all of them: KL_FLOAT32 or KL_FLOAT64 */
    int64_t count;
    void *value;
    const void *gradient;
    const void *squares; /* what stands for the gradient's squares (before `scale`), where rows of
                            an embedding came several times: Keras squares before it adds them
                            up. NULL: the gradient squared */
    void *slots[4];
    double learning_rate;
    int64_t step;    /* this update's number, from 1 */
    double scale;    /* the gradient counts this much (clipping by norm, accumulation) */
    double limit;    /* and is then clipped to [-limit, limit]; may be infinite */
    double decay;    /* the value first loses this part of itself (weight decay) */
    double extra[2]; /* what `begin` left */
    int rank;
    const int64_t *shape;
} kl_optimizer_step;

typedef struct kl_optimizer_vtable {
    KL_CLASS_HEAD
    /* MUST: the variables that every weight has, by name, in Keras's order: names joined by ','
       are made weight by weight, groups joined by '|' one after another; "" for none. */
    const char *(*slots)(const void *state);
    /* MAY: the value that slot `index` starts with; NULL: 0. */
    double (*initial)(const void *state, int index);
    /* MAY: a number kept from step to step under this name, 1 at first; `begin` gets it in
       extra[0] once a step and leaves the new one there. */
    const char *scalar;
    void (*begin)(const void *state, kl_optimizer_step *step);
    /* MUST: updates one weight. Elements [0, count) are independent unless `whole` is set: a large
       weight is then updated by several calls on several threads. */
    void (*update)(const void *state, const kl_optimizer_step *step);
    bool whole;
    /* Whether a gradient of 0 leaves value and slots as they are, so that rows without one may be
       passed over. NULL: no. */
    bool (*sparse)(const void *state);
    /* MAY: this many slots, the first ones, start as copies of their weight. */
    int copies;
} kl_optimizer_vtable;

typedef struct kl_sgd_args {
    KL_OPTIMIZER_ARGS
    double momentum; /* 0: of the velocity; 0: none */
    bool nesterov;   /* false: whether the momentum looks ahead */
} kl_sgd_args;
typedef struct kl_rmsprop_args {
    KL_OPTIMIZER_ARGS
    double rho;      /* 0.9: decay of the squared gradients */
    double momentum; /* 0: of the update; 0: none */
    double epsilon;  /* 1e-7: keeps the division finite */
    bool centered;   /* false: whether the gradient's mean is taken off */
} kl_rmsprop_args;
typedef struct kl_adam_args {
    KL_OPTIMIZER_ARGS
    double beta_1;  /* 0.9: decay of the gradients' mean */
    double beta_2;  /* 0.999: decay of their squares */
    double epsilon; /* 1e-7: keeps the division finite */
    bool amsgrad;   /* false: whether the largest second moment counts */
} kl_adam_args;
typedef struct kl_adamw_args {
    KL_OPTIMIZER_ARGS
    double beta_1;  /* 0.9: decay of the gradients' mean */
    double beta_2;  /* 0.999: decay of their squares */
    double epsilon; /* 1e-7: keeps the division finite */
    bool amsgrad;   /* false: whether the largest second moment counts */
} kl_adamw_args;
typedef struct kl_adagrad_args {
    KL_OPTIMIZER_ARGS
    double initial_accumulator_value; /* 0.1: of the squared gradients */
    double epsilon;                   /* 1e-7: keeps the division finite */
} kl_adagrad_args;
typedef struct kl_adadelta_args {
    KL_OPTIMIZER_ARGS
    double rho;     /* 0.95: decay of the squares */
    double epsilon; /* 1e-7: keeps the division finite */
} kl_adadelta_args;
typedef struct kl_adamax_args {
    KL_OPTIMIZER_ARGS
    double beta_1;  /* 0.9: decay of the gradients' mean */
    double beta_2;  /* 0.999: decay of their infinity norm */
    double epsilon; /* 1e-7: keeps the division finite */
} kl_adamax_args;
typedef struct kl_nadam_args {
    KL_OPTIMIZER_ARGS
    double beta_1;  /* 0.9: decay of the gradients' mean */
    double beta_2;  /* 0.999: decay of their squares */
    double epsilon; /* 1e-7: keeps the division finite */
} kl_nadam_args;
typedef struct kl_ftrl_args {
    KL_OPTIMIZER_ARGS
    double learning_rate_power;                  /* -0.5: how the rate falls; at most 0 */
    double initial_accumulator_value;            /* 0.1: of the squared gradients */
    double l1_regularization_strength;           /* 0: at least 0 */
    double l2_regularization_strength;           /* 0: at least 0 */
    double l2_shrinkage_regularization_strength; /* 0: at least 0 */
    double beta;                                 /* 0: at least 0 */
} kl_ftrl_args;
typedef struct kl_lion_args {
    KL_OPTIMIZER_ARGS
    double beta_1; /* 0.9: between momentum and gradient */
    double beta_2; /* 0.99: decay of the momentum */
} kl_lion_args;
typedef struct kl_lamb_args {
    KL_OPTIMIZER_ARGS
    double beta_1;  /* 0.9: decay of the gradients' mean */
    double beta_2;  /* 0.999: decay of their squares */
    double epsilon; /* 1e-7: keeps the division finite */
} kl_lamb_args;
typedef struct kl_adafactor_args {
    KL_OPTIMIZER_ARGS
    double beta_2_decay;   /* -0.8: exponent of the decay */
    double epsilon_1;      /* 1e-30: added to squared gradients */
    double epsilon_2;      /* 0.001: least size of an update */
    double clip_threshold; /* 1: of the update's root mean square */
    bool relative_step;    /* true: whether the rate falls with the step */
} kl_adafactor_args;

typedef struct kl_schedule_free_adamw_args {
    KL_OPTIMIZER_ARGS
    double beta_1;        /* 0.9: between the sequence of steps (0) and its average (1) */
    double beta_2;        /* 0.999: decay of the squared gradients */
    double epsilon;       /* 1e-8: keeps the division finite */
    int64_t warmup_steps; /* 0: over which the rate rises from 0 */
} kl_schedule_free_adamw_args;

/* kl_X_new(args), and the keyword form kl_X(.learning_rate = 0.01). The caller owns the optimizer
   until kl_compile takes it over. NULL on bad arguments. */
KL_API kl_optimizer *kl_sgd_new(const kl_sgd_args *args);
KL_API kl_optimizer *kl_rmsprop_new(const kl_rmsprop_args *args);
KL_API kl_optimizer *kl_adam_new(const kl_adam_args *args);
KL_API kl_optimizer *kl_adamw_new(const kl_adamw_args *args);
KL_API kl_optimizer *kl_adagrad_new(const kl_adagrad_args *args);
KL_API kl_optimizer *kl_adadelta_new(const kl_adadelta_args *args);
KL_API kl_optimizer *kl_adamax_new(const kl_adamax_args *args);
KL_API kl_optimizer *kl_nadam_new(const kl_nadam_args *args);
KL_API kl_optimizer *kl_ftrl_new(const kl_ftrl_args *args);
KL_API kl_optimizer *kl_lion_new(const kl_lion_args *args);
KL_API kl_optimizer *kl_lamb_new(const kl_lamb_args *args);
KL_API kl_optimizer *kl_adafactor_new(const kl_adafactor_args *args);
KL_API kl_optimizer *kl_schedule_free_adamw_new(const kl_schedule_free_adamw_args *args);
KL_API kl_sgd_args kl_sgd_defaults(void);
KL_API kl_rmsprop_args kl_rmsprop_defaults(void);
KL_API kl_adam_args kl_adam_defaults(void);
KL_API kl_adamw_args kl_adamw_defaults(void);
KL_API kl_adagrad_args kl_adagrad_defaults(void);
KL_API kl_adadelta_args kl_adadelta_defaults(void);
KL_API kl_adamax_args kl_adamax_defaults(void);
KL_API kl_nadam_args kl_nadam_defaults(void);
KL_API kl_ftrl_args kl_ftrl_defaults(void);
KL_API kl_lion_args kl_lion_defaults(void);
KL_API kl_lamb_args kl_lamb_defaults(void);
KL_API kl_adafactor_args kl_adafactor_defaults(void);
KL_API kl_schedule_free_adamw_args kl_schedule_free_adamw_defaults(void);

#define KL_SGD_DEFAULTS                                                                            \
    .learning_rate = 0.01, .weight_decay = KL_NONEF, .clipnorm = KL_NONEF, .clipvalue = KL_NONEF,  \
    .global_clipnorm = KL_NONEF, .ema_momentum = 0.99, .ema_overwrite_frequency = KL_NONE,         \
    .loss_scale_factor = KL_NONEF, .gradient_accumulation_steps = KL_NONE
#define KL_RMSPROP_DEFAULTS KL_OPTIMIZER_DEFAULTS, .rho = 0.9, .epsilon = 1e-7
#define KL_ADAM_DEFAULTS    KL_OPTIMIZER_DEFAULTS, .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7
#define KL_ADAMW_DEFAULTS                                                                          \
    .learning_rate = 0.001, .weight_decay = 0.004, .clipnorm = KL_NONEF, .clipvalue = KL_NONEF,    \
    .global_clipnorm = KL_NONEF, .ema_momentum = 0.99, .ema_overwrite_frequency = KL_NONE,         \
    .loss_scale_factor = KL_NONEF, .gradient_accumulation_steps = KL_NONE, .beta_1 = 0.9,          \
    .beta_2 = 0.999, .epsilon = 1e-7
#define KL_ADAGRAD_DEFAULTS  KL_OPTIMIZER_DEFAULTS, .initial_accumulator_value = 0.1, .epsilon = 1e-7
#define KL_ADADELTA_DEFAULTS KL_OPTIMIZER_DEFAULTS, .rho = 0.95, .epsilon = 1e-7
#define KL_ADAMAX_DEFAULTS   KL_OPTIMIZER_DEFAULTS, .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7
#define KL_NADAM_DEFAULTS    KL_OPTIMIZER_DEFAULTS, .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7
#define KL_FTRL_DEFAULTS                                                                           \
    KL_OPTIMIZER_DEFAULTS, .learning_rate_power = -0.5, .initial_accumulator_value = 0.1
#define KL_LION_DEFAULTS KL_OPTIMIZER_DEFAULTS, .beta_1 = 0.9, .beta_2 = 0.99
#define KL_LAMB_DEFAULTS KL_OPTIMIZER_DEFAULTS, .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7
#define KL_ADAFACTOR_DEFAULTS                                                                      \
    KL_OPTIMIZER_DEFAULTS, .beta_2_decay = -0.8, .epsilon_1 = 1e-30, .epsilon_2 = 0.001,           \
                           .clip_threshold = 1, .relative_step = true
#define KL_SCHEDULE_FREE_ADAMW_DEFAULTS                                                            \
    .learning_rate = 0.0025, .weight_decay = KL_NONEF, .clipnorm = KL_NONEF,                       \
    .clipvalue = KL_NONEF, .global_clipnorm = KL_NONEF, .ema_momentum = 0.99,                      \
    .ema_overwrite_frequency = KL_NONE, .loss_scale_factor = KL_NONEF,                             \
    .gradient_accumulation_steps = KL_NONE, .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-8
#ifndef __cplusplus
#define kl_sgd(...) KL_CALL_(kl_sgd_new, kl_sgd_args, (KL_SGD_DEFAULTS), __VA_ARGS__)
#define kl_rmsprop(...)                                                                            \
    KL_CALL_(kl_rmsprop_new, kl_rmsprop_args, (KL_RMSPROP_DEFAULTS), __VA_ARGS__)
#define kl_adam(...)  KL_CALL_(kl_adam_new, kl_adam_args, (KL_ADAM_DEFAULTS), __VA_ARGS__)
#define kl_adamw(...) KL_CALL_(kl_adamw_new, kl_adamw_args, (KL_ADAMW_DEFAULTS), __VA_ARGS__)
#define kl_adagrad(...)                                                                            \
    KL_CALL_(kl_adagrad_new, kl_adagrad_args, (KL_ADAGRAD_DEFAULTS), __VA_ARGS__)
#define kl_adadelta(...)                                                                           \
    KL_CALL_(kl_adadelta_new, kl_adadelta_args, (KL_ADADELTA_DEFAULTS), __VA_ARGS__)
#define kl_adamax(...) KL_CALL_(kl_adamax_new, kl_adamax_args, (KL_ADAMAX_DEFAULTS), __VA_ARGS__)
#define kl_nadam(...)  KL_CALL_(kl_nadam_new, kl_nadam_args, (KL_NADAM_DEFAULTS), __VA_ARGS__)
#define kl_ftrl(...)   KL_CALL_(kl_ftrl_new, kl_ftrl_args, (KL_FTRL_DEFAULTS), __VA_ARGS__)
#define kl_lion(...)   KL_CALL_(kl_lion_new, kl_lion_args, (KL_LION_DEFAULTS), __VA_ARGS__)
#define kl_lamb(...)   KL_CALL_(kl_lamb_new, kl_lamb_args, (KL_LAMB_DEFAULTS), __VA_ARGS__)
#define kl_adafactor(...)                                                                          \
    KL_CALL_(kl_adafactor_new, kl_adafactor_args, (KL_ADAFACTOR_DEFAULTS), __VA_ARGS__)
#define kl_schedule_free_adamw(...)                                                                \
    KL_CALL_(kl_schedule_free_adamw_new, kl_schedule_free_adamw_args,                              \
             (KL_SCHEDULE_FREE_ADAMW_DEFAULTS), __VA_ARGS__)
#endif

/* By Keras name, or an object as it is (one reference is taken over); NULL on error. */
KL_API kl_optimizer *kl_optimizer_get(kl_named optimizer);
KL_API const char *kl_optimizer_name(const kl_optimizer *optimizer);
/* The rate of the next update; settable unless a schedule decides it. */
KL_API double kl_optimizer_learning_rate(const kl_optimizer *optimizer);
KL_API kl_status kl_optimizer_set_learning_rate(kl_optimizer *optimizer, double learning_rate);
/* Updates done so far. */
KL_API int64_t kl_optimizer_iterations(const kl_optimizer *optimizer);
/*
 * Makes the variables for these weights; kl_optimizer_apply does it at need. The weights must live
 * as long as the optimizer is used with them.
 */
KL_API kl_status kl_optimizer_build(kl_optimizer *optimizer, int count, kl_weight *const *weights);
/*
 * One update of the weights by their gradients (NULL entries are passed over; all NULL is an
 * error), clipping, weight decay, averages and constraints included. The weights are those it was
 * built for, or some of them.
 */
KL_API kl_status kl_optimizer_apply(kl_optimizer *optimizer, int count, kl_weight *const *weights,
                                    kl_tensor *const *gradients);
/* Variables in Keras's order (iteration, learning_rate, then those of the weights), lent; the name
   without the optimizer's. NULL beyond the end. */
KL_API int kl_optimizer_variable_count(const kl_optimizer *optimizer);
KL_API kl_tensor *kl_optimizer_variable(const kl_optimizer *optimizer, int index,
                                        const char **name);
/* Sets all variables of a built optimizer, shapes checked first. */
KL_API kl_status kl_optimizer_set_variables(kl_optimizer *optimizer, int count,
                                            kl_tensor *const *values);
/* Overwrites the weights by their averages (use_ema); fit does so at its end. */
KL_API kl_status kl_optimizer_finalize(kl_optimizer *optimizer);
/* Leaves weights out of weight decay whose name contains one of the texts. Before it is built. */
KL_API kl_status kl_optimizer_exclude_from_weight_decay(kl_optimizer *optimizer, kl_strings names);

#ifdef __cplusplus
}
#endif
#endif
