/* The losses as objects, and their reduction. */
#include "training/losses.h"
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "objects/object.h"
#include "tensor/tensor.h"

#define OFFSET(T, member) offsetof(T, member)
/* What the configs of all losses have. "auto" is 2.15's word for the default. */
#define COMMON_FIELDS                                                                              \
    {"name", KL_FIELD_STRING, OFFSET(kl_loss_args, name), .doc = "in logs",                        \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
        {"reduction",                                                                              \
         KL_FIELD_STRING,                                                                          \
         OFFSET(kl_loss_args, reduction),                                                          \
         "sum_over_batch_size",                                                                    \
         .doc = "from the values to the loss",                                                     \
         .choices = "sum_over_batch_size|sum|mean|mean_with_sample_weight|none|auto",              \
         .flags = KL_FIELD_OPTIONAL},                                                              \
        {"dtype", KL_FIELD_DTYPE, OFFSET(kl_loss_args, dtype), .doc = "computed in",               \
         .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},                                            \
    {                                                                                              \
        .name = "fn", .type = KL_FIELD_IGNORED                                                     \
    }
#define AXIS_FIELD(T)                                                                              \
    {                                                                                              \
        "axis", KL_FIELD_INT, OFFSET(T, axis), "-1", .doc = "of the classes", .min = -KL_MAX_RANK, \
                                                     .max = KL_MAX_RANK - 1                        \
    }
#define LOGITS_FIELD(T)                                                                            \
    {                                                                                              \
        "from_logits", KL_FIELD_BOOL, OFFSET(T, from_logits), "false",                             \
            .doc = "whether predictions are before softmax or sigmoid"                             \
    }
#define SMOOTHING_FIELD(T)                                                                         \
    {                                                                                              \
        "label_smoothing", KL_FIELD_FLOAT, OFFSET(T, label_smoothing), "0",                        \
            .doc = "how far labels are moved from 0 and 1", .min = 0, .max = 1                     \
    }

static const kl_field plain_fields[] = {COMMON_FIELDS, {0}};
static const kl_field crossentropy_fields[] = {COMMON_FIELDS,
                                               LOGITS_FIELD(kl_loss_crossentropy_args),
                                               SMOOTHING_FIELD(kl_loss_crossentropy_args),
                                               AXIS_FIELD(kl_loss_crossentropy_args),
                                               {0}};
static const kl_field sparse_fields[] = {
    COMMON_FIELDS,
    LOGITS_FIELD(kl_loss_sparse_args),
    {"ignore_class", KL_FIELD_INT, OFFSET(kl_loss_sparse_args, ignore_class),
     .doc = "a label that doesn't count", .flags = KL_FIELD_OPTIONAL},
    AXIS_FIELD(kl_loss_sparse_args),
    {0}};
#define FOCAL_FIELDS                                                                               \
    {"alpha", KL_FIELD_FLOAT, OFFSET(kl_loss_focal_args, alpha), "0.25",                           \
     .doc = "weighing factor"},                                                                    \
        {"gamma", KL_FIELD_FLOAT, OFFSET(kl_loss_focal_args, gamma), "2",                          \
         .doc = "focusing parameter"},                                                             \
        LOGITS_FIELD(kl_loss_focal_args), SMOOTHING_FIELD(kl_loss_focal_args),                     \
        AXIS_FIELD(kl_loss_focal_args)
static const kl_field focal_fields[] = {COMMON_FIELDS, FOCAL_FIELDS, {0}};
static const kl_field binary_focal_fields[] = {
    COMMON_FIELDS,
    {"apply_class_balancing", KL_FIELD_BOOL, OFFSET(kl_loss_focal_args, apply_class_balancing),
     "false", .doc = "whether alpha weighs classes 1 and 0"},
    FOCAL_FIELDS,
    {0}};
static const kl_field axis_fields[] = {COMMON_FIELDS, AXIS_FIELD(kl_loss_axis_args), {0}};
static const kl_field huber_fields[] = {COMMON_FIELDS,
                                        {"delta", KL_FIELD_FLOAT, OFFSET(kl_loss_huber_args, delta),
                                         "1",
                                         .doc = "where the loss turns from quadratic to linear"},
                                        {0}};
static const kl_field dice_fields[] = {COMMON_FIELDS,
                                       {"axis", KL_FIELD_INTS, OFFSET(kl_loss_dice_args, axis),
                                        .doc = "summed over; None: all",
                                        .flags = KL_FIELD_OPTIONAL},
                                       {0}};
static const kl_field tversky_fields[] = {
    COMMON_FIELDS,
    {"alpha", KL_FIELD_FLOAT, OFFSET(kl_loss_tversky_args, alpha), "0.5",
     .doc = "weight of false positives"},
    {"beta", KL_FIELD_FLOAT, OFFSET(kl_loss_tversky_args, beta), "0.5",
     .doc = "weight of false negatives"},
    {"axis", KL_FIELD_INTS, OFFSET(kl_loss_tversky_args, axis), .doc = "summed over; None: all",
     .flags = KL_FIELD_OPTIONAL},
    {0}};
static const kl_field generalized_fields[] = {
    COMMON_FIELDS,
    {"q", KL_FIELD_FLOAT, OFFSET(kl_loss_generalized_args, q), "0.5",
     .doc = "between crossentropy (0) and absolute error (1)", .min = 1e-12, .max = 1},
    {0}};
static const kl_field circle_fields[] = {
    COMMON_FIELDS,
    {"gamma", KL_FIELD_FLOAT, OFFSET(kl_loss_circle_args, gamma), "80", .doc = "scale"},
    {"margin", KL_FIELD_FLOAT, OFFSET(kl_loss_circle_args, margin), "0.4", .doc = "relaxation"},
    {"remove_diagonal", KL_FIELD_BOOL, OFFSET(kl_loss_circle_args, remove_diagonal), "true",
     .doc = "whether a sample is no pair with itself"},
    {0}};

/* snake name (of constructor and values), class, aliases, argument struct, fields, default name */
#define LOSSES(X)                                                                                  \
    X(mean_squared_error, "MeanSquaredError", "mean_squared_error|mse|MSE", kl_loss_args,          \
      plain_fields, "mean_squared_error")                                                          \
    X(mean_absolute_error, "MeanAbsoluteError", "mean_absolute_error|mae|MAE", kl_loss_args,       \
      plain_fields, "mean_absolute_error")                                                         \
    X(mean_absolute_percentage_error, "MeanAbsolutePercentageError",                               \
      "mean_absolute_percentage_error|mape|MAPE", kl_loss_args, plain_fields,                      \
      "mean_absolute_percentage_error")                                                            \
    X(mean_squared_logarithmic_error, "MeanSquaredLogarithmicError",                               \
      "mean_squared_logarithmic_error|msle|MSLE", kl_loss_args, plain_fields,                      \
      "mean_squared_logarithmic_error")                                                            \
    X(hinge, "Hinge", "hinge", kl_loss_args, plain_fields, "hinge")                                \
    X(squared_hinge, "SquaredHinge", "squared_hinge", kl_loss_args, plain_fields, "squared_hinge") \
    X(categorical_hinge, "CategoricalHinge", "categorical_hinge", kl_loss_args, plain_fields,      \
      "categorical_hinge")                                                                         \
    X(kl_divergence, "KLDivergence", "kl_divergence|kld|KLD|kullback_leibler_divergence",          \
      kl_loss_args, plain_fields, "kl_divergence")                                                 \
    X(log_cosh, "LogCosh", "log_cosh|logcosh", kl_loss_args, plain_fields, "log_cosh")             \
    X(poisson, "Poisson", "poisson", kl_loss_args, plain_fields, "poisson")                        \
    X(huber, "Huber", "huber|huber_loss", kl_loss_huber_args, huber_fields, "huber_loss")          \
    X(cosine_similarity, "CosineSimilarity", "cosine_similarity", kl_loss_axis_args, axis_fields,  \
      "cosine_similarity")                                                                         \
    X(binary_crossentropy, "BinaryCrossentropy", "binary_crossentropy|bce|BCE",                    \
      kl_loss_crossentropy_args, crossentropy_fields, "binary_crossentropy")                       \
    X(categorical_crossentropy, "CategoricalCrossentropy", "categorical_crossentropy",             \
      kl_loss_crossentropy_args, crossentropy_fields, "categorical_crossentropy")                  \
    X(sparse_categorical_crossentropy, "SparseCategoricalCrossentropy",                            \
      "sparse_categorical_crossentropy", kl_loss_sparse_args, sparse_fields,                       \
      "sparse_categorical_crossentropy")                                                           \
    X(binary_focal_crossentropy, "BinaryFocalCrossentropy", "binary_focal_crossentropy",           \
      kl_loss_focal_args, binary_focal_fields, "binary_focal_crossentropy")                        \
    X(categorical_focal_crossentropy, "CategoricalFocalCrossentropy",                              \
      "categorical_focal_crossentropy", kl_loss_focal_args, focal_fields,                          \
      "categorical_focal_crossentropy")                                                            \
    X(dice, "Dice", "dice", kl_loss_dice_args, dice_fields, "dice")                                \
    X(tversky, "Tversky", "tversky", kl_loss_tversky_args, tversky_fields, "tversky")              \
    X(categorical_generalized_cross_entropy, "CategoricalGeneralizedCrossEntropy",                 \
      "categorical_generalized_cross_entropy", kl_loss_generalized_args, generalized_fields,       \
      "categorical_generalized_cross_entropy")                                                     \
    X(circle, "Circle", "circle", kl_loss_circle_args, circle_fields, "circle")

#define CLASS(id, class, aliases, T, table, text)                                                  \
    static const kl_loss_vtable id##_class = {.size = sizeof(kl_loss_vtable),                      \
                                              .class_name = class,                                 \
                                              .names = aliases,                                    \
                                              .state_size = sizeof(T),                             \
                                              .args_size = sizeof(T),                              \
                                              .fields = table,                                     \
                                              .call = kl_values_##id,                              \
                                              .default_name = text};
LOSSES(CLASS)

#define ENTRY(id, class, aliases, T, table, text) &id##_class,
static const kl_loss_vtable *const losses[] = {LOSSES(ENTRY)};

const kl_class *kl_builtin_loss(const char *name)
{
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (kl_class_is_named((const kl_class *)losses[i], name))
            return (const kl_class *)losses[i];
    return NULL;
}

#define CONSTRUCTOR(id, class, aliases, T, table, text)                                            \
    kl_loss *kl_loss_##id##_new(const T *args)                                                     \
    {                                                                                              \
        return new_loss("kl_loss_" #id, &id##_class, args);                                        \
    }
static kl_loss *new_loss(const char *function, const kl_loss_vtable *cls, const void *args)
{
    kl_training_use();
    if (!args) {
        kl_error_null(function, "args");
        return NULL;
    }
    return kl_object_new(KL_KIND_LOSS, (const kl_class *)cls, args);
}
LOSSES(CONSTRUCTOR)

#define DEFAULTS(function, T, values)                                                              \
    T function(void)                                                                               \
    {                                                                                              \
        return (T){.size = sizeof(T), .mark = kl_error_count(), KL_UNPAREN_ values};               \
    }
DEFAULTS(kl_loss_defaults, kl_loss_args, (KL_LOSS_DEFAULTS))
DEFAULTS(kl_loss_crossentropy_defaults, kl_loss_crossentropy_args, (KL_LOSS_CROSSENTROPY_DEFAULTS))
DEFAULTS(kl_loss_sparse_defaults, kl_loss_sparse_args, (KL_LOSS_SPARSE_DEFAULTS))
DEFAULTS(kl_loss_focal_defaults, kl_loss_focal_args, (KL_LOSS_FOCAL_DEFAULTS))
DEFAULTS(kl_loss_axis_defaults, kl_loss_axis_args, (KL_LOSS_AXIS_DEFAULTS))
DEFAULTS(kl_loss_huber_defaults, kl_loss_huber_args, (KL_LOSS_HUBER_DEFAULTS))
DEFAULTS(kl_loss_dice_defaults, kl_loss_dice_args, (KL_LOSS_DICE_DEFAULTS))
DEFAULTS(kl_loss_tversky_defaults, kl_loss_tversky_args, (KL_LOSS_TVERSKY_DEFAULTS))
DEFAULTS(kl_loss_generalized_defaults, kl_loss_generalized_args, (KL_LOSS_GENERALIZED_DEFAULTS))
DEFAULTS(kl_loss_circle_defaults, kl_loss_circle_args, (KL_LOSS_CIRCLE_DEFAULTS))

/* ---- Functions of one's own ----------------------------------------------------------------- */

typedef struct function_args {
    KL_LOSS_ARGS
    kl_tensor *(*function)(kl_tensor *y_true, kl_tensor *y_pred, void *user);
    void *user;
} function_args;

static const kl_field function_fields[] = {
    COMMON_FIELDS,
    {"function", KL_FIELD_POINTER, OFFSET(function_args, function), .doc = "of the user's"},
    {"user", KL_FIELD_POINTER, OFFSET(function_args, user), .doc = "handed to it"},
    {0}};

static kl_tensor *function_call(const void *state, kl_tensor *t, kl_tensor *p)
{
    const function_args *a = state;
    if (a->function)
        return a->function(t, p, a->user);
    kl_error(KL_ERROR_STATE, "the loss %s has no function: it can't be made from a config",
             a->name ? a->name : "");
    return NULL;
}

static const kl_loss_vtable function_class = {.size = sizeof(kl_loss_vtable),
                                              .class_name = "LossFunctionWrapper",
                                              .state_size = sizeof(function_args),
                                              .args_size = sizeof(function_args),
                                              .fields = function_fields,
                                              .call = function_call,
                                              .default_name = "loss_function_wrapper"};

kl_loss *kl_loss_from(const char *name,
                      kl_tensor *(*function)(kl_tensor *y_true, kl_tensor *y_pred, void *user),
                      void *user)
{
    if (!function) {
        kl_error_null("kl_loss_from", "function");
        return NULL;
    }
    const function_args args = {.size = sizeof args,
                                .mark = kl_error_count(),
                                KL_LOSS_DEFAULTS,
                                .name = name,
                                .function = function,
                                .user = user};
    return new_loss("kl_loss_from", &function_class, &args);
}

kl_loss *kl_loss_get(kl_named loss)
{
    kl_training_use();
    if (!loss || *(const uint8_t *)loss != 0xFF) {
        const kl_class *cls = loss ? kl_class_find(KL_KIND_LOSS, loss) : NULL;
        if (loss && !cls)
            kl_error(KL_ERROR_NOT_FOUND, "unknown loss: '%s'", (const char *)loss);
        return cls ? kl_object_new(KL_KIND_LOSS, cls, NULL) : NULL;
    }
    if (kl_object_kind(loss) == KL_KIND_LOSS)
        return (kl_loss *)(uintptr_t)loss;
    kl_object *none;
    kl_named_resolve(KL_KIND_LOSS, loss, &none);
    return NULL;
}

const char *kl_loss_name(const kl_loss *loss)
{
    const kl_loss_args *args = kl_object_state(loss);
    return args && args->name ? args->name : "";
}

/* ---- Reduction ------------------------------------------------------------------------------ */

static bool is(const char *reduction, const char *name)
{
    return !strcmp(reduction, name);
}

/* The mask as weights: its true places count as if they were the whole. */
static kl_tensor *mask_weights(kl_tensor *mask, kl_dtype dtype, const char *reduction)
{
    kl_tensor *weights = kl_op_cast(mask, dtype);
    if (!weights || (!is(reduction, "mean") && !is(reduction, "sum_over_batch_size")))
        return weights;
    double valid = 0;
    for (int64_t i = 0; i < weights->size; i++)
        valid += kl_tensor_at(weights, i) != 0;
    kl_tensor *ones = kl_op_cast(kl_op_not_equal(weights, kl_scalar(dtype, 0)), dtype);
    return kl_op_mul_scalar(ones, valid > 0 ? (double)weights->size / valid : 0);
}

static kl_tensor *weighted(kl_tensor *values, kl_tensor **weights)
{
    if (values->rank == (*weights)->rank + 1 && values->shape[values->rank - 1] != 1 &&
        (*weights)->rank == 1 && (*weights)->size == values->shape[0]) {
        char v[128], w[128];
        kl_error(KL_ERROR_SHAPE, "sample_weight of shape %s does not fit loss values of shape %s",
                 kl_shape_text((*weights)->rank, (*weights)->shape, w, sizeof w),
                 kl_shape_text(values->rank, values->shape, v, sizeof v));
        return NULL;
    }
    if (!kl_align_ranks(&values, weights, true))
        return NULL;
    return kl_op_mul(values, *weights);
}

kl_tensor *kl_reduce_loss(kl_tensor *values, kl_tensor *sample_weight, kl_tensor *mask,
                          const char *reduction)
{
    if (!values)
        return NULL;
    if (!reduction)
        reduction = "none";
    if (is(reduction, "auto"))
        reduction = "sum_over_batch_size";
    kl_tensor *weights = NULL;
    if (mask && !(weights = mask_weights(mask, values->dtype, reduction)))
        return NULL;
    if (sample_weight) {
        kl_tensor *given = kl_op_cast(sample_weight, values->dtype);
        if (weights) {
            if (!kl_align_ranks(&weights, &given, true))
                return NULL;
            given = kl_op_mul(given, weights);
        }
        weights = given;
        if (!weights)
            return NULL;
    }
    if (weights && !(values = weighted(values, &weights)))
        return NULL;
    if (is(reduction, "none") || !values->rank || !values->size)
        return values;
    if (is(reduction, "sum"))
        return kl_op_sum(values, KL_ALL_AXES, false);
    if (is(reduction, "mean_with_sample_weight") && weights) {
        double total = 0;
        for (int64_t i = 0; i < weights->size; i++)
            total += kl_tensor_at(weights, i);
        return kl_op_mul_scalar(kl_op_sum(values, KL_ALL_AXES, false), total ? 1 / total : 0);
    }
    return kl_op_mean(values, KL_ALL_AXES, false);
}

static kl_tensor *both_masks(kl_tensor *a, kl_tensor *b)
{
    if (!a || !b)
        return a ? a : b;
    return kl_op_logical_and(a, b);
}

kl_tensor *kl_loss_call(const kl_loss *loss, kl_tensor *y_true, kl_tensor *y_pred,
                        kl_tensor *sample_weight)
{
    if (!loss || !y_true || !y_pred) {
        kl_error_null("kl_loss_call", !loss ? "loss" : !y_true ? "y_true" : "y_pred");
        return NULL;
    }
    if (kl_object_kind(loss) != KL_KIND_LOSS) {
        kl_error(KL_ERROR_INVALID, "kl_loss_call: expected a loss, got another object");
        return NULL;
    }
    const kl_loss_args *args = kl_object_state(loss);
    const kl_loss_vtable *cls = (const kl_loss_vtable *)((const kl_object *)loss)->cls;
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return NULL;
    kl_dtype dtype = KL_FLOAT32;
    kl_tensor *mask = y_pred->mask;
    if (args->dtype && kl_dtype_from_name(args->dtype, &dtype) && y_pred->dtype != dtype)
        y_pred = kl_op_cast(y_pred, dtype);
    else if (y_pred->dtype != KL_FLOAT32 && y_pred->dtype != KL_FLOAT64)
        y_pred = kl_op_cast(y_pred, KL_FLOAT32); /* half precision is too coarse for a loss */
    kl_tensor *values = y_pred ? cls->call(args, y_true, y_pred) : NULL;
    kl_tensor *result = NULL;
    if (values)
        result =
            kl_reduce_loss(values, sample_weight, both_masks(mask, values->mask), args->reduction);
    if (result == sample_weight || result == y_true || result == y_pred)
        result = result ? kl_op_reshape(result, result->rank, result->shape) : NULL;
    if (!result)
        kl_error_prefix(kl_loss_name(loss));
    kl_scope_end(scope, result);
    return result;
}
