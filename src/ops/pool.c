/* Max and average pooling. */
#include "kernels/pool.h"

#include <string.h>

#include "ops/common.h"

typedef struct pool_attrs {
    int64_t window[3], stride[3];
    bool same, maximum;
} pool_attrs;

static kl_status fill_shape(const kl_tensor *x, const pool_attrs *a, kl_pool_shape *s)
{
    int rank = x->rank - 2, lead = 3 - rank;
    *s = (kl_pool_shape){.batch = x->shape[0], .channels = x->shape[x->rank - 1]};
    for (int i = 0; i < 3; i++) {
        int k = i - lead;
        s->in[i] = k < 0 ? 1 : x->shape[k + 1];
        s->window[i] = k < 0 ? 1 : a->window[k];
        s->stride[i] = k < 0 ? 1 : a->stride[k];
        s->out[i] = 1;
        if (k < 0)
            continue;
        if (a->same) {
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
    kl_drop(cx);
    return KL_OK;
}

static kl_status pool_backward(kl_op_frame *f)
{
    const pool_attrs *a = f->attrs;
    kl_tensor *x = f->in[0], *y = f->out[0], *dy = kl_dense_values(f->dout[0]);
    kl_tensor *dx = f->din[0] = kl_empty((kl_dtype)f->dout[0]->dtype, x->rank, x->shape);
    kl_pool_shape s;
    kl_status status = fill_shape(x, a, &s);
    if (f->recording)
        return kl_error(KL_ERROR_UNSUPPORTED, "no gradient of higher order");
    if (status || !dy || !dx)
        return status ? status : kl_last_status();
    kl_tensor *cx = a->maximum ? kl_dense_values(x) : NULL;
    bool good = !a->maximum || cx;
    if (good && kl_is_wide(dy)) {
        double *to = (double *)(void *)dx->data;
        const double *from = (const double *)(const void *)dy->data;
        good = a->maximum ? kl_max_pool_grad_f64(&s, (const double *)(const void *)cx->data,
                                                 (const double *)(const void *)y->data, from, to)
                          : kl_average_pool_grad_f64(&s, from, to);
    } else if (good) {
        float *to = (float *)(void *)dx->data;
        const float *from = (const float *)(const void *)dy->data;
        good = a->maximum ? kl_max_pool_grad_f32(&s, (const float *)(const void *)cx->data,
                                                 (const float *)(const void *)y->data, from, to)
                          : kl_average_pool_grad_f32(&s, from, to);
    }
    return good ? KL_OK : kl_last_status();
}

static const kl_op max_pool_op = {.size = sizeof(kl_op),
                                  .name = "max_pool",
                                  .attrs_size = sizeof(pool_attrs),
                                  .forward = pool_forward,
                                  .backward = pool_backward,
                                  .keeps_in = 1,
                                  .keeps_out = 1};
static const kl_op average_pool_op = {.size = sizeof(kl_op),
                                      .name = "average_pool",
                                      .attrs_size = sizeof(pool_attrs),
                                      .forward = pool_forward,
                                      .backward = pool_backward};

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
    for (int i = 0; i < x->rank - 2; i++) {
        a.window[i] = o->pool_size[i];
        a.stride[i] = o->strides[i] ? o->strides[i] : o->pool_size[i];
        if (a.window[i] < 1 || a.stride[i] < 1) {
            kl_error(KL_ERROR_RANGE, "%s: pool_size and strides must be at least 1", name);
            return NULL;
        }
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in = o->channels_first ? kl_op_move_axis(x, 1, -1) : x;
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
