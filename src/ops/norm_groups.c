/* Group normalization: each sample by the statistics of groups of its channels. */
#include "kernels/norm.h"
#include "ops/common.h"

typedef struct group_norm_attrs {
    double epsilon;
    int groups, axis;
} group_norm_attrs;

/* Places before the channels and after them count alike: x is [samples, places, groups, channels of
   a group, places]. */
static kl_status group_moments(kl_tensor *x, kl_tensor *mask, kl_tensor **mean,
                               kl_tensor **variance)
{
    static const int axes[3] = {1, 3, 4};
    if (!mask) {
        *mean = kl_op_mean(x, 3, axes, true);
        *variance = kl_op_mean(kl_op_square(kl_op_sub(x, *mean)), 3, axes, true);
        return *variance ? KL_OK : kl_last_status();
    }
    kl_tensor *total = kl_op_sum(mask, 3, axes, true);
    *mean = kl_op_div(kl_op_sum(kl_op_mul(x, mask), 3, axes, true), total);
    kl_tensor *squares = kl_op_mul(kl_op_square(kl_op_sub(x, *mean)), mask);
    *variance = kl_op_div(kl_op_sum(squares, 3, axes, true), total);
    return *variance ? KL_OK : kl_last_status();
}

static kl_tensor *group_norm_composed(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta,
                                      const group_norm_attrs *a, kl_tensor *mask)
{
    int groups = a->groups, axis = a->axis;
    int64_t each = x->shape[axis] / groups, shape[5] = {x->shape[0], 1, groups, each, 1};
    int64_t of_group[3] = {groups, each, 1};
    for (int i = 1; i < x->rank; i++)
        if (i != axis)
            shape[i < axis ? 1 : 4] *= x->shape[i];
    kl_scope *scope = kl_scope_begin();
    kl_tensor *parts = kl_op_reshape(x, 5, shape), *mean = NULL, *variance = NULL, *y = NULL;
    if (mask)
        mask = kl_op_reshape(
            kl_op_broadcast_to(kl_op_cast(mask, (kl_dtype)x->dtype), x->rank, x->shape), 5, shape);
    if (parts && !group_moments(parts, mask, &mean, &variance)) {
        kl_tensor *scale = kl_op_rsqrt(kl_op_add_scalar(variance, a->epsilon));
        if (gamma)
            scale = kl_op_mul(scale, kl_op_reshape(gamma, 3, of_group));
        y = kl_op_mul(kl_op_sub(parts, mean), scale);
        if (beta)
            y = kl_op_add(y, kl_op_reshape(beta, 3, of_group));
        y = kl_op_reshape(y, x->rank, x->shape);
    }
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

static bool fill(const kl_op_frame *f, kl_tensor **arrays, kl_group_norm *norm)
{
    const kl_tensor *x = f->in[0];
    const group_norm_attrs *a = f->attrs;
    for (int i = 0; i < 3; i++) {
        arrays[i] = f->in[i] && f->in[i]->buffer ? kl_dense_values(f->in[i]) : NULL;
        if (f->in[i] && f->in[i]->buffer && !arrays[i])
            return false;
    }
    if (!arrays[0])
        return false;
    *norm = (kl_group_norm){.wide = kl_is_wide(x),
                            .samples = x->shape[0],
                            .before = 1,
                            .channels = x->shape[a->axis],
                            .after = 1,
                            .groups = a->groups,
                            .x = arrays[0]->data,
                            .gamma = arrays[1] ? arrays[1]->data : NULL,
                            .beta = arrays[2] ? arrays[2]->data : NULL,
                            .mean = f->out[1]->data,
                            .variance = f->out[2]->data,
                            .epsilon = a->epsilon};
    for (int i = 1; i < x->rank; i++)
        if (i != a->axis)
            *(i < a->axis ? &norm->before : &norm->after) *= x->shape[i];
    return true;
}

static kl_status group_norm_forward(kl_op_frame *f)
{
    const kl_tensor *x = f->in[0];
    const group_norm_attrs *a = f->attrs;
    int64_t shape[2] = {x->shape[0], a->groups};
    kl_tensor *arrays[3];
    kl_group_norm norm;
    f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    f->out[1] = kl_op_output(f, (kl_dtype)x->dtype, 2, shape);
    f->out[2] = kl_op_output(f, (kl_dtype)x->dtype, 2, shape);
    if (!f->out[0] || !f->out[1] || !f->out[2])
        return kl_last_status();
    if (!f->out[0]->buffer)
        return KL_OK;
    if (!fill(f, arrays, &norm))
        return kl_last_status();
    bool done = kl_groups_norm(&norm, f->out[0]->data);
    for (int i = 0; i < 3; i++)
        if (arrays[i])
            kl_drop_copy(arrays[i], f->in[i]);
    return done ? KL_OK : kl_last_status();
}

static kl_status group_norm_backward(kl_op_frame *f)
{
    const kl_tensor *x = f->in[0];
    const group_norm_attrs *a = f->attrs;
    kl_tensor *arrays[3], *to[3];
    kl_group_norm norm;
    if (!f->dout[0])
        return KL_OK;
    kl_tensor *dy = kl_dense_values(f->dout[0]);
    for (int i = 0; i < 3; i++) {
        to[i] = i ? kl_empty((kl_dtype)x->dtype, 1, &x->shape[a->axis])
                  : kl_empty((kl_dtype)x->dtype, x->rank, x->shape);
        if (!to[i])
            return kl_last_status();
    }
    if (!dy || !fill(f, arrays, &norm))
        return kl_last_status();
    kl_norm_grad grad = {
        .dy = dy->data, .dx = to[0]->data, .dgamma = to[1]->data, .dbeta = to[2]->data};
    if (!kl_groups_norm_grad(&norm, &grad))
        return kl_last_status();
    for (int i = 0; i < 3; i++)
        if (f->in[i] && f->needs[i])
            f->din[i] = to[i];
    return KL_OK;
}

static kl_status group_norm_compose(kl_op_frame *f)
{
    f->out[0] = group_norm_composed(f->in[0], f->in[1], f->in[2], f->attrs, NULL);
    return f->out[0] ? KL_OK : kl_last_status();
}

/* The statistics are for backward alone. */
static const kl_op group_norm_op = {.size = sizeof(kl_op),
                                    .name = "group_norm",
                                    .attrs_size = sizeof(group_norm_attrs),
                                    .forward = group_norm_forward,
                                    .backward = group_norm_backward,
                                    .compose = group_norm_compose,
                                    .keeps_in = 7, /* beta: for compose */
                                    .keeps_out = 6};

static bool fits(const kl_tensor *v, const kl_tensor *x, int axis)
{
    return !v ||
           (!v->symbol && v->dtype == x->dtype && v->rank == 1 && v->shape[0] == x->shape[axis]);
}

kl_tensor *kl_op_group_norm(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int groups, int axis,
                            double epsilon, kl_tensor *mask)
{
    if (!x) {
        kl_error_null("group_norm", "x");
        return NULL;
    }
    int at = kl_axis("group_norm: axis", axis, x->rank);
    if (at < 0)
        return NULL;
    if (!at) {
        kl_error(KL_ERROR_INVALID, "group_norm: the first axis is the samples'");
        return NULL;
    }
    if (groups < 1 || x->shape[at] % groups) {
        kl_error(KL_ERROR_INVALID, "group_norm: %lld channels can't be divided into %d groups",
                 (long long)x->shape[at], groups);
        return NULL;
    }
    const group_norm_attrs attrs = {epsilon, groups, at};
    bool fused = !mask && !x->symbol && x->size &&
                 (x->dtype == KL_FLOAT32 || x->dtype == KL_FLOAT64) && fits(gamma, x, at) &&
                 fits(beta, x, at);
    if (!fused)
        return group_norm_composed(x, gamma, beta, &attrs, mask);
    kl_tensor *out[3], *in[3] = {x, gamma, beta};
    kl_op_run(&group_norm_op, &attrs, 3, in, 6, 3, out);
    kl_drop(out[1]);
    kl_drop(out[2]);
    return out[0];
}
