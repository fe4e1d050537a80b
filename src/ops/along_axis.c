/* Along one axis: positions of extremes, cumulative sums and products, softmax and its kin. */
#include "kernels/elementwise.h"
#include "ops/common.h"
#include "tensor/convert.h"

/* Frees all that was made since the scope began but the result. */
static kl_tensor *finish(kl_scope *scope, kl_tensor *result)
{
    kl_scope_end_keeping(scope, 1, &result);
    return result;
}

typedef struct axis_attrs {
    int axis;
    bool flag;
} axis_attrs;

static void around_axis(const kl_tensor *x, int axis, int64_t *outer, int64_t *inner)
{
    *outer = *inner = 1;
    for (int i = 0; i < x->rank; i++)
        *(i < axis ? outer : inner) *= i == axis ? 1 : x->shape[i];
}

/* Of a float32 row: the first of equal ones, and 0 where all are NaN. */
static int64_t extreme_of_row(const float *x, int64_t n, bool lowest)
{
    int64_t at = 0;
    float best = n ? x[0] : 0;
    if (lowest) {
        for (int64_t i = 1; i < n; i++)
            if (x[i] < best) {
                best = x[i];
                at = i;
            }
    } else {
        for (int64_t i = 1; i < n; i++)
            if (x[i] > best) {
                best = x[i];
                at = i;
            }
    }
    return at;
}

static kl_status arg_forward(kl_op_frame *f)
{
    const axis_attrs *attrs = f->attrs;
    kl_tensor *x = f->in[0];
    int axis = kl_axis("axis", attrs->axis, x->rank), rank = 0;
    int64_t shape[KL_MAX_RANK], outer, inner;
    if (axis < 0)
        return kl_last_status();
    for (int i = 0; i < x->rank; i++)
        if (i != axis)
            shape[rank++] = x->shape[i];
    kl_tensor *out = f->out[0] = kl_op_output(f, KL_INT64, rank, shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    if (x->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
    kl_tensor *from = kl_contiguous(x);
    if (!from)
        return kl_last_status();
    around_axis(x, axis, &outer, &inner);
    int64_t n = x->shape[axis], *to = (int64_t *)(void *)out->data;
    size_t size = kl_dtype_size((kl_dtype)x->dtype);
    bool rows = inner == 1 && x->dtype == KL_FLOAT32;
    for (int64_t o = 0; rows && o < outer; o++)
        to[o] = extreme_of_row((const float *)(const void *)from->data + o * n, n, attrs->flag);
    for (int64_t o = 0; !rows && o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double best = 0;
            int64_t at = 0;
            for (int64_t r = 0; r < n; r++) {
                double v = kl_load_element((kl_dtype)x->dtype,
                                           from->data + (size_t)((o * n + r) * inner + i) * size);
                if (!r || (attrs->flag ? v < best : v > best)) {
                    best = v;
                    at = r;
                }
            }
            to[o * inner + i] = at;
        }
    kl_drop(from);
    return KL_OK;
}

static const kl_op argmax_op = {.size = sizeof(kl_op),
                                .name = "argmax",
                                .forward = arg_forward,
                                .attrs_size = sizeof(axis_attrs)};
static const kl_op argmin_op = {.size = sizeof(kl_op),
                                .name = "argmin",
                                .forward = arg_forward,
                                .attrs_size = sizeof(axis_attrs)};

kl_tensor *kl_op_argmax(kl_tensor *a, int axis)
{
    return kl_run1(&argmax_op, &(axis_attrs){axis, false}, 1, &a, 0);
}

kl_tensor *kl_op_argmin(kl_tensor *a, int axis)
{
    return kl_run1(&argmin_op, &(axis_attrs){axis, true}, 1, &a, 0);
}

/* flag: products. Integers run through doubles, which hold what int32 does. */
static kl_status cumulative_forward(kl_op_frame *f)
{
    const axis_attrs *attrs = f->attrs;
    kl_tensor *x = f->in[0];
    int axis = kl_axis("axis", attrs->axis, x->rank);
    int64_t outer, inner;
    if (axis < 0)
        return kl_last_status();
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    if (x->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
    kl_tensor *from = kl_contiguous(x);
    if (!from)
        return kl_last_status();
    around_axis(x, axis, &outer, &inner);
    int64_t n = x->shape[axis];
    size_t size = kl_dtype_size((kl_dtype)x->dtype);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double value = attrs->flag;
            for (int64_t r = 0; r < n; r++) {
                size_t at = (size_t)((o * n + r) * inner + i) * size;
                double v = kl_load_element((kl_dtype)x->dtype, from->data + at);
                value = attrs->flag ? value * v : value + v;
                kl_fill_elements((kl_dtype)x->dtype, out->data + at, 1, value);
            }
        }
    kl_drop(from);
    return KL_OK;
}

static kl_tensor *cumsum_from_end(kl_tensor *a, int axis)
{
    return kl_op_flip(kl_op_cumsum(kl_op_flip(a, axis), axis), axis);
}

static kl_status cumulative_backward(kl_op_frame *f)
{
    const axis_attrs *attrs = f->attrs;
    kl_tensor *dy = f->dout[0];
    f->din[0] = attrs->flag
                    ? kl_op_div(cumsum_from_end(kl_op_mul(dy, f->out[0]), attrs->axis), f->in[0])
                    : cumsum_from_end(dy, attrs->axis);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op cumsum_op = {.size = sizeof(kl_op),
                                .name = "cumsum",
                                .attrs_size = sizeof(axis_attrs),
                                .forward = cumulative_forward,
                                .backward = cumulative_backward};
static const kl_op cumprod_op = {.size = sizeof(kl_op),
                                 .name = "cumprod",
                                 .attrs_size = sizeof(axis_attrs),
                                 .forward = cumulative_forward,
                                 .backward = cumulative_backward,
                                 .keeps_in = 1,
                                 .keeps_out = 1};

kl_tensor *kl_op_cumsum(kl_tensor *a, int axis)
{
    return kl_run1(&cumsum_op, &(axis_attrs){axis, false}, 1, &a, 0);
}

kl_tensor *kl_op_cumprod(kl_tensor *a, int axis)
{
    return kl_run1(&cumprod_op, &(axis_attrs){axis, true}, 1, &a, 0);
}

/* ---- Softmax ----------------------------------------------------------------------------------
 */

/* flag: the logarithm. The axis is brought last where it isn't. */
static kl_status softmax_forward(kl_op_frame *f)
{
    const axis_attrs *attrs = f->attrs;
    kl_tensor *x = f->in[0];
    int axis = kl_axis("axis", attrs->axis, x->rank);
    if (axis < 0)
        return kl_last_status();
    if (axis != x->rank - 1) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *last = kl_op_move_axis(x, axis, -1);
        last = attrs->flag ? kl_op_log_softmax(last, -1) : kl_op_softmax(last, -1);
        f->out[0] = finish(scope, kl_op_move_axis(last, -1, axis));
        return f->out[0] ? KL_OK : kl_last_status();
    }
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    if (!out || !out->buffer || !x->size)
        return out ? KL_OK : kl_last_status();
    kl_tensor *from = kl_dense_values(x);
    int64_t n = x->shape[axis];
    if (!from)
        return kl_last_status();
    if (kl_is_wide(x))
        kl_softmax_rows_f64(x->size / n, n, (const double *)(const void *)from->data,
                            (double *)(void *)out->data, attrs->flag);
    else
        kl_softmax_rows_f32(x->size / n, n, (const float *)(const void *)from->data,
                            (float *)(void *)out->data, attrs->flag);
    kl_drop_copy(from, x);
    return KL_OK;
}

static kl_status softmax_backward(kl_op_frame *f)
{
    const axis_attrs *attrs = f->attrs;
    kl_tensor *dy = f->dout[0], *y = f->out[0];
    if (attrs->flag) {
        kl_tensor *total = kl_op_sum(dy, 1, &attrs->axis, true);
        f->din[0] = kl_op_sub(dy, kl_op_mul(kl_op_exp(y), total));
    } else {
        kl_tensor *total = kl_op_sum(kl_op_mul(dy, y), 1, &attrs->axis, true);
        f->din[0] = kl_op_mul(y, kl_op_sub(dy, total));
    }
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_field softmax_fields[] = {
    {"axis", KL_FIELD_IGNORED, .doc = "an attribute of the op"}, {0}};
static const kl_op softmax_op = {.size = sizeof(kl_op),
                                 .name = "softmax",
                                 .class_name = "Softmax",
                                 .attrs_size = sizeof(axis_attrs),
                                 .fields = softmax_fields,
                                 .forward = softmax_forward,
                                 .backward = softmax_backward,
                                 .keeps_out = 1};
static const kl_op log_softmax_op = {.size = sizeof(kl_op),
                                     .name = "log_softmax",
                                     .class_name = "LogSoftmax",
                                     .attrs_size = sizeof(axis_attrs),
                                     .fields = softmax_fields,
                                     .forward = softmax_forward,
                                     .backward = softmax_backward,
                                     .keeps_out = 1};

kl_tensor *kl_op_softmax(kl_tensor *a, int axis)
{
    kl_tensor *x = a && a->symbol ? a : kl_as_float(a);
    return kl_run1(&softmax_op, &(axis_attrs){axis, false}, 1, &x, 0);
}

kl_tensor *kl_op_log_softmax(kl_tensor *a, int axis)
{
    kl_tensor *x = a && a->symbol ? a : kl_as_float(a);
    return kl_run1(&log_softmax_op, &(axis_attrs){axis, true}, 1, &x, 0);
}

/*
 * Martins and Astudillo, https://arxiv.org/abs/1602.02068, as Keras's TensorFlow backend computes
 * it: tau sums the cumulative sums over the support.
 */
kl_tensor *kl_op_sparsemax(kl_tensor *a, int axis)
{
    if (!a)
        return kl_op_neg(NULL);
    int at = kl_axis("sparsemax: axis", axis, a->rank);
    if (at < 0)
        return NULL;
    kl_scope *scope = kl_scope_begin();
    kl_dtype dtype = (kl_dtype)a->dtype;
    int64_t n = a->shape[at], shape[KL_MAX_RANK];
    for (int i = 0; i < a->rank; i++)
        shape[i] = i == at ? n : 1;
    kl_tensor *sorted = kl_op_sort(a, axis, true), *sums = kl_op_cumsum(sorted, axis);
    kl_tensor *zero = kl_scalar(dtype, 0);
    kl_tensor *ranks = kl_op_reshape(kl_arange(dtype, 1, (double)n + 1, 1), a->rank, shape);
    kl_tensor *means = kl_op_div(kl_op_add_scalar(sums, -1), ranks);
    kl_tensor *support = kl_op_greater(kl_op_sub(sorted, means), zero);
    kl_tensor *k = kl_op_sum(kl_op_cast(support, dtype), 1, &axis, true);
    kl_tensor *total = kl_op_sum(kl_op_where(support, sums, zero), 1, &axis, true);
    kl_tensor *tau = kl_op_div(kl_op_add_scalar(total, -1), k);
    kl_tensor *over = kl_op_sub(a, tau);
    kl_tensor *y = kl_op_where(kl_op_greater_equal(over, zero), over, zero);
    return finish(scope, y);
}

kl_tensor *kl_op_glu(kl_tensor *a, int axis)
{
    kl_tensor *parts[2];
    kl_scope *scope = kl_scope_begin();
    kl_status status = kl_op_split(a, 2, axis, parts);
    return finish(scope, status ? NULL : kl_op_mul(parts[0], kl_op_sigmoid(parts[1])));
}

const kl_op *const kl_axis_ops[] = {&softmax_op, &log_softmax_op, NULL};
