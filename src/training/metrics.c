/* Metrics as objects: means of values, the losses among them; names and calls. */
#include "training/metrics.h"
#include <math.h>
#include <stddef.h>
#include "base/error.h"
#include "tensor/tensor.h"

/* ---- Means ---------------------------------------------------------------------------------- */

kl_tensor *kl_metric_floats(kl_tensor *x)
{
    if (x && x->dtype != KL_FLOAT32 && x->dtype != KL_FLOAT64)
        x = kl_op_cast(x, x->dtype == KL_INT64 || x->dtype == KL_INT32 ? KL_FLOAT64 : KL_FLOAT32);
    return x && !x->contiguous ? kl_contiguous(x) : x;
}

static double sum_elements(const kl_tensor *x)
{
    double sum = 0;
    if (x->dtype == KL_FLOAT64) {
        const double *at = (const double *)(const void *)x->data;
        for (int64_t i = 0; i < x->size; i++)
            sum += at[i];
    } else {
        const float *at = (const float *)(const void *)x->data;
        for (int64_t i = 0; i < x->size; i++)
            sum += (double)at[i];
    }
    return sum;
}

/* Means over the axes from `first` on. */
static kl_tensor *mean_from(kl_tensor *x, int first)
{
    int axes[KL_MAX_RANK], count = 0;
    for (int i = first; x && i < x->rank; i++)
        axes[count++] = i;
    return count ? kl_op_mean(x, count, axes, false) : x;
}

kl_status kl_mean_add(kl_mean *mean, kl_tensor *values, kl_tensor *weights)
{
    if (weights) {
        values = kl_metric_floats(values);
        weights = values ? kl_op_cast(weights, (kl_dtype)values->dtype) : NULL;
        if (!kl_align_ranks(&values, &weights, true))
            return kl_last_status();
        values = kl_op_mul(mean_from(values, weights->rank), weights);
        weights = kl_metric_floats(mean_from(weights, 1));
        if (!weights)
            return kl_last_status();
    }
    values = kl_metric_floats(values);
    if (!values)
        return kl_last_status();
    int64_t samples = values->rank ? values->shape[0] : 1;
    int64_t inner = samples ? values->size / samples : 1;
    mean->total += sum_elements(values) / (double)(inner ? inner : 1);
    mean->count += weights ? sum_elements(weights) : (double)samples;
    return KL_OK;
}

double kl_mean_value(const kl_mean *mean)
{
    return mean->count != 0 ? mean->total / mean->count : 0;
}

kl_tensor *kl_masked_weights(kl_tensor *weights, kl_tensor *mask)
{
    kl_tensor *counts = kl_op_cast(mask, KL_FLOAT32);
    if (!weights)
        return counts;
    weights = kl_op_cast(weights, KL_FLOAT32);
    return kl_align_ranks(&counts, &weights, true) ? kl_op_mul(weights, counts) : NULL;
}

static kl_status add_values(kl_mean *mean, kl_tensor *values, kl_tensor *y_pred, kl_tensor *weights)
{
    kl_tensor *const masks[] = {y_pred->mask, values ? values->mask : NULL};
    for (int i = 0; values && i < 2; i++)
        if (masks[i] && !(weights = kl_masked_weights(weights, masks[i])))
            return kl_last_status();
    return values ? kl_mean_add(mean, values, weights) : kl_last_status();
}

#define NAME_FIELDS                                                                                \
    {"name", KL_FIELD_STRING, offsetof(kl_metric_args, name), .doc = "in logs",                    \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
        {"dtype", KL_FIELD_DTYPE, offsetof(kl_metric_args, dtype), .doc = "of the state",          \
         .flags = KL_FIELD_OPTIONAL},                                                              \
    {                                                                                              \
        .name = "fn", .type = KL_FIELD_IGNORED                                                     \
    }
#define LOGITS(T)                                                                                  \
    {                                                                                              \
        "from_logits", KL_FIELD_BOOL, offsetof(T, from_logits), "false",                           \
            .doc = "whether predictions are before softmax or sigmoid"                             \
    }
#define AXIS(T)                                                                                    \
    {                                                                                              \
        "axis", KL_FIELD_INT, offsetof(T, axis), "-1", .doc = "of the classes"                     \
    }

static const kl_field plain_fields[] = {NAME_FIELDS, {0}};
static const kl_field axis_fields[] = {NAME_FIELDS, AXIS(kl_metric_axis_args), {0}};
static const kl_field crossentropy_fields[] = {
    NAME_FIELDS,
    LOGITS(kl_metric_crossentropy_args),
    {"label_smoothing", KL_FIELD_FLOAT, offsetof(kl_metric_crossentropy_args, label_smoothing), "0",
     .doc = "how far labels are moved from 0 and 1", .min = 0, .max = 1},
    AXIS(kl_metric_crossentropy_args),
    {0}};
static const kl_field sparse_fields[] = {
    NAME_FIELDS,
    LOGITS(kl_metric_sparse_args),
    {"ignore_class", KL_FIELD_INT, offsetof(kl_metric_sparse_args, ignore_class),
     .doc = "a label that doesn't count", .flags = KL_FIELD_OPTIONAL},
    AXIS(kl_metric_sparse_args),
    {0}};

_Static_assert(offsetof(kl_metric_args, name) == offsetof(kl_loss_args, name) &&
                   offsetof(kl_metric_crossentropy_args, axis) ==
                       offsetof(kl_loss_crossentropy_args, axis) &&
                   offsetof(kl_metric_sparse_args, axis) == offsetof(kl_loss_sparse_args, axis) &&
                   offsetof(kl_metric_axis_args, axis) == offsetof(kl_loss_axis_args, axis),
               "metrics of losses have the losses' arguments");

/* Keras's cosine similarity as a metric is without the loss's minus sign. */
static kl_tensor *values_cosine(const void *args, kl_tensor *t, kl_tensor *p)
{
    return kl_op_neg(kl_values_cosine_similarity(args, t, p));
}

static kl_tensor *centered(kl_tensor *x, int axis)
{
    return kl_op_sub(x, kl_op_mean(x, 1, &axis, true));
}

static kl_tensor *values_pearson(const void *args, kl_tensor *t, kl_tensor *p)
{
    int axis = (int)((const kl_metric_axis_args *)args)->axis;
    t = t ? kl_op_cast(t, (kl_dtype)p->dtype) : NULL;
    if (!kl_align_ranks(&t, &p, true))
        return NULL;
    t = centered(t, axis);
    p = centered(p, axis);
    t = kl_op_div(t, kl_op_std(t, 1, &axis, true));
    p = kl_op_div(p, kl_op_std(p, 1, &axis, true));
    return kl_op_mean(kl_op_mul(t, p), 1, &axis, false);
}

/* As Keras has it: the product's first factor is the target less the prediction's mean. */
static kl_tensor *values_concordance(const void *args, kl_tensor *t, kl_tensor *p)
{
    int axis = (int)((const kl_metric_axis_args *)args)->axis;
    t = t ? kl_op_cast(t, (kl_dtype)p->dtype) : NULL;
    if (!kl_align_ranks(&t, &p, true))
        return NULL;
    kl_tensor *t_mean = kl_op_mean(t, 1, &axis, true), *p_mean = kl_op_mean(p, 1, &axis, true);
    kl_tensor *spread = kl_op_add(kl_op_var(t, 1, &axis, true), kl_op_var(p, 1, &axis, true));
    kl_tensor *norm = kl_op_add(spread, kl_op_squared_difference(t_mean, p_mean));
    kl_tensor *covariance = kl_op_mul(kl_op_sub(t, p_mean), kl_op_sub(p, p_mean));
    kl_tensor *values =
        kl_op_div(kl_op_mul_scalar(covariance, 2), kl_op_add_scalar(norm, KL_EPSILON));
    return kl_op_mean(values, 1, &axis, false);
}

/* constructor, values, class, names, arguments, fields, name */
#define LOSS_METRICS(X)                                                                            \
    X(mean_squared_error, kl_values_mean_squared_error, "MeanSquaredError",                        \
      "mean_squared_error|mse|MSE", kl_metric_args, plain_fields)                                  \
    X(mean_absolute_error, kl_values_mean_absolute_error, "MeanAbsoluteError",                     \
      "mean_absolute_error|mae|MAE", kl_metric_args, plain_fields)                                 \
    X(mean_absolute_percentage_error, kl_values_mean_absolute_percentage_error,                    \
      "MeanAbsolutePercentageError", "mean_absolute_percentage_error|mape|MAPE", kl_metric_args,   \
      plain_fields)                                                                                \
    X(mean_squared_logarithmic_error, kl_values_mean_squared_logarithmic_error,                    \
      "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error|msle|MSLE", kl_metric_args,   \
      plain_fields)                                                                                \
    X(hinge, kl_values_hinge, "Hinge", "hinge", kl_metric_args, plain_fields)                      \
    X(squared_hinge, kl_values_squared_hinge, "SquaredHinge", "squared_hinge", kl_metric_args,     \
      plain_fields)                                                                                \
    X(categorical_hinge, kl_values_categorical_hinge, "CategoricalHinge", "categorical_hinge",     \
      kl_metric_args, plain_fields)                                                                \
    X(kl_divergence, kl_values_kl_divergence, "KLDivergence",                                      \
      "kl_divergence|kld|KLD|kullback_leibler_divergence", kl_metric_args, plain_fields)           \
    X(log_cosh_error, kl_values_log_cosh, "LogCoshError", "logcosh|log_cosh|log_cosh_error",       \
      kl_metric_args, plain_fields)                                                                \
    X(poisson, kl_values_poisson, "Poisson", "poisson", kl_metric_args, plain_fields)              \
    X(cosine_similarity, values_cosine, "CosineSimilarity", "cosine_similarity",                   \
      kl_metric_axis_args, axis_fields)                                                            \
    X(pearson_correlation, values_pearson, "PearsonCorrelation", "pearson_correlation",            \
      kl_metric_axis_args, axis_fields)                                                            \
    X(concordance_correlation, values_concordance, "ConcordanceCorrelation",                       \
      "concordance_correlation", kl_metric_axis_args, axis_fields)                                 \
    X(binary_crossentropy, kl_values_binary_crossentropy, "BinaryCrossentropy",                    \
      "binary_crossentropy|bce|BCE", kl_metric_crossentropy_args, crossentropy_fields)             \
    X(categorical_crossentropy, kl_values_categorical_crossentropy, "CategoricalCrossentropy",     \
      "categorical_crossentropy", kl_metric_crossentropy_args, crossentropy_fields)                \
    X(sparse_categorical_crossentropy, kl_values_sparse_categorical_crossentropy,                  \
      "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", kl_metric_sparse_args,   \
      sparse_fields)

#define LOSS_METRIC(id, values, class, aliases, T, table)                                          \
    typedef struct id##_state {                                                                    \
        T args;                                                                                    \
        kl_mean mean;                                                                              \
    } id##_state;                                                                                  \
    static kl_status id##_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)            \
    {                                                                                              \
        if (p && !kl_dtype_is_float((kl_dtype)p->dtype))                                           \
            p = kl_op_cast(p, KL_FLOAT32);                                                         \
        return p ? add_values(&((id##_state *)state)->mean, values(state, t, p), p, w)             \
                 : kl_last_status();                                                               \
    }                                                                                              \
    static double id##_value(const void *state)                                                    \
    {                                                                                              \
        return kl_mean_value(&((const id##_state *)state)->mean);                                  \
    }                                                                                              \
    static void id##_reset(void *state)                                                            \
    {                                                                                              \
        ((id##_state *)state)->mean = (kl_mean){0};                                                \
    }                                                                                              \
    static const kl_metric_vtable id##_class = {.size = sizeof(kl_metric_vtable),                  \
                                                .class_name = class,                               \
                                                .names = aliases,                                  \
                                                .state_size = sizeof(id##_state),                  \
                                                .args_size = sizeof(T),                            \
                                                .fields = table,                                   \
                                                .update = id##_update,                             \
                                                .value = id##_value,                               \
                                                .reset = id##_reset};
LOSS_METRICS(LOSS_METRIC)

/* ---- Mean, Sum, root mean squared error ----------------------------------------------------- */

typedef struct mean_state {
    kl_metric_args args;
    kl_mean mean;
} mean_state;

static kl_status mean_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    return kl_mean_add(&((mean_state *)state)->mean, p, w);
}

static double mean_value(const void *state)
{
    return kl_mean_value(&((const mean_state *)state)->mean);
}

static void mean_reset(void *state)
{
    ((mean_state *)state)->mean = (kl_mean){0};
}

static kl_status sum_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    if (w) {
        w = kl_op_cast(w, KL_FLOAT64);
        p = kl_op_cast(p, KL_FLOAT64);
        p = kl_align_ranks(&p, &w, true) ? kl_op_mul(p, w) : NULL;
    }
    p = kl_metric_floats(p);
    if (!p)
        return kl_last_status();
    ((mean_state *)state)->mean.total += sum_elements(p);
    return KL_OK;
}

static double sum_value(const void *state)
{
    return ((const mean_state *)state)->mean.total;
}

static kl_status rmse_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    t = p && t ? kl_op_cast(t, (kl_dtype)p->dtype) : NULL;
    if (!kl_align_ranks(&t, &p, true))
        return kl_last_status();
    kl_tensor *values = kl_op_squared_difference(t, p);
    return values ? kl_mean_add(&((mean_state *)state)->mean, values, w) : kl_last_status();
}

static double rmse_value(const void *state)
{
    return sqrt(mean_value(state));
}

#define MEAN_CLASS(id, class, aliases, from)                                                       \
    static const kl_metric_vtable id##_class = {.size = sizeof(kl_metric_vtable),                  \
                                                .class_name = class,                               \
                                                .names = aliases,                                  \
                                                .state_size = sizeof(mean_state),                  \
                                                .args_size = sizeof(kl_metric_args),               \
                                                .fields = plain_fields,                            \
                                                .update = from##_update,                           \
                                                .value = from##_value,                             \
                                                .reset = mean_reset};
MEAN_CLASS(mean, "Mean", "mean", mean)
MEAN_CLASS(sum, "Sum", "sum", sum)
MEAN_CLASS(root_mean_squared_error, "RootMeanSquaredError", "root_mean_squared_error|rmse|RMSE",
           rmse)

/* ---- One's own ------------------------------------------------------------------------------ */

typedef struct function_args {
    KL_METRIC_ARGS
    kl_tensor *(*function)(kl_tensor *y_true, kl_tensor *y_pred, void *user);
    void *user;
} function_args;
typedef struct function_state {
    function_args args;
    kl_mean mean;
} function_state;

static const kl_field function_fields[] = {
    NAME_FIELDS,
    {"function", KL_FIELD_POINTER, offsetof(function_args, function), .doc = "of the user's"},
    {"user", KL_FIELD_POINTER, offsetof(function_args, user), .doc = "handed to it"},
    {0}};

static kl_status function_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    function_state *s = state;
    if (!s->args.function)
        return kl_error(KL_ERROR_STATE, "the metric %s has no function", s->args.name);
    return add_values(&s->mean, s->args.function(t, p, s->args.user), p, w);
}

static double function_value(const void *state)
{
    return kl_mean_value(&((const function_state *)state)->mean);
}

static void function_reset(void *state)
{
    ((function_state *)state)->mean = (kl_mean){0};
}

static const kl_metric_vtable function_class = {.size = sizeof(kl_metric_vtable),
                                                .class_name = "MeanMetricWrapper",
                                                .state_size = sizeof(function_state),
                                                .args_size = sizeof(function_args),
                                                .fields = function_fields,
                                                .update = function_update,
                                                .value = function_value,
                                                .reset = function_reset,
                                                .default_name = "mean_metric_wrapper"};

/* ---- The table, and calls ------------------------------------------------------------------- */

#define LOSS_ENTRY(id, values, class, aliases, T, table) &id##_class,
static const kl_metric_vtable *const metrics[] = {
    &mean_class, &sum_class, &root_mean_squared_error_class, LOSS_METRICS(LOSS_ENTRY) NULL};

const kl_class *kl_builtin_metric(const char *name)
{
    const kl_metric_vtable *const *const tables[] = {metrics, kl_accuracy_metrics,
                                                     kl_confusion_metrics, kl_class_metrics};
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++)
        for (const kl_metric_vtable *const *at = tables[k]; *at; at++)
            if (kl_class_is_named((const kl_class *)*at, name))
                return (const kl_class *)*at;
    return NULL;
}

kl_metric *kl_metric_make(const char *function, const kl_metric_vtable *cls, const void *args)
{
    kl_training_use();
    if (!args) {
        kl_error_null(function, "args");
        return NULL;
    }
    return kl_object_new(KL_KIND_METRIC, (const kl_class *)cls, args);
}

#define LOSS_CONSTRUCTOR(id, values, class, aliases, T, table)                                     \
    kl_metric *kl_metric_##id##_new(const T *args)                                                 \
    {                                                                                              \
        return kl_metric_make("kl_metric_" #id, &id##_class, args);                                \
    }
LOSS_METRICS(LOSS_CONSTRUCTOR)
LOSS_CONSTRUCTOR(mean, , , , kl_metric_args, )
LOSS_CONSTRUCTOR(sum, , , , kl_metric_args, )
LOSS_CONSTRUCTOR(root_mean_squared_error, , , , kl_metric_args, )

#define DEFAULTS(function, T, values)                                                              \
    T function(void)                                                                               \
    {                                                                                              \
        return (T){.size = sizeof(T), .mark = kl_error_count(), KL_UNPAREN_ values};               \
    }
DEFAULTS(kl_metric_defaults, kl_metric_args, (KL_METRIC_DEFAULTS))
DEFAULTS(kl_metric_threshold_defaults, kl_metric_threshold_args, (KL_METRIC_THRESHOLD_DEFAULTS))
DEFAULTS(kl_metric_top_k_defaults, kl_metric_top_k_args, (KL_METRIC_TOP_K_DEFAULTS))
DEFAULTS(kl_metric_crossentropy_defaults, kl_metric_crossentropy_args,
         (KL_METRIC_CROSSENTROPY_DEFAULTS))
DEFAULTS(kl_metric_sparse_defaults, kl_metric_sparse_args, (KL_METRIC_SPARSE_DEFAULTS))
DEFAULTS(kl_metric_axis_defaults, kl_metric_axis_args, (KL_METRIC_AXIS_DEFAULTS))
DEFAULTS(kl_metric_confusion_defaults, kl_metric_confusion_args, (KL_METRIC_CONFUSION_DEFAULTS))
DEFAULTS(kl_metric_auc_defaults, kl_metric_auc_args, (KL_METRIC_AUC_DEFAULTS))
DEFAULTS(kl_metric_constrained_defaults, kl_metric_constrained_args,
         (KL_METRIC_CONSTRAINED_DEFAULTS))
DEFAULTS(kl_metric_f_score_defaults, kl_metric_f_score_args, (KL_METRIC_F_SCORE_DEFAULTS))
DEFAULTS(kl_metric_r2_score_defaults, kl_metric_r2_score_args, (KL_METRIC_R2_SCORE_DEFAULTS))
DEFAULTS(kl_metric_iou_defaults, kl_metric_iou_args, (KL_METRIC_IOU_DEFAULTS))

kl_metric *kl_metric_from(const char *name,
                          kl_tensor *(*function)(kl_tensor *y_true, kl_tensor *y_pred, void *user),
                          void *user)
{
    if (!function) {
        kl_error_null("kl_metric_from", "function");
        return NULL;
    }
    const function_args args = {.size = sizeof args,
                                .mark = kl_error_count(),
                                .name = name,
                                .function = function,
                                .user = user};
    return kl_metric_make("kl_metric_from", &function_class, &args);
}

kl_metric *kl_metric_get(kl_named metric)
{
    kl_training_use();
    if (!metric) {
        kl_error_null("kl_metric_get", "metric");
        return NULL;
    }
    if (*(const uint8_t *)metric != 0xFF) {
        const kl_class *cls = kl_class_find(KL_KIND_METRIC, metric);
        if (!cls)
            kl_error(KL_ERROR_NOT_FOUND, "unknown metric: '%s'", (const char *)metric);
        return cls ? kl_object_new(KL_KIND_METRIC, cls, NULL) : NULL;
    }
    if (kl_object_kind(metric) == KL_KIND_METRIC)
        return (kl_metric *)(uintptr_t)metric;
    kl_object *none;
    kl_named_resolve(KL_KIND_METRIC, metric, &none);
    return NULL;
}

static const kl_metric_vtable *vtable_of(const char *function, const kl_metric *metric)
{
    if (!metric)
        kl_error_null(function, "metric");
    else if (kl_object_kind(metric) == KL_KIND_METRIC)
        return (const kl_metric_vtable *)((const kl_object *)metric)->cls;
    else
        kl_error(KL_ERROR_INVALID, "%s: expected a metric, got another object", function);
    return NULL;
}

const char *kl_metric_name(const kl_metric *metric)
{
    const kl_metric_args *args = kl_object_state(metric);
    return args && args->name ? args->name : "";
}

kl_status kl_metric_update_state(kl_metric *metric, kl_tensor *y_true, kl_tensor *y_pred,
                                 kl_tensor *sample_weight)
{
    const kl_metric_vtable *cls = vtable_of("kl_metric_update_state", metric);
    if (!cls)
        return kl_last_status();
    bool needs_true = cls != &mean_class && cls != &sum_class;
    if (!y_pred || (needs_true && !y_true))
        return kl_error_null(kl_metric_name(metric), y_pred ? "y_true" : "y_pred");
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return kl_last_status();
    kl_tape_pause();
    kl_status status = cls->update(kl_object_state(metric), y_true, y_pred, sample_weight);
    kl_tape_resume();
    kl_scope_end_keeping(scope, 0, NULL);
    if (status)
        kl_error_prefix(kl_metric_name(metric));
    return status;
}

double kl_metric_value(const kl_metric *metric)
{
    const kl_metric_vtable *cls = vtable_of("kl_metric_value", metric);
    return cls ? cls->value(kl_object_state(metric)) : NAN;
}

kl_tensor *kl_metric_result(const kl_metric *metric)
{
    const kl_metric_vtable *cls = vtable_of("kl_metric_result", metric);
    if (!cls)
        return NULL;
    const void *state = kl_object_state(metric);
    return cls->result ? cls->result(state) : kl_scalar(KL_FLOAT32, cls->value(state));
}

kl_status kl_metric_reset(kl_metric *metric)
{
    const kl_metric_vtable *cls = vtable_of("kl_metric_reset", metric);
    if (!cls)
        return kl_last_status();
    cls->reset(kl_object_state(metric));
    return KL_OK;
}
