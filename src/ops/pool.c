/* Max and average pooling. */
#include "kernels/pool.h"

#include <string.h>

#include "ops/common.h"

typedef struct pool_attrs {
    int64_t window[3], stride[3];
    int64_t out[3]; /* adaptive: the size of the result */
    bool same, maximum, adaptive;
} pool_attrs;

static kl_status fill_shape(const kl_tensor *x, const pool_attrs *a, kl_pool_shape *s)
{
    int rank = x->rank - 2, lead = 3 - rank;
    *s = (kl_pool_shape){
        .batch = x->shape[0], .channels = x->shape[x->rank - 1], .adaptive = a->adaptive};
    for (int i = 0; i < 3; i++) {
        int k = i - lead;
        s->in[i] = k < 0 ? 1 : x->shape[k + 1];
        s->window[i] = k < 0 ? 1 : a->window[k];
        s->stride[i] = k < 0 ? 1 : a->stride[k];
        s->out[i] = 1;
        if (k < 0)
            continue;
        if (a->adaptive) {
            s->out[i] = a->out[k];
        } else if (a->same) {
            s->out[i] = (s->in[i] + s->stride[i] - 1) / s->stride[i];
            int64_t total = (s->out[i] - 1) * s->stride[i] + s->window[i] - s->in[i];
            s->pad[i] = total > 0 ? total / 2 : 0;
        } else if (s->in[i] < s->window[i]) {
            return kl_error(KL_ERROR_SHAPE,
                            "the window of %lld does not fit the axis of %lld: the output would "
                            "be empty",
                            (long long)s->window[i], (long long)s->in[i]);
        } else {
            s->out[i] = (s->in[i] - s->window[i]) / s->stride[i] + 1;
        }
    }
    return KL_OK;
}

static kl_status pool_forward(kl_op_frame *f)
{
    const pool_attrs *a = f->attrs;
    kl_tensor *x = f->in[0];
    kl_pool_shape s;
    kl_status status = fill_shape(x, a, &s);
    if (status)
        return status;
    int64_t shape[KL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    for (int k = 0; k < x->rank - 2; k++)
        shape[k + 1] = s.out[3 - (x->rank - 2) + k];
    kl_tensor *y = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, shape);
    if (!y || !y->buffer || !y->size)
        return y ? KL_OK : kl_last_status();
    kl_tensor *cx = kl_dense_values(x);
    if (!cx)
        return kl_last_status();
    if (kl_is_wide(x))
        (a->maximum ? kl_max_pool_f64 : kl_average_pool_f64)(
            &s, (const double *)(const void *)cx->data, (double *)(void *)y->data);
    else
        (a->maximum ? kl_max_pool_f32 : kl_average_pool_f32)(
            &s, (const float *)(const void *)cx->data, (float *)(void *)y->data);
    kl_drop_copy(cx, x);
    return KL_OK;
}

/* Where the first maximum of every window lies, as positions in x. */
static kl_tensor *maximum_positions(kl_tensor *x, kl_tensor *y, const kl_pool_shape *s)
{
    kl_tensor *cx = kl_dense_values(x), *cy = kl_dense_values(y);
    kl_tensor *positions = cx && cy ? kl_empty(KL_INT64, 1, &y->size) : NULL;
    int64_t *to = positions ? (int64_t *)(void *)positions->data : NULL, o[3];
    for (int64_t i = 0; to && i < y->size; i++) {
        int64_t channel = i % s->channels, rest = i / s->channels;
        for (int k = 2; k >= 0; k--) {
            o[k] = rest % s->out[k];
            rest /= s->out[k];
        }
        int64_t begin[3], end[3], size[3];
        for (int k = 0; k < 3; k++) {
            kl_pool_window(s, k, o[k], &begin[k], &end[k]);
            size[k] = end[k] > begin[k] ? end[k] - begin[k] : 0;
        }
        to[i] = 0;
        for (int64_t w = 0; w < size[0] * size[1] * size[2]; w++) {
            const int64_t tap[3] = {w / (size[1] * size[2]), w / size[2] % size[1], w % size[2]};
            int64_t at = rest;
            for (int k = 0; k < 3; k++)
                at = at * s->in[k] + begin[k] + tap[k];
            at = at * s->channels + channel;
            bool hit = kl_is_wide(x) ? ((const double *)(const void *)cx->data)[at] ==
                                           ((const double *)(const void *)cy->data)[i]
                                     : ((const float *)(const void *)cx->data)[at] ==
                                           ((const float *)(const void *)cy->data)[i];
            if (hit) {
                to[i] = at;
                break;
            }
        }
    }
    return positions;
}

/* The gradient of the maximum through ops, for gradients of higher order. */
static kl_status max_backward_recorded(kl_op_frame *f, const kl_pool_shape *s)
{
    kl_tensor *x = f->in[0], *dy = f->dout[0];
    kl_tensor *positions = maximum_positions(x, f->out[0], s);
    if (!positions)
        return kl_last_status();
    kl_tensor *flat = kl_op_scatter_add(positions, kl_op_reshape(dy, 1, &dy->size), x->size);
    f->din[0] = kl_op_reshape(flat, x->rank, x->shape);
    return f->din[0] ? KL_OK : kl_last_status();
}

static kl_status max_pool_backward(kl_op_frame *f)
{
    kl_tensor *x = f->in[0], *y = f->out[0], *dy = kl_dense_values(f->dout[0]);
    kl_pool_shape s;
    kl_status status = fill_shape(x, f->attrs, &s);
    if (!status && f->recording)
        return max_backward_recorded(f, &s);
    kl_tensor *dx = f->din[0] = kl_empty((kl_dtype)x->dtype, x->rank, x->shape);
    kl_tensor *cx = kl_dense_values(x);
    if (status || !dy || !dx || !cx)
        return status ? status : kl_last_status();
    if (kl_is_wide(dy))
        kl_max_pool_grad_f64(&s, (const double *)(const void *)cx->data,
                             (const double *)(const void *)y->data,
                             (const double *)(const void *)dy->data, (double *)(void *)dx->data);
    else
        kl_max_pool_grad_f32(&s, (const float *)(const void *)cx->data,
                             (const float *)(const void *)y->data,
                             (const float *)(const void *)dy->data, (float *)(void *)dx->data);
    return KL_OK;
}

/* The gradient of the average, linear in dy: its own gradient is the average again. */
typedef struct spread_attrs {
    pool_attrs pool;
    int rank;
    int64_t shape[KL_MAX_RANK];
} spread_attrs;

static kl_status spread_forward(kl_op_frame *f)
{
    const spread_attrs *a = f->attrs;
    kl_tensor *dy = f->in[0];
    kl_tensor *dx = f->out[0] = kl_op_output(f, (kl_dtype)dy->dtype, a->rank, a->shape);
    if (!dx || !dx->buffer)
        return dx ? KL_OK : kl_last_status();
    kl_pool_shape s;
    kl_status status = fill_shape(dx, &a->pool, &s);
    kl_tensor *from = status ? NULL : kl_dense_values(dy);
    if (!from)
        return status ? status : kl_last_status();
    if (kl_is_wide(dy))
        kl_average_pool_grad_f64(&s, (const double *)(const void *)from->data,
                                 (double *)(void *)dx->data);
    else
        kl_average_pool_grad_f32(&s, (const float *)(const void *)from->data,
                                 (float *)(void *)dx->data);
    kl_drop_copy(from, dy);
    return KL_OK;
}

static const kl_op average_pool_op;

static kl_status spread_backward(kl_op_frame *f)
{
    const spread_attrs *a = f->attrs;
    f->din[0] = kl_run1(&average_pool_op, &a->pool, 1, f->dout, 0);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op spread_op = {.size = sizeof(kl_op),
                                .name = "average_pool_grad",
                                .attrs_size = sizeof(spread_attrs),
                                .forward = spread_forward,
                                .backward = spread_backward};

static kl_status average_pool_backward(kl_op_frame *f)
{
    const kl_tensor *x = f->in[0];
    spread_attrs attrs = {.pool = *(const pool_attrs *)f->attrs, .rank = x->rank};
    memcpy(attrs.shape, x->shape, sizeof attrs.shape);
    f->din[0] = kl_run1(&spread_op, &attrs, 1, f->dout, 0);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op max_pool_op = {.size = sizeof(kl_op),
                                  .name = "max_pool",
                                  .attrs_size = sizeof(pool_attrs),
                                  .forward = pool_forward,
                                  .backward = max_pool_backward,
                                  .keeps_in = 1,
                                  .keeps_out = 1};
static const kl_op average_pool_op = {.size = sizeof(kl_op),
                                      .name = "average_pool",
                                      .attrs_size = sizeof(pool_attrs),
                                      .forward = pool_forward,
                                      .backward = average_pool_backward};

static kl_tensor *run(kl_tensor *x, const kl_pool_options *o, bool maximum)
{
    pool_attrs a = {.maximum = maximum};
    const char *name = maximum ? "max_pool" : "average_pool";
    if (!x || !o) {
        kl_error_null(name, x ? "options" : "x");
        return NULL;
    }
    if (x->rank < 3 || x->rank > 5) {
        kl_error(KL_ERROR_SHAPE, "%s: expected 3 to 5 axes, got %d", name, x->rank);
        return NULL;
    }
    a.same = o->padding && !strcmp(o->padding, "same");
    if (o->padding && !a.same && strcmp(o->padding, "valid") != 0) {
        kl_error(KL_ERROR_INVALID, "%s: padding must be valid or same, got '%s'", name, o->padding);
        return NULL;
    }
    a.adaptive = o->output_size[0] != 0;
    for (int i = 0; i < x->rank - 2; i++) {
        a.window[i] = o->pool_size[i];
        a.stride[i] = o->strides[i] ? o->strides[i] : o->pool_size[i];
        a.out[i] = o->output_size[i];
        if (a.adaptive ? a.out[i] < 1 : a.window[i] < 1 || a.stride[i] < 1) {
            kl_error(KL_ERROR_RANGE, "%s: %s must be at least 1", name,
                     a.adaptive ? "output_size" : "pool_size and strides");
            return NULL;
        }
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in = o->channels_first ? kl_op_pack(kl_op_move_axis(x, 1, -1)) : x;
    kl_tensor *y = kl_run1(maximum ? &max_pool_op : &average_pool_op, &a, 1, &in, 0);
    if (y && o->channels_first)
        y = kl_op_move_axis(y, -1, 1);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_tensor *kl_op_max_pool(kl_tensor *x, const kl_pool_options *options)
{
    return run(x, options, true);
}

kl_tensor *kl_op_average_pool(kl_tensor *x, const kl_pool_options *options)
{
    return run(x, options, false);
}
