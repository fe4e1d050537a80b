#include "ops/get_item.h"

#include <string.h>

#include "ops/common.h"

/* A key on a tensor: a slice of each of its axes, then a change of shape. */
typedef struct plan {
    int count, rank;
    struct slice {
        int axis;
        int64_t start, stop, step;
    } slices[KL_MAX_RANK];
    int from[KL_MAX_RANK]; /* of the result's axes: the tensor's, or -1 for a new one */
} plan;

static kl_status add_axis(plan *p, int axis)
{
    if (p->rank == KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the result has more than %d axes", KL_MAX_RANK);
    p->from[p->rank++] = axis;
    return KL_OK;
}

static kl_status add_index(plan *p, const kl_tensor *x, int axis, int64_t at)
{
    int64_t size = x->shape[axis];
    if (at < -size || at >= size)
        return kl_error(KL_ERROR_RANGE, "index %lld is out of bounds for axis %d of size %lld",
                        (long long)at, axis, (long long)size);
    p->slices[p->count++] = (struct slice){axis, at, at == -1 ? KL_NONE : at + 1, 1};
    return KL_OK;
}

static kl_status add_slice(plan *p, int axis, const kl_key_part *part)
{
    int64_t step = part->step == KL_NONE ? 1 : part->step;
    if (part->start != KL_NONE || part->stop != KL_NONE || step != 1)
        p->slices[p->count++] = (struct slice){axis, part->start, part->stop, step};
    return add_axis(p, axis);
}

static kl_status make_plan(const kl_key *key, const kl_tensor *x, plan *p)
{
    int named = 0, rests = 0, axis = 0;
    for (int i = 0; i < key->count; i++) {
        named += key->parts[i].kind == KL_KEY_AT || key->parts[i].kind == KL_KEY_SLICE;
        rests += key->parts[i].kind == KL_KEY_REST;
    }
    if (named > x->rank || rests > 1)
        return kl_error(KL_ERROR_SHAPE, "the key has %d indices%s, the tensor %d axes", named,
                        rests > 1 ? " and more than one ellipsis" : "", x->rank);
    memset(p, 0, sizeof *p);
    kl_status status = KL_OK;
    for (int i = 0; i < key->count && !status; i++) {
        const kl_key_part *part = &key->parts[i];
        if (part->kind == KL_KEY_AT)
            status = add_index(p, x, axis++, part->start);
        else if (part->kind == KL_KEY_SLICE)
            status = add_slice(p, axis++, part);
        else if (part->kind == KL_KEY_NEW)
            status = add_axis(p, -1);
        else
            for (int left = x->rank - named; left > 0 && !status; left--)
                status = add_axis(p, axis++);
    }
    while (axis < x->rank && !status)
        status = add_axis(p, axis++);
    return status;
}

static void result_shape(const plan *p, const kl_tensor *sliced, int64_t *shape)
{
    for (int i = 0; i < p->rank; i++)
        shape[i] = p->from[i] < 0 ? 1 : sliced->shape[p->from[i]];
}

static kl_status get_item_forward(kl_op_frame *f)
{
    plan p;
    int64_t shape[KL_MAX_RANK];
    kl_tensor *x = f->in[0], *y = x;
    kl_status status = make_plan(f->attrs, x, &p);
    for (int i = 0; i < p.count && !status; i++) {
        const struct slice *s = &p.slices[i];
        kl_tensor *part = kl_view_slice(y, s->axis, s->start, s->stop, s->step);
        if (y != x)
            kl_drop(y);
        y = part;
        status = y ? KL_OK : kl_last_status();
    }
    if (status)
        return status;
    result_shape(&p, y, shape);
    f->out[0] = kl_view_reshape(y, p.rank, shape);
    if (y != x)
        kl_drop(y);
    return f->out[0] ? KL_OK : kl_last_status();
}

/* The shape before slice `until` was taken. */
static void shape_before(const plan *p, const kl_tensor *x, const int64_t *sliced, int until,
                         int64_t *shape)
{
    memcpy(shape, x->shape, (size_t)x->rank * sizeof *shape);
    for (int i = 0; i < until; i++)
        shape[p->slices[i].axis] = sliced[p->slices[i].axis];
}

static kl_status get_item_backward(kl_op_frame *f)
{
    plan p;
    int64_t sliced[KL_MAX_RANK], shape[KL_MAX_RANK];
    const kl_tensor *x = f->in[0];
    kl_status status = make_plan(f->attrs, x, &p);
    if (status)
        return status;
    for (int i = 0; i < x->rank; i++)
        sliced[i] = 1; /* of axes that went */
    for (int i = 0; i < p.rank; i++)
        if (p.from[i] >= 0)
            sliced[p.from[i]] = f->dout[0]->shape[i];
    kl_tensor *grad = kl_op_reshape(f->dout[0], x->rank, sliced);
    for (int i = p.count - 1; i >= 0 && grad; i--) {
        const struct slice *s = &p.slices[i];
        shape_before(&p, x, sliced, i, shape);
        grad = kl_unslice(grad, s->axis, s->start, s->stop, s->step, x->rank, shape);
    }
    f->din[0] = grad;
    return grad ? KL_OK : kl_last_status();
}

const kl_op kl_get_item_op = {.size = sizeof(kl_op),
                              .name = "get_item",
                              .class_name = "GetItem",
                              .attrs_size = sizeof(kl_key),
                              .forward = get_item_forward,
                              .backward = get_item_backward,
                              .flags = KL_OP_ANY_DTYPE};
