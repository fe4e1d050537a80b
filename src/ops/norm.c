/* Normalizations: that of layers, and of batches with the channels last, are fused; the rest is
   composed of primitive ops. */
#include "kernels/norm.h"
#include "ops/common.h"
#include "ops/norm.h"

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

/* x scale + shift, both [n] along an axis. */
typedef struct along_attrs {
    double epsilon; /* of batch normalization alone */
    int axis;
} along_attrs;

static void sizes_around(const kl_tensor *x, int axis, int64_t *before, int64_t *after)
{
    *before = *after = 1;
    for (int i = 0; i < axis; i++)
        *before *= x->shape[i];
    for (int i = axis + 1; i < x->rank; i++)
        *after *= x->shape[i];
}

static kl_status scale_shift_forward(kl_op_frame *f)
{
    const along_attrs *a = f->attrs;
    kl_tensor *arrays[3];
    int64_t before, after;
    f->out[0] = kl_op_output(f, (kl_dtype)f->in[0]->dtype, f->in[0]->rank, f->in[0]->shape);
    if (!f->out[0] || !f->out[0]->buffer)
        return f->out[0] ? KL_OK : kl_last_status();
    for (int i = 0; i < 3; i++)
        if (!(arrays[i] = kl_dense_values(f->in[i])))
            return kl_last_status();
    sizes_around(arrays[0], a->axis, &before, &after);
    bool done = kl_scale_shift(kl_is_wide(arrays[0]), before, arrays[0]->shape[a->axis], after,
                               arrays[0]->data, arrays[1]->data, arrays[2]->data, f->out[0]->data);
    for (int i = 0; i < 3; i++)
        kl_drop_copy(arrays[i], f->in[i]);
    return done ? KL_OK : kl_last_status();
}

/* By primitive ops: what is trained goes through the batch's own statistics. */
static kl_status scale_shift_backward(kl_op_frame *f)
{
    const along_attrs *a = f->attrs;
    int others[KL_MAX_RANK], count = 0;
    for (int i = 0; i < f->in[0]->rank; i++)
        if (i != a->axis)
            others[count++] = i;
    if (f->needs[0])
        f->din[0] = kl_op_mul(f->dout[0], along(f->in[1], f->in[0], a->axis));
    if (f->needs[1])
        f->din[1] = kl_op_sum(kl_op_mul(f->dout[0], f->in[0]), count, others, false);
    if (f->needs[2])
        f->din[2] = kl_op_sum(f->dout[0], count, others, false);
    for (int i = 0; i < 3; i++)
        if (f->needs[i] && !f->din[i])
            return kl_last_status();
    return KL_OK;
}

static const kl_op scale_shift_op = {.size = sizeof(kl_op),
                                     .name = "scale_shift",
                                     .attrs_size = sizeof(along_attrs),
                                     .forward = scale_shift_forward,
                                     .backward = scale_shift_backward,
                                     .keeps_in = 3};

static bool is_single_or_wide(const kl_tensor *x)
{
    return !x->symbol && (x->dtype == KL_FLOAT32 || x->dtype == KL_FLOAT64);
}

static kl_tensor *scale_shift(kl_tensor *x, kl_tensor *scale, kl_tensor *shift, int axis)
{
    if (!scale || !shift)
        return NULL;
    const int64_t n = x->shape[axis];
    bool fused = is_single_or_wide(x) && x->size && x->rank > 1 && scale->dtype == x->dtype &&
                 shift->dtype == x->dtype && scale->rank == 1 && scale->shape[0] == n &&
                 shift->rank == 1 && shift->shape[0] == n;
    if (!fused)
        return kl_op_add(kl_op_mul(x, along(scale, x, axis)), along(shift, x, axis));
    return kl_run1(&scale_shift_op, &(along_attrs){0, axis}, 3, (kl_tensor *[]){x, scale, shift},
                   0);
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
    kl_tensor *y = scale_shift(x, scale, shift, at);
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
    const along_attrs *a = f->attrs;
    int64_t n = x->shape[a->axis];
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

/* The same where the channels aren't last: every channel a group, of all samples as if one. */
static kl_group_norm as_groups(const kl_op_frame *f, const kl_norm *norm)
{
    kl_group_norm groups = {.wide = norm->wide,
                            .samples = 1,
                            .channels = norm->n,
                            .groups = norm->n,
                            .x = norm->x,
                            .gamma = norm->gamma,
                            .beta = norm->beta,
                            .mean = norm->mean,
                            .variance = norm->variance,
                            .epsilon = norm->epsilon};
    sizes_around(f->in[0], ((const along_attrs *)f->attrs)->axis, &groups.before, &groups.after);
    return groups;
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
    const int axis = ((const along_attrs *)f->attrs)->axis;
    const int64_t *n = &x->shape[axis];
    kl_tensor *arrays[3];
    kl_norm norm;
    f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    f->out[1] = kl_op_output(f, (kl_dtype)x->dtype, 1, n);
    f->out[2] = kl_op_output(f, (kl_dtype)x->dtype, 1, n);
    if (!f->out[0] || !f->out[1] || !f->out[2])
        return kl_last_status();
    if (!f->out[0]->buffer)
        return KL_OK;
    if (!fill_norm(f, arrays, &norm))
        return kl_last_status();
    kl_group_norm groups = as_groups(f, &norm);
    bool done = axis == x->rank - 1 ? kl_batch_norm(&norm, f->out[0]->data)
                                    : kl_groups_norm(&groups, f->out[0]->data);
    drop_arrays(f, arrays);
    return done ? KL_OK : kl_last_status();
}

static kl_status batch_norm_backward(kl_op_frame *f)
{
    const kl_tensor *x = f->in[0];
    const int axis = ((const along_attrs *)f->attrs)->axis;
    kl_tensor *arrays[3], *from[3], *to[3];
    kl_norm norm;
    for (int i = 0; i < 3; i++) {
        from[i] = f->dout[i] ? kl_dense_values(f->dout[i]) : NULL;
        to[i] = i ? kl_empty((kl_dtype)x->dtype, 1, &x->shape[axis])
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
    kl_group_norm groups = as_groups(f, &norm);
    if (!(axis == x->rank - 1 ? kl_batch_norm_grad(&norm, &grad)
                              : kl_groups_norm_grad(&groups, &grad)))
        return kl_last_status();
    for (int i = 0; i < 3; i++)
        if (f->in[i] && f->needs[i])
            f->din[i] = to[i];
    return KL_OK;
}

static kl_status batch_norm_compose(kl_op_frame *f)
{
    const along_attrs *a = f->attrs;
    return batch_norm_composed(f->in[0], f->in[1], f->in[2], a->axis, a->epsilon, NULL, f->out);
}

static const kl_op batch_norm_op = {.size = sizeof(kl_op),
                                    .name = "batch_norm",
                                    .attrs_size = sizeof(along_attrs),
                                    .forward = batch_norm_forward,
                                    .backward = batch_norm_backward,
                                    .compose = batch_norm_compose,
                                    .keeps_in = 7, /* beta: for compose */
                                    .keeps_out = 6};

/* Whether v, which may be NULL, has one value of x's dtype a channel. */
static bool fits_channels(const kl_tensor *v, const kl_tensor *x, int axis)
{
    return !v ||
           (!v->symbol && v->dtype == x->dtype && v->rank == 1 && v->shape[0] == x->shape[axis]);
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
    bool fused = !mask && is_single_or_wide(x) && x->size && x->rank > 1 &&
                 fits_channels(gamma, x, at) && fits_channels(beta, x, at);
    if (fused)
        kl_op_run(&batch_norm_op, &(along_attrs){epsilon, at}, 3, in, 6, 3, out);
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

/* Normalization over the last `axes` axes; uncentered: by the mean square alone. */
typedef struct layer_norm_attrs {
    double epsilon;
    int axes;
    bool uncentered;
} layer_norm_attrs;

static kl_tensor *layer_norm_composed(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta,
                                      const layer_norm_attrs *a)
{
    int list[KL_MAX_RANK], axes = a->axes;
    for (int i = 0; i < axes; i++)
        list[i] = x->rank - axes + i;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *centered = a->uncentered ? x : kl_op_sub(x, kl_op_mean(x, axes, list, true));
    kl_tensor *variance = kl_op_mean(kl_op_square(centered), axes, list, true);
    kl_tensor *y = kl_op_mul(centered, kl_op_rsqrt(kl_op_add_scalar(variance, a->epsilon)));
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
                          .uncentered = a->uncentered,
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
    f->out[0] = layer_norm_composed(f->in[0], f->in[1], f->in[2], f->attrs);
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

static kl_tensor *norm_last(const char *name, kl_tensor *x, kl_tensor *gamma, kl_tensor *beta,
                            layer_norm_attrs attrs)
{
    const int axes = attrs.axes;
    if (!x || axes < 1 || axes > x->rank) {
        if (x)
            kl_error(KL_ERROR_RANGE, "%s: 1 to %d axes, got %d", name, x->rank, axes);
        else
            kl_error_null(name, "x");
        return NULL;
    }
    bool fused =
        is_single_or_wide(x) && x->size && fits_axes(gamma, x, axes) && fits_axes(beta, x, axes);
    if (!fused)
        return layer_norm_composed(x, gamma, beta, &attrs);
    kl_tensor *out[2], *in[3] = {x, gamma, beta};
    kl_op_run(&layer_norm_op, &attrs, 3, in, 6, 2, out);
    kl_drop(out[1]);
    return out[0];
}

kl_tensor *kl_op_layer_norm(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int axes,
                            double epsilon)
{
    return norm_last("layer_norm", x, gamma, beta, (layer_norm_attrs){epsilon, axes, false});
}

kl_tensor *kl_op_rms_norm(kl_tensor *x, kl_tensor *scale, int axes, double epsilon)
{
    return norm_last("rms_norm", x, scale, NULL, (layer_norm_attrs){epsilon, axes, true});
}
