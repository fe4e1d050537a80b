/* Metrics with counts a class: F scores, R2, intersection over union. */
#include <math.h>
#include <stddef.h>
#include <string.h>
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

static double element(const kl_tensor *x, int64_t i)
{
    return x->dtype == KL_FLOAT64 ? ((const double *)(const void *)x->data)[i]
                                  : (double)((const float *)(const void *)x->data)[i];
}

/* Four sums a class, made at the first batch. */
typedef struct class_sums {
    int64_t classes;
    double *at[4];
} class_sums;

static kl_status need_classes(class_sums *s, const char *name, int64_t classes)
{
    if (s->classes == classes)
        return KL_OK;
    if (s->classes)
        return kl_error(KL_ERROR_SHAPE, "%s: expected %lld classes as before, got %lld", name,
                        (long long)s->classes, (long long)classes);
    double *sums = kl_calloc((size_t)classes, 4 * sizeof *sums);
    if (!sums)
        return KL_ERROR_MEMORY;
    for (int k = 0; k < 4; k++)
        s->at[k] = sums + k * classes;
    s->classes = classes;
    return KL_OK;
}

static void zero_sums(class_sums *s)
{
    if (s->classes)
        memset(s->at[0], 0, 4 * (size_t)s->classes * sizeof *s->at[0]);
}

static kl_tensor *float_vector(int64_t count)
{
    return kl_empty(KL_FLOAT32, 1, &count);
}

/* Both [samples, classes], and weights [samples] or NULL. */
static kl_status ready_matrix(const char *name, kl_tensor **t, kl_tensor **p, kl_tensor **w)
{
    *t = kl_metric_floats(*t);
    *p = kl_metric_floats(*p);
    if (!kl_align_ranks(t, p, true) || (*w && !(*w = kl_metric_floats(*w))))
        return kl_last_status();
    if ((*p)->rank == 2 && kl_shape_equal(*t, *p) && (!*w || (*w)->size == (*p)->shape[0]))
        return KL_OK;
    char got[128], pred[128];
    return kl_error(KL_ERROR_SHAPE,
                    "%s: expected (samples, classes) twice, got y_true %s and y_pred %s", name,
                    kl_shape_text((*t)->rank, (*t)->shape, got, sizeof got),
                    kl_shape_text((*p)->rank, (*p)->shape, pred, sizeof pred));
}

/* ---- F scores ------------------------------------------------------------------------------- */

enum { HITS, FALSE_ALARMS, MISSES, POSITIVES };

typedef struct f_score_state {
    kl_metric_f_score_args args;
    class_sums sums;
} f_score_state;

#define F_SCORE_FIELDS                                                                             \
    NAME_FIELDS,                                                                                   \
        {"average",                                                                                \
         KL_FIELD_STRING,                                                                          \
         offsetof(kl_metric_f_score_args, average),                                                \
         .doc = "over the classes",                                                                \
         .choices = "micro|macro|weighted",                                                        \
         .flags = KL_FIELD_OPTIONAL},                                                              \
    {                                                                                              \
        "threshold", KL_FIELD_FLOAT, offsetof(kl_metric_f_score_args, threshold),                  \
            .doc = "above it a prediction counts; None: a row's largest", .min = 1e-12, .max = 1,  \
            .flags = KL_FIELD_OPTIONAL                                                             \
    }
static const kl_field fbeta_fields[] = {F_SCORE_FIELDS,
                                        {"beta", KL_FIELD_FLOAT,
                                         offsetof(kl_metric_f_score_args, beta), "1",
                                         .doc = "weight of recall", .min = 1e-12, .max = 1e12},
                                        {0}};
static const kl_field f1_fields[] = {
    F_SCORE_FIELDS,
    {"beta", KL_FIELD_FLOAT, offsetof(kl_metric_f_score_args, beta), "1", .doc = "always 1",
     .min = 1, .max = 1.000001, .flags = KL_FIELD_HIDDEN},
    {0}};

static kl_status f_score_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    f_score_state *s = state;
    kl_status status = ready_matrix("f_score", &t, &p, &w);
    int64_t n = status ? 0 : p->shape[1];
    if (!status)
        status = need_classes(&s->sums, "f_score", n);
    for (int64_t i = 0; !status && i < p->size; i++) {
        double bound = s->args.threshold, value = element(p, i), truth = element(t, i);
        if (isnan(bound)) {
            bound = element(p, i / n * n);
            for (int64_t j = i / n * n; j < i / n * n + n; j++)
                bound = fmax(bound, element(p, j));
            value = value >= bound && fabs(value) > 1e-9;
        } else {
            value = value > bound;
        }
        double weight = w ? element(w, i / n) : 1;
        s->sums.at[HITS][i % n] += weight * value * truth;
        s->sums.at[FALSE_ALARMS][i % n] += weight * value * (1 - truth);
        s->sums.at[MISSES][i % n] += weight * (1 - value) * truth;
        s->sums.at[POSITIVES][i % n] += weight * truth;
    }
    return status;
}

static double f_score(double beta, double hits, double alarms, double misses)
{
    double precision = hits / (hits + alarms + KL_EPSILON);
    double recall = hits / (hits + misses + KL_EPSILON);
    double below = beta * beta * precision + recall + KL_EPSILON;
    return precision * recall / below * (1 + beta * beta);
}

static double class_score(const f_score_state *s, int64_t k)
{
    return f_score(s->args.beta, s->sums.at[HITS][k], s->sums.at[FALSE_ALARMS][k],
                   s->sums.at[MISSES][k]);
}

static double f_score_value(const void *state)
{
    const f_score_state *s = state;
    const class_sums *c = &s->sums;
    if (!c->classes)
        return 0;
    double all[4] = {0}, mean = 0, weighted = 0;
    for (int64_t k = 0; k < c->classes; k++) {
        for (int j = 0; j < 4; j++)
            all[j] += c->at[j][k];
        mean += class_score(s, k) / (double)c->classes;
        weighted += class_score(s, k) * c->at[POSITIVES][k];
    }
    if (s->args.average && !strcmp(s->args.average, "micro"))
        return f_score(s->args.beta, all[HITS], all[FALSE_ALARMS], all[MISSES]);
    if (s->args.average && !strcmp(s->args.average, "weighted"))
        return weighted / (all[POSITIVES] + KL_EPSILON);
    return mean;
}

static kl_tensor *f_score_result(const void *state)
{
    const f_score_state *s = state;
    if (s->args.average)
        return kl_scalar(KL_FLOAT32, f_score_value(state));
    kl_tensor *out = float_vector(s->sums.classes);
    float *at = out ? kl_tensor_mutable_data(out) : NULL;
    for (int64_t k = 0; at && k < s->sums.classes; k++)
        at[k] = (float)class_score(s, k);
    return out;
}

static void f_score_reset(void *state)
{
    zero_sums(&((f_score_state *)state)->sums);
}

static void f_score_destroy(void *self)
{
    kl_free(((f_score_state *)kl_object_state(self))->sums.at[0]);
}

/* ---- R2 ------------------------------------------------------------------------------------- */

enum { SUM, SQUARES, RESIDUAL, COUNT };

typedef struct r2_score_state {
    kl_metric_r2_score_args args;
    class_sums sums;
    double samples;
} r2_score_state;

static const kl_field r2_score_fields[] = {
    NAME_FIELDS,
    {"class_aggregation", KL_FIELD_STRING, offsetof(kl_metric_r2_score_args, class_aggregation),
     "uniform_average", .doc = "over the outputs",
     .choices = "uniform_average|variance_weighted_average", .flags = KL_FIELD_OPTIONAL},
    {"num_regressors", KL_FIELD_INT, offsetof(kl_metric_r2_score_args, num_regressors), "0",
     .doc = "for the adjusted score", .min = 0, .max = 1e15},
    {0}};

static kl_status r2_score_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    r2_score_state *s = state;
    kl_status status = ready_matrix("r2_score", &t, &p, &w);
    int64_t n = status ? 0 : p->shape[1];
    if (!status)
        status = need_classes(&s->sums, "r2_score", n);
    for (int64_t i = 0; !status && i < p->size; i++) {
        double weight = w ? element(w, i / n) : 1, y = element(t, i), error = y - element(p, i);
        s->sums.at[SUM][i % n] += weight * y;
        s->sums.at[SQUARES][i % n] += weight * y * y;
        s->sums.at[RESIDUAL][i % n] += weight * error * error;
        s->sums.at[COUNT][i % n] += weight;
    }
    if (!status)
        s->samples += (double)p->size;
    return status;
}

static double adjusted(const r2_score_state *s, double score)
{
    double p = (double)s->args.num_regressors, n = s->samples;
    return p != 0 && p < n - 1 ? 1 - (1 - score) * (n - 1) / (n - p - 1) : score;
}

static double total_of(const class_sums *c, int64_t k)
{
    return c->at[SQUARES][k] - c->at[SUM][k] * c->at[SUM][k] / c->at[COUNT][k];
}

static double raw_score(const class_sums *c, int64_t k)
{
    double raw = 1 - c->at[RESIDUAL][k] / total_of(c, k);
    return isinf(raw) ? 0 : raw;
}

static double r2_score_value(const void *state)
{
    const r2_score_state *s = state;
    const class_sums *c = &s->sums;
    if (!c->classes)
        return NAN;
    const char *how = s->args.class_aggregation;
    bool by_variance = how && how[0] == 'v';
    double sum = 0, below = 0;
    for (int64_t k = 0; k < c->classes; k++) {
        double weight = by_variance ? total_of(c, k) : 1;
        sum += weight * raw_score(c, k);
        below += weight;
    }
    return adjusted(s, sum / below);
}

static kl_tensor *r2_score_result(const void *state)
{
    const r2_score_state *s = state;
    if (s->args.class_aggregation)
        return kl_scalar(KL_FLOAT32, r2_score_value(state));
    kl_tensor *out = float_vector(s->sums.classes);
    float *at = out ? kl_tensor_mutable_data(out) : NULL;
    for (int64_t k = 0; at && k < s->sums.classes; k++)
        at[k] = (float)adjusted(s, raw_score(&s->sums, k));
    return out;
}

static void r2_score_reset(void *state)
{
    r2_score_state *s = state;
    zero_sums(&s->sums);
    s->samples = 0;
}

static void r2_score_destroy(void *self)
{
    kl_free(((r2_score_state *)kl_object_state(self))->sums.at[0]);
}

/* ---- Intersection over union ---------------------------------------------------------------- */

typedef struct iou_state {
    kl_metric_iou_args args;
    double *matrix; /* [truth, prediction] */
} iou_state;

#define IOU_CLASSES                                                                                \
    {                                                                                              \
        "num_classes", KL_FIELD_INT, offsetof(kl_metric_iou_args, num_classes),                    \
            .doc = "how many there are", .min = 1, .max = 46340, .flags = KL_FIELD_REQUIRED        \
    }
#define IOU_TARGETS(def_flags)                                                                     \
    {                                                                                              \
        "target_class_ids", KL_FIELD_INTS, offsetof(kl_metric_iou_args, target_class_ids),         \
            .doc = "that count; None: all", .flags = def_flags                                     \
    }
#define IOU_IGNORE                                                                                 \
    {                                                                                              \
        "ignore_class", KL_FIELD_INT, offsetof(kl_metric_iou_args, ignore_class),                  \
            .doc = "a label that doesn't count", .flags = KL_FIELD_OPTIONAL                        \
    }
#define IOU_SPARSE(member, text, def_flags)                                                        \
    {                                                                                              \
#member, KL_FIELD_BOOL, offsetof(kl_metric_iou_args, member), text,                        \
            .doc = "whether it has class ids", .flags = def_flags                                  \
    }
#define IOU_AXIS                                                                                   \
    {                                                                                              \
        "axis", KL_FIELD_INT, offsetof(kl_metric_iou_args, axis), "-1", .doc = "of the classes"    \
    }
#define IOU_THRESHOLD(def_flags)                                                                   \
    {                                                                                              \
        "threshold", KL_FIELD_FLOAT, offsetof(kl_metric_iou_args, threshold), "0.5",               \
            .doc = "from it on a prediction is 1", .flags = def_flags                              \
    }
static const kl_field iou_fields[] = {NAME_FIELDS,
                                      IOU_CLASSES,
                                      IOU_TARGETS(KL_FIELD_OPTIONAL),
                                      IOU_IGNORE,
                                      IOU_SPARSE(sparse_y_true, "true", 0),
                                      IOU_SPARSE(sparse_y_pred, "true", 0),
                                      IOU_AXIS,
                                      IOU_THRESHOLD(KL_FIELD_HIDDEN),
                                      {0}};
static const kl_field one_hot_iou_fields[] = {NAME_FIELDS,
                                              IOU_CLASSES,
                                              IOU_TARGETS(KL_FIELD_OPTIONAL),
                                              IOU_IGNORE,
                                              IOU_SPARSE(sparse_y_true, "false", KL_FIELD_HIDDEN),
                                              IOU_SPARSE(sparse_y_pred, "false", 0),
                                              IOU_AXIS,
                                              IOU_THRESHOLD(KL_FIELD_HIDDEN),
                                              {0}};
static const kl_field binary_iou_fields[] = {
    NAME_FIELDS,
    {"num_classes", KL_FIELD_INT, offsetof(kl_metric_iou_args, num_classes), "2", .doc = "always 2",
     .flags = KL_FIELD_HIDDEN},
    IOU_TARGETS(KL_FIELD_OPTIONAL),
    {"ignore_class", KL_FIELD_INT, offsetof(kl_metric_iou_args, ignore_class), .doc = "none",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    IOU_SPARSE(sparse_y_true, "true", KL_FIELD_HIDDEN),
    IOU_SPARSE(sparse_y_pred, "true", KL_FIELD_HIDDEN),
    {"axis", KL_FIELD_INT, offsetof(kl_metric_iou_args, axis), "-1", .doc = "of no meaning",
     .flags = KL_FIELD_HIDDEN},
    IOU_THRESHOLD(0),
    {0}};

static kl_status iou_start(iou_state *s)
{
    int64_t n = s->args.num_classes;
    for (size_t i = 0; i < s->args.target_class_ids.count; i++)
        if (s->args.target_class_ids.at[i] < 0 || s->args.target_class_ids.at[i] >= n)
            return kl_error(KL_ERROR_RANGE, "target_class_ids must be from 0 to %lld, got %lld",
                            (long long)n - 1, (long long)s->args.target_class_ids.at[i]);
    s->matrix = kl_calloc((size_t)n, (size_t)n * sizeof *s->matrix);
    return s->matrix ? KL_OK : KL_ERROR_MEMORY;
}

static kl_status iou_init(void *self)
{
    return iou_start(kl_object_state(self));
}

static kl_status one_hot_iou_init(void *self)
{
    iou_state *s = kl_object_state(self);
    s->args.sparse_y_true = false;
    return iou_start(s);
}

static kl_status binary_iou_init(void *self)
{
    iou_state *s = kl_object_state(self);
    s->args.num_classes = 2;
    return iou_start(s);
}

static kl_status count_pairs(iou_state *s, kl_tensor *t, kl_tensor *p, kl_tensor *w, bool binary)
{
    int axis = (int)s->args.axis;
    if (!s->args.sparse_y_true)
        t = kl_op_argmax(t, axis);
    if (!s->args.sparse_y_pred && !binary)
        p = kl_op_argmax(p, axis);
    t = kl_metric_floats(t);
    p = kl_metric_floats(p);
    if (!t || !p || (w && !(w = kl_metric_floats(w))))
        return kl_last_status();
    if (t->size != p->size || (w && (!w->size || t->size % w->size)))
        return kl_error(KL_ERROR_SHAPE, "expected as many labels as predictions, got %lld and %lld",
                        (long long)t->size, (long long)p->size);
    double n = (double)s->args.num_classes;
    /* Without a float dtype Keras counts in whole numbers, weights too. */
    bool whole = !s->args.dtype || strncmp(s->args.dtype, "int", 3) == 0;
    for (int64_t i = 0; i < t->size; i++) {
        double truth = element(t, i), value = element(p, i);
        if (binary)
            value = value >= s->args.threshold;
        bool counts = truth >= 0 && truth < n && value >= 0 && value < n;
        if (s->args.ignore_class != KL_NONE && truth == (double)s->args.ignore_class)
            counts = false;
        double weight = w ? element(w, i / (t->size / w->size)) : 1;
        if (counts)
            s->matrix[(int64_t)truth * s->args.num_classes + (int64_t)value] +=
                whole ? trunc(weight) : weight;
    }
    return KL_OK;
}

static kl_status iou_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    return count_pairs(state, t, p, w, false);
}

static kl_status binary_iou_update(void *state, kl_tensor *t, kl_tensor *p, kl_tensor *w)
{
    return count_pairs(state, t, p, w, true);
}

static double iou_value(const void *state)
{
    const iou_state *s = state;
    int64_t n = s->args.num_classes;
    const kl_ints targets = s->args.target_class_ids;
    double sum = 0, valid = 0;
    for (int64_t i = 0; i < (targets.count ? (int64_t)targets.count : n); i++) {
        int64_t k = targets.count ? targets.at[i] : i;
        double hit = s->matrix[k * n + k], below = -hit;
        for (int64_t j = 0; j < n; j++)
            below += s->matrix[k * n + j] + s->matrix[j * n + k];
        if (below > 1e-9) {
            sum += hit / (below + KL_EPSILON);
            valid++;
        }
    }
    return sum / (valid + KL_EPSILON);
}

static void iou_reset(void *state)
{
    iou_state *s = state;
    memset(s->matrix, 0, (size_t)(s->args.num_classes * s->args.num_classes) * sizeof *s->matrix);
}

static void iou_destroy(void *self)
{
    kl_free(((iou_state *)kl_object_state(self))->matrix);
}

/* constructor, class, names, functions, fields, state, arguments, the rest */
#define CLASS_METRICS(X)                                                                           \
    X(f1_score, "F1Score", "f1_score", f_score, f1_fields, f_score, (.result = f_score_result))    \
    X(fbeta_score, "FBetaScore", "fbeta_score|f_beta_score", f_score, fbeta_fields, f_score,       \
      (.result = f_score_result))                                                                  \
    X(r2_score, "R2Score", "r2_score", r2_score, r2_score_fields, r2_score,                        \
      (.result = r2_score_result))                                                                 \
    X(iou, "IoU", "io_u|iou", iou, iou_fields, iou, (.init = iou_init))                            \
    X(mean_iou, "MeanIoU", "mean_io_u|mean_iou", iou, iou_fields, iou, (.init = iou_init))         \
    X(one_hot_iou, "OneHotIoU", "one_hot_io_u|one_hot_iou", iou, one_hot_iou_fields, iou,          \
      (.init = one_hot_iou_init))                                                                  \
    X(one_hot_mean_iou, "OneHotMeanIoU", "one_hot_mean_io_u|one_hot_mean_iou", iou,                \
      one_hot_iou_fields, iou, (.init = one_hot_iou_init))

#define CLASS_METRIC(id, class, called, from, table, kind, more)                                   \
    static const kl_metric_vtable id##_class = {.size = sizeof(kl_metric_vtable),                  \
                                                .class_name = class,                               \
                                                .names = called,                                   \
                                                .state_size = sizeof(kind##_state),                \
                                                .args_size = sizeof(kl_metric_##kind##_args),      \
                                                .fields = table,                                   \
                                                .destroy = from##_destroy,                         \
                                                .update = from##_update,                           \
                                                .value = from##_value,                             \
                                                .reset = from##_reset,                             \
                                                KL_UNPAREN_ more};                                 \
    kl_metric *kl_metric_##id##_new(const kl_metric_##kind##_args *args)                           \
    {                                                                                              \
        return kl_metric_make("kl_metric_" #id, &id##_class, args);                                \
    }
CLASS_METRICS(CLASS_METRIC)

static const kl_metric_vtable binary_iou_class = {.size = sizeof(kl_metric_vtable),
                                                  .class_name = "BinaryIoU",
                                                  .names = "binary_io_u|binary_iou",
                                                  .state_size = sizeof(iou_state),
                                                  .args_size = sizeof(kl_metric_iou_args),
                                                  .fields = binary_iou_fields,
                                                  .init = binary_iou_init,
                                                  .destroy = iou_destroy,
                                                  .update = binary_iou_update,
                                                  .value = iou_value,
                                                  .reset = iou_reset};

kl_metric *kl_metric_binary_iou_new(const kl_metric_iou_args *args)
{
    return kl_metric_make("kl_metric_binary_iou", &binary_iou_class, args);
}

#define CLASS_ENTRY(id, class, called, from, table, kind, more) &id##_class,
const kl_metric_vtable *const kl_class_metrics[] = {CLASS_METRICS(CLASS_ENTRY) & binary_iou_class,
                                                    NULL};
