/* Normalizations: that of layers, and of batches with the channels last, are fused; the rest is
   composed of primitive ops. */
#include "kernels/norm.h"
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

/* out: the values, mean and variance, all NULL on error. */
static kl_status batch_norm_composed(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int axis,
                                     double epsilon, kl_tensor *mask, kl_tensor **out)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *m = NULL, *v = NULL, *centered = NULL;
    out[0] = out[1] = out[2] = NULL;
    if (!moments(x, axis, mask, &m, &v, &centered)) {
        kl_tensor *scale = kl_op_rsqrt(kl_op_add_scalar(v, epsilon));
        if (gamma)
            scale = kl_op_mul(scale, along(gamma, x, axis));
        out[0] = kl_op_mul(centered, scale);
        if (beta)
            out[0] = kl_op_add(out[0], along(beta, x, axis));
        out[1] = kl_op_reshape(m, 1, &x->shape[axis]);
        out[2] = kl_op_reshape(v, 1, &x->shape[axis]);
    }
    kl_status status = out[0] && out[1] && out[2] ? KL_OK : kl_last_status();
    if (status)
        out[0] = out[1] = out[2] = NULL;
    kl_scope_end_keeping(scope, 3, out);
    return status;
}

typedef struct norm_attrs {
    double epsilon;
} norm_attrs;

/* Contiguous arrays of x, gamma and beta. */
static bool read_arrays(const kl_op_frame *f, kl_tensor **arrays)
{
    for (int i = 0; i < 3; i++) {
        arrays[i] = f->in[i] && f->in[i]->buffer ? kl_dense_values(f->in[i]) : NULL;
        if (f->in[i] && f->in[i]->buffer && !arrays[i])
            return false;
    }
    return arrays[0];
}

static bool fill_norm(const kl_op_frame *f, kl_tensor **arrays, kl_norm *norm)
{
    const kl_tensor *x = f->in[0];
    const norm_attrs *a = f->attrs;
    int64_t n = x->shape[x->rank - 1];
    if (!read_arrays(f, arrays))
        return false;
    *norm = (kl_norm){.wide = kl_is_wide(x),
                      .rows = x->size / n,
                      .n = n,
                      .x = arrays[0]->data,
                      .gamma = arrays[1] ? arrays[1]->data : NULL,
                      .beta = arrays[2] ? arrays[2]->data : NULL,
                      .mean = f->out[1]->data,
                      .variance = f->out[2]->data,
                      .epsilon = a->epsilon};
    return true;
}

static void drop_arrays(const kl_op_frame *f, kl_tensor *const *arrays)
{
    for (int i = 0; i < 3; i++)
        if (arrays[i])
            kl_drop_copy(arrays[i], f->in[i]);
}

static kl_status batch_norm_forward(kl_op_frame *f)
{
    const kl_tensor *x = f->in[0];
    const int64_t *n = &x->shape[x->rank - 1];
    kl_tensor *arrays[3];
    kl_norm norm;
    f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    f->out[1] = kl_op_output(f, (kl_dtype)x->dtype, 1, n);
    f->out[2] = kl_op_output(f, (kl_dtype)x->dtype, 1, n);
    if (!f->out[0] || !f->out[1] || !f->out[2])
        return kl_last_status();
    if (!f->out[0]->buffer)
        return KL_OK;
    if (!fill_norm(f, arrays, &norm) || !kl_batch_norm(&norm, f->out[0]->data))
        return kl_last_status();
    drop_arrays(f, arrays);
    return KL_OK;
}

static kl_status batch_norm_backward(kl_op_frame *f)
{
    const kl_tensor *x = f->in[0];
    kl_tensor *arrays[3], *from[3], *to[3];
    kl_norm norm;
    for (int i = 0; i < 3; i++) {
        from[i] = f->dout[i] ? kl_dense_values(f->dout[i]) : NULL;
        to[i] = i ? kl_empty((kl_dtype)x->dtype, 1, &x->shape[x->rank - 1])
                  : kl_empty((kl_dtype)x->dtype, x->rank, x->shape);
        if ((f->dout[i] && !from[i]) || !to[i])
            return kl_last_status();
    }
    if (!fill_norm(f, arrays, &norm))
        return kl_last_status();
    kl_norm_grad grad = {.dy = from[0] ? from[0]->data : NULL,
                         .dmean = from[1] ? from[1]->data : NULL,
                         .dvariance = from[2] ? from[2]->data : NULL,
                         .dx = to[0]->data,
                         .dgamma = to[1]->data,
                         .dbeta = to[2]->data};
    if (!kl_batch_norm_grad(&norm, &grad))
        return kl_last_status();
    for (int i = 0; i < 3; i++)
        if (f->in[i] && f->needs[i])
            f->din[i] = to[i];
    return KL_OK;
}

static kl_status batch_norm_compose(kl_op_frame *f)
{
    const norm_attrs *a = f->attrs;
    return batch_norm_composed(f->in[0], f->in[1], f->in[2], f->in[0]->rank - 1, a->epsilon, NULL,
                               f->out);
}

static const kl_op batch_norm_op = {.size = sizeof(kl_op),
                                    .name = "batch_norm",
                                    .attrs_size = sizeof(norm_attrs),
                                    .forward = batch_norm_forward,
                                    .backward = batch_norm_backward,
                                    .compose = batch_norm_compose,
                                    .keeps_in = 7, /* beta: for compose */
                                    .keeps_out = 6};

/* Whether v, which may be NULL, has one value of x's dtype a channel. */
static bool fits_channels(const kl_tensor *v, const kl_tensor *x)
{
    return !v || (!v->symbol && v->dtype == x->dtype && v->rank == 1 &&
                  v->shape[0] == x->shape[x->rank - 1]);
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
    kl_tensor *out[3], *in[3] = {x, gamma, beta};
    bool fused = !mask && !x->symbol && x->size && x->rank > 1 && at == x->rank - 1 &&
                 (x->dtype == KL_FLOAT32 || x->dtype == KL_FLOAT64) && fits_channels(gamma, x) &&
                 fits_channels(beta, x);
    if (fused)
        kl_op_run(&batch_norm_op, &(norm_attrs){epsilon}, 3, in, 6, 3, out);
    else
        batch_norm_composed(x, gamma, beta, at, epsilon, mask, out);
    if (mean)
        *mean = out[1];
    else
        kl_drop(out[1]);
    if (variance)
        *variance = out[2];
    else
        kl_drop(out[2]);
    return out[0];
}

/* Layer normalization over the last `axes` axes. */
typedef struct layer_norm_attrs {
    double epsilon;
    int axes;
} layer_norm_attrs;

static kl_tensor *layer_norm_composed(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int axes,
                                      double epsilon)
{
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

/* `statistics` [2, rows]: mean and inverse deviation. */
static bool fill_rows(const kl_op_frame *f, kl_tensor *statistics, kl_tensor **arrays,
                      kl_row_norm *norm)
{
    const kl_tensor *x = f->in[0];
    const layer_norm_attrs *a = f->attrs;
    int64_t n = 1;
    if (!read_arrays(f, arrays))
        return false;
    for (int i = 0; i < a->axes; i++)
        n *= x->shape[x->rank - 1 - i];
    size_t size = kl_is_wide(x) ? sizeof(double) : sizeof(float);
    *norm = (kl_row_norm){.wide = kl_is_wide(x),
                          .rows = x->size / n,
                          .n = n,
                          .x = arrays[0]->data,
                          .gamma = arrays[1] ? arrays[1]->data : NULL,
                          .beta = arrays[2] ? arrays[2]->data : NULL,
                          .mean = statistics->data,
                          .inverse = (char *)statistics->data + (size_t)(x->size / n) * size,
                          .epsilon = a->epsilon};
    return true;
}

static kl_status layer_norm_forward(kl_op_frame *f)
{
    const kl_tensor *x = f->in[0];
    const layer_norm_attrs *a = f->attrs;
    int64_t shape[2] = {2, 1};
    kl_tensor *arrays[3];
    kl_row_norm norm;
    for (int i = 0; i < x->rank - a->axes; i++)
        shape[1] *= x->shape[i];
    f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    f->out[1] = kl_op_output(f, (kl_dtype)x->dtype, 2, shape);
    if (!f->out[0] || !f->out[1])
        return kl_last_status();
    if (!f->out[0]->buffer)
        return KL_OK;
    if (!fill_rows(f, f->out[1], arrays, &norm) || !kl_layer_norm(&norm, f->out[0]->data))
        return kl_last_status();
    drop_arrays(f, arrays);
    return KL_OK;
}

static kl_status layer_norm_backward(kl_op_frame *f)
{
    kl_tensor *arrays[3], *to[3] = {NULL, NULL, NULL};
    kl_row_norm norm;
    if (!f->dout[0])
        return KL_OK;
    kl_tensor *dy = kl_dense_values(f->dout[0]);
    if (!dy || !fill_rows(f, f->out[1], arrays, &norm))
        return kl_last_status();
    for (int i = 0; i < 3; i++) {
        const kl_tensor *like = f->in[i];
        to[i] = like ? kl_empty((kl_dtype)like->dtype, like->rank, like->shape)
                     : kl_empty((kl_dtype)dy->dtype, 1, &norm.n);
        if (!to[i])
            return kl_last_status();
    }
    if (!kl_layer_norm_grad(&norm, dy->data, to[0]->data, to[1]->data, to[2]->data))
        return kl_last_status();
    for (int i = 0; i < 3; i++)
        if (f->in[i] && f->needs[i])
            f->din[i] = to[i];
    return KL_OK;
}

static kl_status layer_norm_compose(kl_op_frame *f)
{
    const layer_norm_attrs *a = f->attrs;
    f->out[0] = layer_norm_composed(f->in[0], f->in[1], f->in[2], a->axes, a->epsilon);
    return f->out[0] ? KL_OK : kl_last_status();
}

static const kl_op layer_norm_op = {.size = sizeof(kl_op),
                                    .name = "layer_norm",
                                    .attrs_size = sizeof(layer_norm_attrs),
                                    .forward = layer_norm_forward,
                                    .backward = layer_norm_backward,
                                    .compose = layer_norm_compose,
                                    .keeps_in = 7, /* beta: for compose */
                                    .keeps_out = 2};

/* Whether v, which may be NULL, has x's last `axes` axes and its dtype. */
static bool fits_axes(const kl_tensor *v, const kl_tensor *x, int axes)
{
    bool fits = !v || (!v->symbol && v->dtype == x->dtype && v->rank == axes);
    for (int i = 0; v && fits && i < axes; i++)
        fits = v->shape[i] == x->shape[x->rank - axes + i];
    return fits;
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
    bool fused = !x->symbol && x->size && (x->dtype == KL_FLOAT32 || x->dtype == KL_FLOAT64) &&
                 fits_axes(gamma, x, axes) && fits_axes(beta, x, axes);
    if (!fused)
        return layer_norm_composed(x, gamma, beta, axes, epsilon);
    kl_tensor *out[2], *in[3] = {x, gamma, beta};
    kl_op_run(&layer_norm_op, &(layer_norm_attrs){epsilon, axes}, 3, in, 6, 2, out);
    kl_drop(out[1]);
    return out[0];
}

/* ---- Groups of channels -------------------------------------------------------------------- */

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

static kl_tensor *group_norm_composed(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int groups,
                                      int axis, double epsilon, kl_tensor *mask)
{
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
        kl_tensor *scale = kl_op_rsqrt(kl_op_add_scalar(variance, epsilon));
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
    return group_norm_composed(x, gamma, beta, groups, at, epsilon, mask);
}
