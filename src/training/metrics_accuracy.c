/* The accuracy family. */
#include <math.h>
#include <stddef.h>
#include "base/error.h"
#include "tensor/tensor.h"
#include "training/metrics.h"

#define NAME_FIELDS                                                                                \
    {"name", KL_FIELD_STRING, offsetof(kl_metric_args, name), .doc = "in logs",                    \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
        {"dtype", KL_FIELD_DTYPE, offsetof(kl_metric_args, dtype), .doc = "of the state",          \
         .flags = KL_FIELD_OPTIONAL},                                                              \
    {                                                                                              \
        .name = "fn", .type = KL_FIELD_IGNORED                                                     \
    }

static const kl_field plain_fields[] = {NAME_FIELDS, {0}};
static const kl_field threshold_fields[] = {
    NAME_FIELDS,
    {"threshold", KL_FIELD_FLOAT, offsetof(kl_metric_threshold_args, threshold), "0.5",
     .doc = "above it a prediction is 1", .min = 0, .max = 1},
    {0}};
static const kl_field top_k_fields[] = {NAME_FIELDS,
                                        {"k", KL_FIELD_INT, offsetof(kl_metric_top_k_args, k), "5",
                                         .doc = "how many may hit", .min = 1, .max = 1e18},
                                        {"from_sorted_ids", KL_FIELD_BOOL,
                                         offsetof(kl_metric_top_k_args, from_sorted_ids), "false",
                                         .doc = "whether predictions are class ids, best first"},
                                        {0}};

static double element(const kl_tensor *x, int64_t i)
{
    return x->dtype == KL_FLOAT64 ? ((const double *)(const void *)x->data)[i]
                                  : (double)((const float *)(const void *)x->data)[i];
}

static kl_tensor *values_like(const kl_tensor *p, float **at)
{
    kl_tensor *values = kl_empty(KL_FLOAT32, p->rank - 1, p->shape);
    *at = values ? kl_tensor_mutable_data(values) : NULL;
    return values;
}

static kl_tensor *mean_last(kl_tensor *x)
{
    return x && x->rank ? kl_op_mean(x, 1, (const int[]){-1}, false) : x;
}

static kl_tensor *values_accuracy(const void *args, kl_tensor *t, kl_tensor *p)
{
    if (!kl_align_ranks(&t, &p, true))
        return NULL;
    return mean_last(kl_op_cast(kl_op_equal(kl_op_cast(t, (kl_dtype)p->dtype), p), KL_FLOAT32));
}

static kl_tensor *values_binary(const void *args, kl_tensor *t, kl_tensor *p)
{
    double threshold = ((const kl_metric_threshold_args *)args)->threshold;
    if (!kl_align_ranks(&t, &p, true))
        return NULL;
    kl_tensor *hit = kl_op_greater(p, kl_scalar((kl_dtype)p->dtype, threshold));
    return mean_last(kl_op_cast(
        kl_op_equal(kl_op_cast(t, (kl_dtype)p->dtype), kl_op_cast(hit, (kl_dtype)p->dtype)),
        KL_FLOAT32));
}

static int64_t argmax(const kl_tensor *x, int64_t row, int64_t n)
{
    int64_t best = 0;
    if (x->dtype == KL_FLOAT32) {
        const float *at = (const float *)(const void *)x->data + row * n;
        for (int64_t j = 1; j < n; j++)
            best = at[j] > at[best] ? j : best;
        return best;
    }
    for (int64_t j = 1; j < n; j++)
        best = element(x, row * n + j) > element(x, row * n + best) ? j : best;
    return best;
}

/* A prediction has an axis of classes. */
static bool has_classes(const char *name, const kl_tensor *p)
{
    if (p && p->rank && p->shape[p->rank - 1] > 0)
        return true;
    if (p)
        kl_error(KL_ERROR_SHAPE, "%s: y_pred needs an axis of classes", name);
    return false;
}

static bool ready_categorical(const char *name, kl_tensor **t, kl_tensor **p)
{
    *t = kl_metric_floats(*t);
    *p = kl_metric_floats(*p);
    if (!*t || !has_classes(name, *p))
        return false;
    if (kl_shape_equal(*t, *p))
        return true;
    char got[128], pred[128];
    kl_error(KL_ERROR_SHAPE, "%s: y_true and y_pred must have the same shape, got %s and %s", name,
             kl_shape_text((*t)->rank, (*t)->shape, got, sizeof got),
             kl_shape_text((*p)->rank, (*p)->shape, pred, sizeof pred));
    return false;
}

/* One label a row of p; a last axis of 1 is dropped. */
static bool ready_sparse(const char *name, kl_tensor **t, kl_tensor **p)
{
    *t = kl_metric_floats(*t);
    *p = kl_metric_floats(*p);
    if (!*t || !has_classes(name, *p))
        return false;
    if ((*t)->size == (*p)->size / (*p)->shape[(*p)->rank - 1])
        return true;
    char got[128], pred[128];
    kl_error(KL_ERROR_SHAPE, "%s: expected a label for each row of y_pred %s, got y_true %s", name,
             kl_shape_text((*p)->rank, (*p)->shape, pred, sizeof pred),
             kl_shape_text((*t)->rank, (*t)->shape, got, sizeof got));
    return false;
}

static kl_tensor *values_categorical(const void *args, kl_tensor *t, kl_tensor *p)
{
    if (!ready_categorical("categorical_accuracy", &t, &p))
        return NULL;
    float *at;
    kl_tensor *values = values_like(p, &at);
    int64_t n = p->shape[p->rank - 1];
    for (int64_t i = 0; values && i < values->size; i++)
        at[i] = argmax(t, i, n) == argmax(p, i, n);
    return values;
}

static kl_tensor *values_sparse(const void *args, kl_tensor *t, kl_tensor *p)
{
    if (!ready_sparse("sparse_categorical_accuracy", &t, &p))
        return NULL;
    float *at;
    kl_tensor *values = values_like(p, &at);
    int64_t n = p->shape[p->rank - 1];
    for (int64_t i = 0; values && i < values->size; i++)
        at[i] = (double)argmax(p, i, n) == element(t, i);
    return values;
}

/* Whether `label` is among the k best of a row: fewer than k are above it, ties count as hits as
   in TensorFlow's in_top_k; a value that is not finite is none. */
static bool in_top(const kl_tensor *p, int64_t row, int64_t n, int64_t label, int64_t k, bool ids)
{
    if (ids) {
        for (int64_t j = 0; j < n && j < k; j++)
            if (element(p, row * n + j) == (double)label)
                return true;
        return false;
    }
    if (label < 0 || label >= n || !isfinite(element(p, row * n + label)))
        return false;
    int64_t above = 0;
    for (int64_t j = 0; j < n; j++)
        above += element(p, row * n + j) > element(p, row * n + label);
    return above < k;
}

static kl_tensor *values_top_k(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_metric_top_k_args *a = args;
    if (!ready_categorical("top_k_categorical_accuracy", &t, &p))
        return NULL;
    float *at;
    kl_tensor *values = values_like(p, &at);
    int64_t n = p->shape[p->rank - 1];
    for (int64_t i = 0; values && i < values->size; i++)
        at[i] = in_top(p, i, n, argmax(t, i, n), a->k, false);
    return values;
}

static kl_tensor *values_sparse_top_k(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_metric_top_k_args *a = args;
    if (!ready_sparse("sparse_top_k_categorical_accuracy", &t, &p))
        return NULL;
    float *at;
    kl_tensor *values = values_like(p, &at);
    int64_t n = p->shape[p->rank - 1];
    for (int64_t i = 0; values && i < values->size; i++)
        at[i] = in_top(p, i, n, (int64_t)element(t, i), a->k, a->from_sorted_ids);
    return values;
}

#define ACCURACIES(X)                                                                              \
    X(accuracy, values_accuracy, "Accuracy", "accuracy|acc", kl_metric_args, plain_fields)         \
    X(binary_accuracy, values_binary, "BinaryAccuracy", "binary_accuracy",                         \
      kl_metric_threshold_args, threshold_fields)                                                  \
    X(categorical_accuracy, values_categorical, "CategoricalAccuracy", "categorical_accuracy",     \
      kl_metric_args, plain_fields)                                                                \
    X(sparse_categorical_accuracy, values_sparse, "SparseCategoricalAccuracy",                     \
      "sparse_categorical_accuracy", kl_metric_args, plain_fields)                                 \
    X(top_k_categorical_accuracy, values_top_k, "TopKCategoricalAccuracy",                         \
      "top_k_categorical_accuracy", kl_metric_top_k_args, top_k_fields)                            \
    X(sparse_top_k_categorical_accuracy, values_sparse_top_k, "SparseTopKCategoricalAccuracy",     \
      "sparse_top_k_categorical_accuracy", kl_metric_top_k_args, top_k_fields)

#define ACCURACY(id, function, class, aliases, T, table)                                           \
    typedef struct id##_state {                                                                    \
        T args;                                                                                    \
        kl_mean mean;                                                                              \
    } id##_state;                                                                                  \
    static kl_status id##_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)            \
    {                                                                                              \
        kl_tensor *values = function(state, t, p);                                                 \
        if (values && p->mask)                                                                     \
            w = kl_masked_weights(w, p->mask);                                                     \
        return values ? kl_mean_add(&((id##_state *)state)->mean, values, w) : kl_last_status();   \
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
                                                .reset = id##_reset};                              \
    kl_metric *kl_metric_##id##_new(const T *args)                                                 \
    {                                                                                              \
        return kl_metric_make("kl_metric_" #id, &id##_class, args);                                \
    }
ACCURACIES(ACCURACY)

#define ENTRY(id, function, class, aliases, T, table) &id##_class,
const kl_metric_vtable *const kl_accuracy_metrics[] = {ACCURACIES(ENTRY) NULL};
