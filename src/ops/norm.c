/* Normalizations, composed of primitive ops so that gradients of any order follow. */
#include "ops/common.h"

/* A vector [n] as it broadcasts along `axis` of x. */
static kl_tensor *along(kl_tensor *v, const kl_tensor *x, int axis)
{
    int64_t shape[KL_MAX_RANK];
    if (!v || axis == x->rank - 1)
        return v;
    for (int i = 0; i < x->rank; i++)
        shape[i] = i == axis ? x->shape[i] : 1;
    return kl_op_reshape(v, x->rank, shape);
}

kl_tensor *kl_op_normalize_with(kl_tensor *x, kl_tensor *mean, kl_tensor *variance,
                                kl_tensor *gamma, kl_tensor *beta, int axis, double epsilon)
{
    if (!x || !mean || !variance) {
        kl_error_null("normalize_with", !x ? "x" : !mean ? "mean" : "variance");
        return NULL;
    }
    int at = kl_axis("normalize_with: axis", axis, x->rank);
    if (at < 0)
        return NULL;
    kl_scope *scope = kl_scope_begin();
    /* One scale and one shift an element of the axis: x is read once. */
    kl_tensor *scale = kl_op_rsqrt(kl_op_add_scalar(variance, epsilon));
    if (gamma)
        scale = kl_op_mul(scale, gamma);
    kl_tensor *shift = kl_op_neg(kl_op_mul(mean, scale));
    if (beta)
        shift = kl_op_add(shift, beta);
    kl_tensor *y = kl_op_add(kl_op_mul(x, along(scale, x, at)), along(shift, x, at));
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

/* Mean and variance over the axes but one; with a mask only its true places count, and Keras's
   small constant keeps an empty mask from dividing by 0. */
static kl_status moments(kl_tensor *x, int axis, kl_tensor *mask, kl_tensor **mean,
                         kl_tensor **variance, kl_tensor **centered)
{
    int axes[KL_MAX_RANK], count = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != axis)
            axes[count++] = i;
    if (!mask) {
        *mean = count ? kl_op_mean(x, count, axes, true) : x;
        *centered = kl_op_sub(x, *mean);
        *variance = count ? kl_op_mean(kl_op_square(*centered), count, axes, true)
                          : kl_op_square(*centered);
        return *variance ? KL_OK : kl_last_status();
    }
    kl_tensor *keep = kl_op_broadcast_to(kl_op_expand_dims(mask, -1), x->rank, x->shape);
    kl_tensor *zero = kl_scalar((kl_dtype)x->dtype, 0);
    kl_tensor *weights = kl_op_cast(keep, (kl_dtype)x->dtype);
    kl_tensor *total = kl_op_add_scalar(kl_op_sum(weights, count, axes, true), 1e-7);
    *mean = kl_op_div(kl_op_sum(kl_op_where(keep, x, zero), count, axes, true), total);
    *centered = kl_op_sub(x, *mean);
    kl_tensor *squares = kl_op_square(kl_op_where(keep, *centered, zero));
    *variance = kl_op_div(kl_op_sum(squares, count, axes, true), total);
    return *variance ? KL_OK : kl_last_status();
}

kl_tensor *kl_op_batch_norm(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int axis,
                            double epsilon, kl_tensor *mask, kl_tensor **mean, kl_tensor **variance)
{
    if (mean)
        *mean = NULL;
    if (variance)
        *variance = NULL;
    if (!x) {
        kl_error_null("batch_norm", "x");
        return NULL;
    }
    int at = kl_axis("batch_norm: axis", axis, x->rank);
    if (at < 0)
        return NULL;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *m = NULL, *v = NULL, *centered = NULL;
    kl_tensor *keep[3] = {NULL, NULL, NULL};
    if (!moments(x, at, mask, &m, &v, &centered)) {
        kl_tensor *scale = kl_op_rsqrt(kl_op_add_scalar(v, epsilon));
        if (gamma)
            scale = kl_op_mul(scale, along(gamma, x, at));
        keep[0] = kl_op_mul(centered, scale);
        if (beta)
            keep[0] = kl_op_add(keep[0], along(beta, x, at));
        keep[1] = kl_op_reshape(m, 1, &x->shape[at]);
        keep[2] = kl_op_reshape(v, 1, &x->shape[at]);
    }
    if (!keep[0] || !keep[1] || !keep[2])
        keep[0] = keep[1] = keep[2] = NULL;
    kl_scope_end_keeping(scope, 3, keep);
    if (mean)
        *mean = keep[1];
    else
        kl_drop(keep[1]);
    if (variance)
        *variance = keep[2];
    else
        kl_drop(keep[2]);
    return keep[0];
}

kl_tensor *kl_op_layer_norm(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int axes,
                            double epsilon)
{
    if (!x || axes < 1 || axes > x->rank) {
        if (x)
            kl_error(KL_ERROR_RANGE, "layer_norm: 1 to %d axes, got %d", x->rank, axes);
        else
            kl_error_null("layer_norm", "x");
        return NULL;
    }
    int list[KL_MAX_RANK];
    for (int i = 0; i < axes; i++)
        list[i] = x->rank - axes + i;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *centered = kl_op_sub(x, kl_op_mean(x, axes, list, true));
    kl_tensor *variance = kl_op_mean(kl_op_square(centered), axes, list, true);
    kl_tensor *y = kl_op_mul(centered, kl_op_rsqrt(kl_op_add_scalar(variance, epsilon)));
    if (gamma)
        y = kl_op_mul(y, gamma);
    if (beta)
        y = kl_op_add(y, beta);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}
