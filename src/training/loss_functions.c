/* The values of Keras's losses before reduction. All are called within a scope. */
#include <math.h>
#include "base/error.h"
#include "tensor/tensor.h"
#include "training/losses.h"

static kl_tensor *mean_last(kl_tensor *x)
{
    return kl_op_mean(x, 1, (const int[]){-1}, false);
}

static kl_tensor *sum_last(kl_tensor *x)
{
    return kl_op_sum(x, 1, (const int[]){-1}, false);
}

static kl_tensor *like(kl_tensor *x, const kl_tensor *pattern)
{
    return x && pattern && x->dtype != pattern->dtype ? kl_op_cast(x, (kl_dtype)pattern->dtype) : x;
}

bool kl_align_ranks(kl_tensor **a, kl_tensor **b, bool expand_rank_1)
{
    if (!*a || !*b)
        return false;
    int ra = kl_tensor_rank(*a), rb = kl_tensor_rank(*b);
    if (ra == rb + 1 && (*a)->shape[ra - 1] == 1) {
        if (rb == 1 && expand_rank_1)
            *b = kl_op_expand_dims(*b, -1);
        else
            *a = kl_op_squeeze(*a, -1);
    } else if (rb == ra + 1 && (*b)->shape[rb - 1] == 1) {
        if (ra == 1 && expand_rank_1)
            *a = kl_op_expand_dims(*a, -1);
        else
            *b = kl_op_squeeze(*b, -1);
    }
    return *a && *b;
}

/* y_true in y_pred's dtype, both of one rank where Keras makes them so. */
static bool align(kl_tensor **t, kl_tensor **p)
{
    *t = like(*t, *p);
    return kl_align_ranks(t, p, true);
}

kl_tensor *kl_values_mean_squared_error(const void *args, kl_tensor *t, kl_tensor *p)
{
    return align(&t, &p) ? mean_last(kl_op_squared_difference(p, t)) : NULL;
}

kl_tensor *kl_values_mean_absolute_error(const void *args, kl_tensor *t, kl_tensor *p)
{
    return align(&t, &p) ? mean_last(kl_op_abs(kl_op_sub(t, p))) : NULL;
}

kl_tensor *kl_values_mean_absolute_percentage_error(const void *args, kl_tensor *t, kl_tensor *p)
{
    if (!align(&t, &p))
        return NULL;
    kl_tensor *scale = kl_op_maximum_scalar(kl_op_abs(t), KL_EPSILON);
    return kl_op_mul_scalar(mean_last(kl_op_abs(kl_op_div(kl_op_sub(t, p), scale))), 100);
}

static kl_tensor *log_one_more(kl_tensor *x)
{
    return kl_op_log(kl_op_add_scalar(kl_op_maximum_scalar(x, KL_EPSILON), 1));
}

kl_tensor *kl_values_mean_squared_logarithmic_error(const void *args, kl_tensor *t, kl_tensor *p)
{
    return align(&t, &p) ? mean_last(kl_op_squared_difference(log_one_more(p), log_one_more(t)))
                         : NULL;
}

/* Labels 0 and 1 become -1 and 1; others stay. */
static kl_tensor *hinge_labels(kl_tensor *t)
{
    if (!t)
        return NULL;
    for (int64_t i = 0; i < t->size; i++) {
        double value = kl_tensor_at(t, i);
        if (value != 0 && value != 1)
            return t;
    }
    return kl_op_add_scalar(kl_op_mul_scalar(t, 2), -1);
}

static kl_tensor *hinge_margin(kl_tensor *t, kl_tensor *p)
{
    t = hinge_labels(like(t, p));
    return kl_op_maximum_scalar(kl_op_rsub_scalar(kl_op_mul(t, p), 1), 0);
}

kl_tensor *kl_values_hinge(const void *args, kl_tensor *t, kl_tensor *p)
{
    return mean_last(hinge_margin(t, p));
}

kl_tensor *kl_values_squared_hinge(const void *args, kl_tensor *t, kl_tensor *p)
{
    return mean_last(kl_op_square(hinge_margin(t, p)));
}

kl_tensor *kl_values_categorical_hinge(const void *args, kl_tensor *t, kl_tensor *p)
{
    t = like(t, p);
    kl_tensor *positive = sum_last(kl_op_mul(t, p));
    kl_tensor *negative =
        kl_op_max(kl_op_mul(kl_op_rsub_scalar(t, 1), p), 1, (const int[]){-1}, false);
    return kl_op_maximum_scalar(kl_op_add_scalar(kl_op_sub(negative, positive), 1), 0);
}

kl_tensor *kl_values_kl_divergence(const void *args, kl_tensor *t, kl_tensor *p)
{
    t = kl_op_clip(like(t, p), KL_EPSILON, 1);
    p = kl_op_clip(p, KL_EPSILON, 1);
    return sum_last(kl_op_mul(t, kl_op_log(kl_op_div(t, p))));
}

kl_tensor *kl_values_log_cosh(const void *args, kl_tensor *t, kl_tensor *p)
{
    if (!align(&t, &p))
        return NULL;
    kl_tensor *x = kl_op_sub(p, t);
    kl_tensor *sum = kl_op_add(x, kl_op_softplus(kl_op_mul_scalar(x, -2)));
    return mean_last(kl_op_add_scalar(sum, -log(2)));
}

kl_tensor *kl_values_poisson(const void *args, kl_tensor *t, kl_tensor *p)
{
    t = like(t, p);
    return mean_last(kl_op_sub(p, kl_op_mul(t, kl_op_log(kl_op_add_scalar(p, KL_EPSILON)))));
}

kl_tensor *kl_values_huber(const void *args, kl_tensor *t, kl_tensor *p)
{
    double delta = ((const kl_loss_huber_args *)args)->delta;
    if (!align(&t, &p))
        return NULL;
    kl_tensor *error = kl_op_sub(p, t), *size = kl_op_abs(error);
    kl_tensor *bound = p ? kl_scalar(p->dtype, delta) : NULL;
    kl_tensor *linear = kl_op_add_scalar(kl_op_mul_scalar(size, delta), -0.5 * delta * delta);
    return mean_last(kl_op_where(kl_op_less_equal(size, bound),
                                 kl_op_mul_scalar(kl_op_square(error), 0.5), linear));
}

kl_tensor *kl_values_cosine_similarity(const void *args, kl_tensor *t, kl_tensor *p)
{
    int axis = (int)((const kl_loss_axis_args *)args)->axis;
    if (!align(&t, &p))
        return NULL;
    t = kl_op_l2_normalize(t, 1, &axis, KL_EPSILON);
    p = kl_op_l2_normalize(p, 1, &axis, KL_EPSILON);
    return kl_op_neg(kl_op_sum(kl_op_mul(t, p), 1, &axis, false));
}

/* Keras's check of crossentropy targets. */
static bool same_shape(const char *name, const kl_tensor *t, const kl_tensor *p)
{
    if (!t || !p)
        return false;
    if (kl_shape_equal(t, p))
        return true;
    char need[128], got[128];
    kl_error(KL_ERROR_SHAPE,
             "%s: y_true and y_pred must have the same shape, got y_true %s and y_pred %s", name,
             kl_shape_text(t->rank, t->shape, got, sizeof got),
             kl_shape_text(p->rank, p->shape, need, sizeof need));
    return false;
}

kl_tensor *kl_values_binary_crossentropy(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_loss_crossentropy_args *a = args;
    int axis = (int)a->axis;
    if (!align(&t, &p) || !same_shape("binary_crossentropy", t, p))
        return NULL;
    if (a->label_smoothing != 0)
        t = kl_op_add_scalar(kl_op_mul_scalar(t, 1 - a->label_smoothing), 0.5 * a->label_smoothing);
    return kl_op_mean(kl_op_binary_crossentropy(t, p, a->from_logits), 1, &axis, false);
}

/* Smoothed targets, and the classes on the last axis. */
static bool ready_classes(const char *name, double smoothing, int64_t axis, kl_tensor **t,
                          kl_tensor **p)
{
    if (!same_shape(name, *t, *p))
        return false;
    if (!(*p)->rank) {
        kl_error(KL_ERROR_SHAPE, "%s: y_pred needs an axis of classes, got shape ()", name);
        return false;
    }
    if (smoothing != 0) {
        double classes = (double)(*t)->shape[(*t)->rank - 1];
        *t = kl_op_add_scalar(kl_op_mul_scalar(*t, 1 - smoothing), smoothing / classes);
    }
    int at = kl_axis(name, (int)axis, (*p)->rank);
    if (at < 0)
        return false;
    if (at != (*p)->rank - 1) {
        *t = kl_op_move_axis(*t, at, -1);
        *p = kl_op_move_axis(*p, at, -1);
    }
    return *t && *p;
}

kl_tensor *kl_values_categorical_crossentropy(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_loss_crossentropy_args *a = args;
    t = like(t, p);
    if (!ready_classes("categorical_crossentropy", a->label_smoothing, a->axis, &t, &p))
        return NULL;
    return kl_op_categorical_crossentropy(t, p, a->from_logits);
}

/* Integer labels without a last axis of 1, one for each row of p, whose classes come last. */
static bool ready_labels(const kl_loss_sparse_args *a, kl_tensor **t, kl_tensor **p)
{
    if (!*t || !*p)
        return false;
    if (!(*p)->rank) {
        kl_error(KL_ERROR_SHAPE,
                 "sparse_categorical_crossentropy: y_pred needs an axis of classes, "
                 "got shape ()");
        return false;
    }
    int axis = kl_axis("sparse_categorical_crossentropy", (int)a->axis, (*p)->rank);
    if (axis < 0)
        return false;
    if ((*t)->rank == (*p)->rank && (*t)->shape[axis] == 1)
        *t = kl_op_squeeze(*t, axis);
    if (*t && axis != (*p)->rank - 1)
        *p = kl_op_move_axis(*p, axis, -1);
    if (!*t || !*p)
        return false;
    bool fits = (*t)->rank == (*p)->rank - 1;
    for (int i = 0; fits && i < (*t)->rank; i++)
        fits = (*t)->shape[i] == (*p)->shape[i];
    if (!fits) {
        char got[128], pred[128];
        kl_error(
            KL_ERROR_SHAPE,
            "sparse_categorical_crossentropy: y_true must have y_pred's shape without the axis "
            "of classes, got y_true %s and y_pred %s",
            kl_shape_text((*t)->rank, (*t)->shape, got, sizeof got),
            kl_shape_text((*p)->rank, (*p)->shape, pred, sizeof pred));
        return false;
    }
    if ((*t)->dtype != KL_INT32 && (*t)->dtype != KL_INT64)
        *t = kl_op_cast(*t, KL_INT64);
    return *t != NULL;
}

kl_tensor *kl_values_sparse_categorical_crossentropy(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_loss_sparse_args *a = args;
    if (!ready_labels(a, &t, &p))
        return NULL;
    if (a->ignore_class == KL_NONE)
        return kl_op_sparse_categorical_crossentropy(t, p, a->from_logits);
    kl_tensor *ignored = kl_scalar(t->dtype, (double)a->ignore_class);
    kl_tensor *valid = kl_op_not_equal(t, ignored);
    t = kl_op_where(valid, t, kl_scalar(t->dtype, 0));
    p = kl_op_where(kl_op_expand_dims(valid, -1), p, kl_scalar(p->dtype, 0));
    kl_tensor *values = kl_op_sparse_categorical_crossentropy(t, p, a->from_logits);
    if (!values)
        return NULL;
    values = kl_op_where(valid, values, kl_scalar(values->dtype, 0));
    if (values)
        kl_tensor_set_mask(values, valid);
    return values;
}

kl_tensor *kl_values_binary_focal_crossentropy(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_loss_focal_args *a = args;
    int axis = (int)a->axis;
    if (!align(&t, &p) || !same_shape("binary_focal_crossentropy", t, p))
        return NULL;
    if (a->label_smoothing != 0)
        t = kl_op_add_scalar(kl_op_mul_scalar(t, 1 - a->label_smoothing), 0.5 * a->label_smoothing);
    if (a->from_logits)
        p = kl_op_sigmoid(p);
    kl_tensor *values = kl_op_binary_crossentropy(t, p, false);
    kl_tensor *not_t = kl_op_rsub_scalar(t, 1);
    kl_tensor *hit = kl_op_add(kl_op_mul(t, p), kl_op_mul(not_t, kl_op_rsub_scalar(p, 1)));
    values = kl_op_mul(kl_op_pow_scalar(kl_op_rsub_scalar(hit, 1), a->gamma), values);
    if (a->apply_class_balancing)
        values = kl_op_mul(
            kl_op_add(kl_op_mul_scalar(t, a->alpha), kl_op_mul_scalar(not_t, 1 - a->alpha)),
            values);
    return kl_op_mean(values, 1, &axis, false);
}

kl_tensor *kl_values_categorical_focal_crossentropy(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_loss_focal_args *a = args;
    t = like(t, p);
    if (!ready_classes("categorical_focal_crossentropy", a->label_smoothing, a->axis, &t, &p))
        return NULL;
    if (a->from_logits)
        p = kl_op_softmax(p, -1);
    p = kl_op_div(p, kl_op_sum(p, 1, (const int[]){-1}, true));
    p = kl_op_clip(p, KL_EPSILON, 1 - KL_EPSILON);
    kl_tensor *values = kl_op_mul(kl_op_neg(t), kl_op_log(p));
    kl_tensor *factor =
        kl_op_mul_scalar(kl_op_pow_scalar(kl_op_rsub_scalar(p, 1), a->gamma), a->alpha);
    return sum_last(kl_op_mul(factor, values));
}

/* Sum over the axes listed, all of them without a list. */
static kl_tensor *sum_over(kl_tensor *x, kl_ints axes)
{
    int list[KL_MAX_RANK], count = 0;
    for (; count < KL_MAX_RANK && (size_t)count < axes.count; count++)
        list[count] = (int)axes.at[count];
    return count ? kl_op_sum(x, count, list, false) : kl_op_sum(x, KL_ALL_AXES, false);
}

kl_tensor *kl_values_dice(const void *args, kl_tensor *t, kl_tensor *p)
{
    kl_ints axis = ((const kl_loss_dice_args *)args)->axis;
    t = like(t, p);
    kl_tensor *both = kl_op_mul_scalar(sum_over(kl_op_mul(t, p), axis), 2);
    kl_tensor *all = kl_op_add(sum_over(t, axis), sum_over(p, axis));
    return kl_op_rsub_scalar(kl_op_div(both, kl_op_add_scalar(all, KL_EPSILON)), 1);
}

kl_tensor *kl_values_tversky(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_loss_tversky_args *a = args;
    t = like(t, p);
    kl_tensor *both = sum_over(kl_op_mul(t, p), a->axis);
    kl_tensor *false_positive = sum_over(kl_op_mul(kl_op_rsub_scalar(p, 1), t), a->axis);
    kl_tensor *false_negative = sum_over(kl_op_mul(p, kl_op_rsub_scalar(t, 1)), a->axis);
    kl_tensor *all = kl_op_add(both, kl_op_add(kl_op_mul_scalar(false_positive, a->alpha),
                                               kl_op_mul_scalar(false_negative, a->beta)));
    return kl_op_rsub_scalar(kl_op_div(both, kl_op_add_scalar(all, KL_EPSILON)), 1);
}

kl_tensor *kl_values_categorical_generalized_cross_entropy(const void *args, kl_tensor *t,
                                                           kl_tensor *p)
{
    double q = ((const kl_loss_generalized_args *)args)->q;
    if (!t || !p || !p->rank)
        return NULL;
    kl_tensor *hot = kl_op_one_hot(kl_op_cast(t, KL_INT64), p->shape[p->rank - 1], -1, p->dtype);
    kl_tensor *hit = sum_last(kl_op_mul(p, hot));
    return kl_op_mul_scalar(kl_op_rsub_scalar(kl_op_pow_scalar(hit, q), 1), 1 / q);
}

kl_tensor *kl_values_circle(const void *args, kl_tensor *t, kl_tensor *p)
{
    const kl_loss_circle_args *a = args;
    if (!t || !p)
        return NULL;
    if (p->rank != 2 || t->size != p->shape[0]) {
        char pred[128];
        kl_error(KL_ERROR_SHAPE,
                 "circle: expected embeddings (samples, size) and a label for each, got y_pred %s",
                 kl_shape_text(p->rank, p->shape, pred, sizeof pred));
        return NULL;
    }
    int64_t n = p->shape[0];
    kl_tensor *labels = kl_op_reshape(t, 2, (const int64_t[]){n, 1});
    kl_tensor *same = kl_op_equal(labels, kl_op_transpose(labels, NULL));
    kl_tensor *other = kl_op_logical_not(same);
    if (a->remove_diagonal) {
        kl_tensor *ones = kl_ones(KL_FLOAT32, 2, (const int64_t[]){n, n});
        kl_tensor *diagonal = kl_op_tril(kl_op_triu(ones, 0), 0);
        same = kl_op_logical_and(same, kl_op_logical_not(kl_op_cast(diagonal, KL_BOOL)));
    }
    kl_tensor *far = kl_op_matmul_t(p, false, p, true);
    far = kl_op_maximum_scalar(kl_op_rsub_scalar(far, 1), 0);
    kl_tensor *positive = kl_op_cast(same, p->dtype), *negative = kl_op_cast(other, p->dtype);
    kl_tensor *weight_p =
        kl_op_maximum_scalar(kl_op_mul(kl_op_add_scalar(far, a->margin), positive), 0);
    kl_tensor *weight_n =
        kl_op_maximum_scalar(kl_op_mul(kl_op_rsub_scalar(far, 1 + a->margin), negative), 0);
    kl_tensor *part_p =
        kl_op_mul_scalar(kl_op_mul(weight_p, kl_op_rsub_scalar(far, a->margin)), -a->gamma);
    kl_tensor *part_n =
        kl_op_mul_scalar(kl_op_mul(weight_n, kl_op_rsub_scalar(far, 1 - a->margin)), a->gamma);
    kl_tensor *none = kl_scalar(p->dtype, -INFINITY);
    part_p = kl_op_logsumexp(kl_op_where(same, part_p, none), 1, (const int[]){1}, false);
    part_n = kl_op_logsumexp(kl_op_where(other, part_n, none), 1, (const int[]){1}, false);
    kl_tensor *values = kl_op_softplus(kl_op_add(part_p, part_n));
    if (!values)
        return NULL;
    kl_tensor *mask = kl_op_greater(values, kl_scalar(values->dtype, 0));
    values = kl_op_reshape(values, values->rank, values->shape);
    if (values && mask)
        kl_tensor_set_mask(values, mask);
    return values;
}
