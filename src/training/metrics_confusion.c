/* Metrics of hits and misses over thresholds: Precision, Recall, AUC and their kin. */
#include <math.h>
#include <stddef.h>
#include "base/alloc.h"
#include "base/error.h"
#include "tensor/tensor.h"
#include "training/metrics.h"

#define NAME_FIELDS                                                                                \
    {"name", KL_FIELD_STRING, offsetof(kl_metric_args, name), .doc = "in logs",                    \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
    {                                                                                              \
        "dtype", KL_FIELD_DTYPE, offsetof(kl_metric_args, dtype), .doc = "of the state",           \
                                                                  .flags = KL_FIELD_OPTIONAL       \
    }

/* Weighted counts at each threshold: true and false positives, true and false negatives. */
typedef struct confusion {
    double *thresholds, *tp, *fp, *tn, *fn;
    size_t count;
} confusion;

static kl_status confusion_init(confusion *c, size_t count)
{
    c->thresholds = kl_calloc(5 * count, sizeof *c->thresholds);
    if (!c->thresholds)
        return KL_ERROR_MEMORY;
    c->count = count;
    c->tp = c->thresholds + count;
    c->fp = c->tp + count;
    c->tn = c->fp + count;
    c->fn = c->tn + count;
    return KL_OK;
}

static void confusion_reset(confusion *c)
{
    for (size_t i = 0; i < 4 * c->count; i++)
        c->tp[i] = 0;
}

static double element(const kl_tensor *x, int64_t i)
{
    return x->dtype == KL_FLOAT64 ? ((const double *)(const void *)x->data)[i]
                                  : (double)((const float *)(const void *)x->data)[i];
}

/* The weight of element i: weights are broadcast over the axes that they lack. */
static double weight_of(const kl_tensor *w, const kl_tensor *p, int64_t i)
{
    return w && w->size ? element(w, i / (p->size / w->size)) : 1;
}

static bool is_top(const kl_tensor *p, int64_t i, int64_t classes, int64_t k)
{
    int64_t first = i / classes * classes, above = 0;
    for (int64_t j = first; j < first + classes; j++)
        above += element(p, j) > element(p, i) || (element(p, j) == element(p, i) && j < i);
    return above < k;
}

static kl_status confusion_add(confusion *c, kl_tensor *t, kl_tensor *p, kl_tensor *w,
                               int64_t top_k, int64_t class_id, bool logits)
{
    if (p && logits)
        p = kl_op_sigmoid(p);
    t = kl_metric_floats(t);
    p = kl_metric_floats(p);
    if (!kl_align_ranks(&t, &p, true))
        return kl_last_status();
    if (w && !(w = kl_metric_floats(w)))
        return kl_last_status();
    if (!kl_shape_equal(t, p) || (w && (!w->size || p->size % w->size))) {
        char got[128], pred[128];
        return kl_error(KL_ERROR_SHAPE, "y_true and y_pred must have the same shape, got %s and %s",
                        kl_shape_text(t->rank, t->shape, got, sizeof got),
                        kl_shape_text(p->rank, p->shape, pred, sizeof pred));
    }
    int64_t classes = p->rank ? p->shape[p->rank - 1] : 1;
    if (class_id != KL_NONE && (class_id < 0 || class_id >= classes))
        return kl_error(KL_ERROR_RANGE, "class_id must be from 0 to %lld, got %lld",
                        (long long)classes - 1, (long long)class_id);
    for (int64_t i = 0; i < p->size; i++) {
        double value = element(p, i), weight = weight_of(w, p, i);
        if (!(value >= 0 && value <= 1))
            return kl_error(KL_ERROR_RANGE, "predictions must be from 0 to 1, got %g", value);
        if (class_id != KL_NONE && i % classes != class_id)
            continue;
        if (top_k != KL_NONE && !is_top(p, i, classes, top_k))
            value = -INFINITY;
        bool positive = element(t, i) != 0;
        for (size_t k = 0; k < c->count; k++) {
            bool hit = value > c->thresholds[k];
            *(positive ? (hit ? &c->tp[k] : &c->fn[k]) : (hit ? &c->fp[k] : &c->tn[k])) += weight;
        }
    }
    return KL_OK;
}

/* ---- Precision, Recall, counts -------------------------------------------------------------- */

static const kl_field confusion_fields[] = {
    NAME_FIELDS,
    {"thresholds", KL_FIELD_FLOATS, offsetof(kl_metric_confusion_args, thresholds),
     .doc = "from 0 to 1; None: 0.5", .flags = KL_FIELD_OPTIONAL},
    {"top_k", KL_FIELD_INT, offsetof(kl_metric_confusion_args, top_k),
     .doc = "only the k best count as hits", .flags = KL_FIELD_OPTIONAL},
    {"class_id", KL_FIELD_INT, offsetof(kl_metric_confusion_args, class_id),
     .doc = "the only class that counts", .flags = KL_FIELD_OPTIONAL},
    {0}};

static const kl_field count_fields[] = {
    NAME_FIELDS,
    {"thresholds", KL_FIELD_FLOATS, offsetof(kl_metric_confusion_args, thresholds),
     .doc = "from 0 to 1; None: 0.5", .flags = KL_FIELD_OPTIONAL},
    {"top_k", KL_FIELD_INT, offsetof(kl_metric_confusion_args, top_k), .doc = "not of this metric",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"class_id", KL_FIELD_INT, offsetof(kl_metric_confusion_args, class_id),
     .doc = "not of this metric", .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {0}};

typedef struct confusion_state {
    kl_metric_confusion_args args;
    confusion counts;
} confusion_state;

static kl_status init(void *self)
{
    confusion_state *s = kl_object_state(self);
    size_t count = s->args.thresholds.count;
    for (size_t i = 0; i < count; i++)
        if (!(s->args.thresholds.at[i] >= 0 && s->args.thresholds.at[i] <= 1))
            return kl_error(KL_ERROR_RANGE, "thresholds must be from 0 to 1, got %g",
                            (double)s->args.thresholds.at[i]);
    kl_status status = confusion_init(&s->counts, count ? count : 1);
    if (status)
        return status;
    s->counts.thresholds[0] = s->args.top_k == KL_NONE ? 0.5 : -1e300;
    for (size_t i = 0; i < count; i++)
        s->counts.thresholds[i] = s->args.thresholds.at[i];
    return KL_OK;
}

static void destroy(void *self)
{
    kl_free(((confusion_state *)kl_object_state(self))->counts.thresholds);
}

static kl_status update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    confusion_state *s = state;
    return confusion_add(&s->counts, t, p, w, s->args.top_k, s->args.class_id, false);
}

static void reset(void *state)
{
    confusion_reset(&((confusion_state *)state)->counts);
}

static double ratio(double above, double below)
{
    return below != 0 ? above / below : 0;
}

#define TRUE_POSITIVES(c, i)  ((c)->tp[i])
#define TRUE_NEGATIVES(c, i)  ((c)->tn[i])
#define FALSE_POSITIVES(c, i) ((c)->fp[i])
#define FALSE_NEGATIVES(c, i) ((c)->fn[i])
#define PRECISION(c, i)       ratio((c)->tp[i], (c)->tp[i] + (c)->fp[i])
#define RECALL(c, i)          ratio((c)->tp[i], (c)->tp[i] + (c)->fn[i])

#define CONFUSIONS(X)                                                                              \
    X(true_positives, TRUE_POSITIVES, "TruePositives", count_fields)                               \
    X(true_negatives, TRUE_NEGATIVES, "TrueNegatives", count_fields)                               \
    X(false_positives, FALSE_POSITIVES, "FalsePositives", count_fields)                            \
    X(false_negatives, FALSE_NEGATIVES, "FalseNegatives", count_fields)                            \
    X(precision, PRECISION, "Precision", confusion_fields)                                         \
    X(recall, RECALL, "Recall", confusion_fields)

#define CONFUSION(id, AT, class, table)                                                            \
    static kl_tensor *id##_result(const void *state)                                               \
    {                                                                                              \
        const confusion *c = &((const confusion_state *)state)->counts;                            \
        int64_t count = (int64_t)c->count;                                                         \
        kl_tensor *out = kl_empty(KL_FLOAT32, c->count > 1, &count);                               \
        float *at = out ? kl_tensor_mutable_data(out) : NULL;                                      \
        for (size_t i = 0; at && i < c->count; i++)                                                \
            at[i] = (float)AT(c, i);                                                               \
        return out;                                                                                \
    }                                                                                              \
    static double id##_value(const void *state)                                                    \
    {                                                                                              \
        const confusion *c = &((const confusion_state *)state)->counts;                            \
        double sum = 0;                                                                            \
        for (size_t i = 0; i < c->count; i++)                                                      \
            sum += AT(c, i);                                                                       \
        return sum / (double)c->count;                                                             \
    }                                                                                              \
    static const kl_metric_vtable id##_class = {.size = sizeof(kl_metric_vtable),                  \
                                                .class_name = class,                               \
                                                .names = #id,                                      \
                                                .state_size = sizeof(confusion_state),             \
                                                .args_size = sizeof(kl_metric_confusion_args),     \
                                                .fields = table,                                   \
                                                .init = init,                                      \
                                                .destroy = destroy,                                \
                                                .update = update,                                  \
                                                .value = id##_value,                               \
                                                .result = id##_result,                             \
                                                .reset = reset};                                   \
    kl_metric *kl_metric_##id##_new(const kl_metric_confusion_args *args)                          \
    {                                                                                              \
        return kl_metric_make("kl_metric_" #id, &id##_class, args);                                \
    }
CONFUSIONS(CONFUSION)

/* ---- Area under the curve ------------------------------------------------------------------- */

static const kl_field auc_fields[] = {
    NAME_FIELDS,
    {"num_thresholds", KL_FIELD_INT, offsetof(kl_metric_auc_args, num_thresholds), "200",
     .doc = "points of the curve", .min = 2, .max = 1000000},
    {"curve", KL_FIELD_STRING, offsetof(kl_metric_auc_args, curve), "ROC",
     .doc = "false against true positives, or precision against recall", .choices = "ROC|PR"},
    {"summation_method", KL_FIELD_STRING, offsetof(kl_metric_auc_args, summation_method),
     "interpolation", .doc = "between points", .choices = "interpolation|minoring|majoring"},
    {"thresholds", KL_FIELD_FLOATS, offsetof(kl_metric_auc_args, thresholds),
     .doc = "instead of num_thresholds", .flags = KL_FIELD_OPTIONAL},
    {"from_logits", KL_FIELD_BOOL, offsetof(kl_metric_auc_args, from_logits), "false",
     .doc = "whether predictions are before sigmoid"},
    {.name = "multi_label", .type = KL_FIELD_IGNORED},
    {.name = "num_labels", .type = KL_FIELD_IGNORED},
    {.name = "label_weights", .type = KL_FIELD_IGNORED},
    {0}};

typedef struct auc_state {
    kl_metric_auc_args args;
    confusion counts;
} auc_state;

static kl_status auc_init(void *self)
{
    auc_state *s = kl_object_state(self);
    const kl_floats given = s->args.thresholds;
    size_t inner = given.count ? given.count : (size_t)s->args.num_thresholds - 2;
    kl_status status = confusion_init(&s->counts, inner + 2);
    if (status)
        return status;
    for (size_t i = 0; i < inner; i++) {
        s->counts.thresholds[i + 1] =
            given.count ? (double)given.at[i] : (double)(i + 1) / (double)(inner + 1);
        if (given.count && !(given.at[i] >= 0 && given.at[i] <= 1))
            return kl_error(KL_ERROR_RANGE, "AUC: thresholds must be from 0 to 1, got %g",
                            (double)given.at[i]);
    }
    s->counts.thresholds[0] = -KL_EPSILON;
    s->counts.thresholds[inner + 1] = 1 + KL_EPSILON;
    return KL_OK;
}

static void auc_destroy(void *self)
{
    kl_free(((auc_state *)kl_object_state(self))->counts.thresholds);
}

static kl_status auc_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    auc_state *s = state;
    return confusion_add(&s->counts, t, p, w, KL_NONE, KL_NONE, s->args.from_logits);
}

static void auc_reset(void *state)
{
    confusion_reset(&((auc_state *)state)->counts);
}

/* Keras's interpolation of precision between points (Davis and Goadrich, 2006). */
static double interpolated(const confusion *c)
{
    double area = 0;
    for (size_t i = 0; i + 1 < c->count; i++) {
        double tp = c->tp[i] - c->tp[i + 1];
        double p = c->tp[i] + c->fp[i], next = c->tp[i + 1] + c->fp[i + 1];
        double slope = p - next > 0 ? ratio(tp, p - next) : 0;
        double intercept = c->tp[i + 1] - slope * next;
        double safe = next > 0 && p > 0 ? ratio(p, next > 0 ? next : 0) : 1;
        double gain = slope * (tp + intercept * log(safe));
        double positives = c->tp[i + 1] + c->fn[i + 1];
        area += positives > 0 ? gain / positives : 0;
    }
    return area;
}

static double auc_value(const void *state)
{
    const auc_state *s = state;
    const confusion *c = &s->counts;
    bool roc = s->args.curve[0] == 'R';
    char method = s->args.summation_method[1]; /* i[n]terpolation, m[i]noring, m[a]joring */
    if (!roc && method == 'n')
        return interpolated(c);
    double area = 0;
    for (size_t i = 0; i + 1 < c->count; i++) {
        double recall = RECALL(c, i), recall_next = RECALL(c, i + 1);
        double x = roc ? ratio(c->fp[i], c->fp[i] + c->tn[i]) : recall;
        double x_next = roc ? ratio(c->fp[i + 1], c->fp[i + 1] + c->tn[i + 1]) : recall_next;
        double y = roc ? recall : PRECISION(c, i), y_next = roc ? recall_next : PRECISION(c, i + 1);
        double height = method == 'n'   ? (y + y_next) / 2
                        : method == 'i' ? fmin(y, y_next)
                                        : fmax(y, y_next);
        area += (x - x_next) * height;
    }
    return area;
}

static const kl_metric_vtable auc_class = {.size = sizeof(kl_metric_vtable),
                                           .class_name = "AUC",
                                           .names = "auc",
                                           .state_size = sizeof(auc_state),
                                           .args_size = sizeof(kl_metric_auc_args),
                                           .fields = auc_fields,
                                           .init = auc_init,
                                           .destroy = auc_destroy,
                                           .update = auc_update,
                                           .value = auc_value,
                                           .reset = auc_reset};

kl_metric *kl_metric_auc_new(const kl_metric_auc_args *args)
{
    return kl_metric_make("kl_metric_auc", &auc_class, args);
}

/* ---- The best of one while the other is large enough --------------------------------------- */

typedef struct constrained_state {
    kl_metric_constrained_args args;
    confusion counts;
} constrained_state;

static kl_status constrained_init(void *self)
{
    constrained_state *s = kl_object_state(self);
    size_t inner = (size_t)(s->args.num_thresholds > 1 ? s->args.num_thresholds - 2 : 0);
    kl_status status = confusion_init(&s->counts, s->args.num_thresholds > 1 ? inner + 2 : 1);
    if (status)
        return status;
    s->counts.thresholds[0] = inner || s->counts.count > 1 ? 0 : 0.5;
    for (size_t i = 0; i < inner; i++)
        s->counts.thresholds[i + 1] = (double)(i + 1) / (double)(inner + 1);
    if (s->counts.count > 1)
        s->counts.thresholds[inner + 1] = 1;
    return KL_OK;
}

static void constrained_destroy(void *self)
{
    kl_free(((constrained_state *)kl_object_state(self))->counts.thresholds);
}

static kl_status constrained_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    constrained_state *s = state;
    return confusion_add(&s->counts, t, p, w, KL_NONE, s->args.class_id, false);
}

static void constrained_reset(void *state)
{
    confusion_reset(&((constrained_state *)state)->counts);
}

#define SPECIFICITY(c, i) ratio((c)->tn[i], (c)->tn[i] + (c)->fp[i])

#define CONSTRAINED(X)                                                                             \
    X(precision_at_recall, "PrecisionAtRecall", "recall", PRECISION, RECALL)                       \
    X(recall_at_precision, "RecallAtPrecision", "precision", RECALL, PRECISION)                    \
    X(sensitivity_at_specificity, "SensitivityAtSpecificity", "specificity", RECALL, SPECIFICITY)  \
    X(specificity_at_sensitivity, "SpecificityAtSensitivity", "sensitivity", SPECIFICITY, RECALL)

#define CONSTRAINED_METRIC(id, class, key, BEST, BOUND)                                            \
    static const kl_field id##_fields[] = {                                                        \
        NAME_FIELDS,                                                                               \
        {key, KL_FIELD_FLOAT, offsetof(kl_metric_constrained_args, value), .doc = "at least this", \
         .min = 0, .max = 1, .flags = KL_FIELD_REQUIRED},                                          \
        {"num_thresholds", KL_FIELD_INT, offsetof(kl_metric_constrained_args, num_thresholds),     \
         "200", .doc = "that are tried", .min = 1, .max = 1000000},                                \
        {"class_id", KL_FIELD_INT, offsetof(kl_metric_constrained_args, class_id),                 \
         .doc = "the only class that counts", .flags = KL_FIELD_OPTIONAL},                         \
        {0}};                                                                                      \
    static double id##_value(const void *state)                                                    \
    {                                                                                              \
        const constrained_state *s = state;                                                        \
        const confusion *c = &s->counts;                                                           \
        double best = 0;                                                                           \
        for (size_t i = 0; i < c->count; i++)                                                      \
            if (BOUND(c, i) >= s->args.value)                                                      \
                best = fmax(best, BEST(c, i));                                                     \
        return best;                                                                               \
    }                                                                                              \
    static const kl_metric_vtable id##_class = {.size = sizeof(kl_metric_vtable),                  \
                                                .class_name = class,                               \
                                                .names = #id,                                      \
                                                .state_size = sizeof(constrained_state),           \
                                                .args_size = sizeof(kl_metric_constrained_args),   \
                                                .fields = id##_fields,                             \
                                                .init = constrained_init,                          \
                                                .destroy = constrained_destroy,                    \
                                                .update = constrained_update,                      \
                                                .value = id##_value,                               \
                                                .reset = constrained_reset};                       \
    kl_metric *kl_metric_##id##_new(const kl_metric_constrained_args *args)                        \
    {                                                                                              \
        return kl_metric_make("kl_metric_" #id, &id##_class, args);                                \
    }
CONSTRAINED(CONSTRAINED_METRIC)

#define CONSTRAINED_ENTRY(id, class, key, BEST, BOUND) &id##_class,
#define ENTRY(id, AT, class, table)                    &id##_class,
const kl_metric_vtable *const kl_confusion_metrics[] = {
    CONFUSIONS(ENTRY) CONSTRAINED(CONSTRAINED_ENTRY) & auc_class, NULL};
