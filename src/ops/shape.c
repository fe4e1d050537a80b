/* Shape and movement of data: views where strides allow. */
#include <string.h>

#include "ops/common.h"
#include "tensor/convert.h"

typedef struct shape_attrs {
    int rank;
    int64_t shape[KL_MAX_RANK];
} shape_attrs;

#define MOVES(id, cls, attrs, f, b)                                                                \
    static const kl_op id##_op = {.size = sizeof(kl_op),                                           \
                                  .name = #id,                                                     \
                                  .class_name = cls,                                               \
                                  .attrs_size = sizeof(attrs),                                     \
                                  .forward = f,                                                    \
                                  .backward = b,                                                   \
                                  .flags = KL_OP_ANY_DTYPE};

static kl_status result(kl_op_frame *f, kl_tensor *y)
{
    f->out[0] = y;
    return y ? KL_OK : kl_last_status();
}

static kl_status grad(kl_op_frame *f, kl_tensor *dx)
{
    f->din[0] = dx;
    return dx ? KL_OK : kl_last_status();
}

static kl_status reshape_forward(kl_op_frame *f)
{
    const shape_attrs *a = f->attrs;
    return result(f, kl_view_reshape(f->in[0], a->rank, a->shape));
}

static kl_status reshape_backward(kl_op_frame *f)
{
    return grad(f, kl_op_reshape(f->dout[0], f->in[0]->rank, f->in[0]->shape));
}

MOVES(reshape, NULL, shape_attrs, reshape_forward, reshape_backward)

static bool copy_shape(const char *op, int rank, const int64_t *shape, shape_attrs *attrs)
{
    if (rank < 0 || rank > KL_MAX_RANK || (rank && !shape)) {
        kl_error(KL_ERROR_SHAPE, "%s: a tensor has 0 to %d axes, got %d", op, KL_MAX_RANK, rank);
        return false;
    }
    memset(attrs, 0, sizeof *attrs);
    attrs->rank = rank;
    if (rank)
        memcpy(attrs->shape, shape, (size_t)rank * sizeof *shape);
    return true;
}

kl_tensor *kl_op_reshape(kl_tensor *a, int rank, const int64_t *shape)
{
    shape_attrs attrs;
    return copy_shape("reshape", rank, shape, &attrs) ? kl_run1(&reshape_op, &attrs, 1, &a, 0)
                                                      : NULL;
}

static kl_status broadcast_forward(kl_op_frame *f)
{
    const shape_attrs *a = f->attrs;
    if (!f->in[0]->buffer) {
        int rank;
        int64_t joint[KL_MAX_RANK];
        if (!kl_broadcast_shapes(f->in[0]->rank, f->in[0]->shape, a->rank, a->shape, &rank, joint))
            return kl_error(KL_ERROR_SHAPE, "the shapes don't broadcast");
        return result(f, kl_stand_in((kl_dtype)f->in[0]->dtype, a->rank, a->shape));
    }
    return result(f, kl_view_broadcast(f->in[0], a->rank, a->shape));
}

static kl_status broadcast_backward(kl_op_frame *f)
{
    return grad(f, kl_unbroadcast(f->dout[0], f->in[0]));
}

MOVES(broadcast_to, NULL, shape_attrs, broadcast_forward, broadcast_backward)

kl_tensor *kl_op_broadcast_to(kl_tensor *a, int rank, const int64_t *shape)
{
    shape_attrs attrs;
    return copy_shape("broadcast_to", rank, shape, &attrs)
               ? kl_run1(&broadcast_to_op, &attrs, 1, &a, 0)
               : NULL;
}

typedef struct axes_attrs {
    int axes[KL_MAX_RANK];
} axes_attrs;

static kl_status transpose_forward(kl_op_frame *f)
{
    const axes_attrs *a = f->attrs;
    return result(f, kl_view_transpose(f->in[0], a->axes));
}

static kl_status transpose_backward(kl_op_frame *f)
{
    const axes_attrs *a = f->attrs;
    int back[KL_MAX_RANK] = {0};
    for (int i = 0; i < f->in[0]->rank; i++)
        back[a->axes[i]] = i;
    return grad(f, kl_op_transpose(f->dout[0], back));
}

MOVES(transpose, NULL, axes_attrs, transpose_forward, transpose_backward)

kl_tensor *kl_op_transpose(kl_tensor *a, const int *axes)
{
    axes_attrs attrs = {{0}};
    for (int i = 0; a && i < a->rank; i++) {
        attrs.axes[i] = axes ? kl_axis("transpose: axis", axes[i], a->rank) : a->rank - 1 - i;
        if (attrs.axes[i] < 0)
            return NULL;
    }
    return kl_run1(&transpose_op, &attrs, 1, &a, 0);
}

kl_tensor *kl_op_move_axis(kl_tensor *a, int from, int to)
{
    int axes[KL_MAX_RANK], at = 0;
    if (!a)
        return kl_op_transpose(NULL, NULL);
    from = kl_axis("move_axis: axis", from, a->rank);
    to = from < 0 ? -1 : kl_axis("move_axis: axis", to, a->rank);
    if (to < 0)
        return NULL;
    for (int i = 0; i < a->rank; i++) {
        if (i == to)
            axes[i] = from;
        else {
            at += at == from;
            axes[i] = at++;
        }
    }
    return kl_op_transpose(a, axes);
}

kl_tensor *kl_op_expand_dims(kl_tensor *a, int axis)
{
    int64_t shape[KL_MAX_RANK + 1];
    if (!a)
        return kl_op_reshape(NULL, 0, NULL);
    int at = kl_axis("expand_dims: axis", axis, a->rank + 1);
    if (at < 0)
        return NULL;
    for (int i = 0; i <= a->rank; i++)
        shape[i] = i < at ? a->shape[i] : i == at ? 1 : a->shape[i - 1];
    return kl_op_reshape(a, a->rank + 1, shape);
}

kl_tensor *kl_op_squeeze(kl_tensor *a, int axis)
{
    int64_t shape[KL_MAX_RANK];
    if (!a)
        return kl_op_reshape(NULL, 0, NULL);
    int at = kl_axis("squeeze: axis", axis, a->rank);
    if (at < 0)
        return NULL;
    if (a->shape[at] != 1) {
        kl_error(KL_ERROR_SHAPE, "squeeze: axis %d has size %lld, expected 1", axis,
                 (long long)a->shape[at]);
        return NULL;
    }
    for (int i = 0; i < a->rank - 1; i++)
        shape[i] = a->shape[i < at ? i : i + 1];
    return kl_op_reshape(a, a->rank - 1, shape);
}

typedef struct slice_attrs {
    int axis;
    int64_t start, stop, step;
} slice_attrs;

static kl_status slice_forward(kl_op_frame *f)
{
    const slice_attrs *a = f->attrs;
    return result(f, kl_view_slice(f->in[0], a->axis, a->start, a->stop, a->step));
}

/* The gradient goes back to its places in zeros; an op of its own, so that it has one too. */
typedef struct unslice_attrs {
    slice_attrs slice;
    shape_attrs whole;
} unslice_attrs;

static kl_status unslice_forward(kl_op_frame *f)
{
    const unslice_attrs *a = f->attrs;
    const slice_attrs *s = &a->slice;
    kl_dtype dtype = (kl_dtype)f->in[0]->dtype;
    if (kl_op_shape_only(f))
        return result(f, kl_stand_in(dtype, a->whole.rank, a->whole.shape));
    kl_tensor *zeros = kl_zeros(dtype, a->whole.rank, a->whole.shape);
    kl_tensor *view = zeros ? kl_view_slice(zeros, s->axis, s->start, s->stop, s->step) : NULL;
    kl_status status = view ? kl_copy_elements(view, f->in[0]) : kl_last_status();
    kl_drop(view);
    f->out[0] = zeros;
    return status;
}

static kl_status unslice_backward(kl_op_frame *f)
{
    const slice_attrs *a = &((const unslice_attrs *)f->attrs)->slice;
    return grad(f, kl_op_slice(f->dout[0], a->axis, a->start, a->stop, a->step));
}

MOVES(unslice, NULL, unslice_attrs, unslice_forward, unslice_backward)

kl_tensor *kl_unslice(kl_tensor *part, int axis, int64_t start, int64_t stop, int64_t step,
                      int rank, const int64_t *whole)
{
    unslice_attrs attrs = {.slice = {axis, start, stop, step}};
    return copy_shape("slice", rank, whole, &attrs.whole)
               ? kl_run1(&unslice_op, &attrs, 1, &part, 0)
               : NULL;
}

static kl_status slice_backward(kl_op_frame *f)
{
    const slice_attrs *a = f->attrs;
    const kl_tensor *x = f->in[0];
    return grad(f, kl_unslice(f->dout[0], a->axis, a->start, a->stop, a->step, x->rank, x->shape));
}

MOVES(slice, NULL, slice_attrs, slice_forward, slice_backward)

kl_tensor *kl_op_slice(kl_tensor *a, int axis, int64_t start, int64_t stop, int64_t step)
{
    return kl_run1(&slice_op, &(slice_attrs){axis, start, stop, step}, 1, &a, 0);
}

kl_tensor *kl_op_flip(kl_tensor *a, int axis)
{
    return kl_op_slice(a, axis, KL_NONE, KL_NONE, -1);
}

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static kl_status concatenate_forward(kl_op_frame *f)
{
    const axis_attrs *a = f->attrs;
    const kl_tensor *first = f->in[0];
    int axis = kl_axis("axis", a->axis, first->rank);
    int64_t shape[KL_MAX_RANK];
    if (axis < 0)
        return kl_last_status();
    memcpy(shape, first->shape, sizeof shape);
    for (int i = 1; i < f->inputs; i++) {
        const kl_tensor *x = f->in[i];
        bool fits = x->rank == first->rank;
        for (int k = 0; fits && k < x->rank; k++)
            fits = k == axis || x->shape[k] == first->shape[k];
        if (!fits || (x->dtype == KL_STRING) != (first->dtype == KL_STRING)) {
            char l[160], r[160];
            return kl_error(KL_ERROR_SHAPE, "shapes %s and %s differ off axis %d",
                            kl_shape_text(first->rank, first->shape, l, sizeof l),
                            kl_shape_text(x->rank, x->shape, r, sizeof r), a->axis);
        }
        shape[axis] += x->shape[axis];
    }
    if (first->dtype == KL_STRING && !kl_op_shape_only(f)) {
        kl_tensor *lent = f->out[0] = kl_empty(KL_STRING, first->rank, shape);
        if (!lent)
            return kl_last_status();
    } else {
        f->out[0] = kl_op_output(f, (kl_dtype)first->dtype, first->rank, shape);
    }
    kl_tensor *out = f->out[0];
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    int64_t at = 0;
    for (int i = 0; i < f->inputs; i++) {
        int64_t size = f->in[i]->shape[axis];
        kl_tensor *part = kl_view_slice(out, axis, at, at + size, 1);
        kl_status status = part ? kl_copy_elements(part, f->in[i]) : kl_last_status();
        kl_drop(part);
        if (status)
            return status;
        at += size;
    }
    if (out->dtype == KL_STRING) {
        /* The texts were lent by the inputs: own them. */
        f->out[0] = kl_copy(out, KL_STRING);
        kl_drop(out);
    }
    return f->out[0] ? KL_OK : kl_last_status();
}

static kl_status concatenate_backward(kl_op_frame *f)
{
    const axis_attrs *a = f->attrs;
    int axis = kl_axis("axis", a->axis, f->in[0]->rank);
    int64_t at = 0;
    for (int i = 0; i < f->inputs; i++) {
        int64_t size = f->in[i]->shape[axis];
        if (f->needs[i] && !(f->din[i] = kl_op_slice(f->dout[0], axis, at, at + size, 1)))
            return kl_last_status();
        at += size;
    }
    return KL_OK;
}

static const kl_field axis_fields[] = {{"axis", KL_FIELD_IGNORED, .doc = "an attribute of the op"},
                                       {0}};
static const kl_op concatenate_op = {.size = sizeof(kl_op),
                                     .name = "concatenate",
                                     .class_name = "Concatenate",
                                     .fields = axis_fields,
                                     .attrs_size = sizeof(axis_attrs),
                                     .forward = concatenate_forward,
                                     .backward = concatenate_backward,
                                     .flags = KL_OP_ANY_DTYPE | KL_OP_LIST_INPUTS};

kl_tensor *kl_op_concatenate(int count, kl_tensor *const *tensors, int axis)
{
    if (count < 1 || !tensors) {
        kl_error_null("concatenate", "tensors");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor **in = scope ? kl_scope_alloc((size_t)count * sizeof *in) : NULL;
    kl_tensor *out = NULL;
    kl_dtype dtype = KL_BOOL;
    bool ready = in != NULL;
    for (int i = 0; ready && i < count; i++)
        ready = tensors[i] && !tensors[i]->symbol;
    for (int i = 0; ready && i < count; i++)
        dtype = i ? kl_promote(dtype, (kl_dtype)tensors[i]->dtype) : (kl_dtype)tensors[i]->dtype;
    for (int i = 0; in && i < count; i++)
        in[i] = ready && dtype != KL_STRING ? kl_as_dtype(tensors[i], dtype) : tensors[i];
    if (in)
        out = kl_run1(&concatenate_op, &(axis_attrs){axis}, count, in, 0);
    kl_scope_end_keeping(scope, 1, &out);
    return out;
}

kl_tensor *kl_op_stack(int count, kl_tensor *const *tensors, int axis)
{
    if (count < 1 || !tensors) {
        kl_error_null("stack", "tensors");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor **in = scope ? kl_scope_alloc((size_t)count * sizeof *in) : NULL, *out = NULL;
    for (int i = 0; in && i < count; i++)
        in[i] = kl_op_expand_dims(tensors[i], axis);
    if (in)
        out = kl_op_concatenate(count, in, axis);
    kl_scope_end_keeping(scope, 1, &out);
    return out;
}

kl_status kl_op_split(kl_tensor *a, int count, int axis, kl_tensor **out)
{
    if (!a || !out || count < 1)
        return kl_error_null("split", a ? "out" : "tensor");
    int at = kl_axis("split: axis", axis, a->rank);
    if (at < 0)
        return kl_last_status();
    if (a->shape[at] % count)
        return kl_error(KL_ERROR_SHAPE, "split: axis %d of size %lld has no %d equal parts", axis,
                        (long long)a->shape[at], count);
    int64_t size = a->shape[at] / count;
    for (int i = 0; i < count; i++) {
        out[i] = kl_op_slice(a, at, i * size, (i + 1) * size, 1);
        if (!out[i]) {
            while (i-- > 0)
                kl_drop(out[i]);
            return kl_last_status();
        }
    }
    return KL_OK;
}

/* [a, b] -> [repeats, a, repeats, b] -> joined: a view and one copy. */
kl_tensor *kl_op_tile(kl_tensor *a, const int64_t *repeats)
{
    if (!a || !repeats) {
        kl_error_null("tile", a ? "repeats" : "tensor");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = a;
    for (int i = 0; i < a->rank && y; i++) {
        if (repeats[i] == 1)
            continue;
        if (repeats[i] < 0) {
            kl_error(KL_ERROR_RANGE, "tile: repeats must not be negative");
            y = NULL;
            break;
        }
        int64_t shape[KL_MAX_RANK + 1], joined[KL_MAX_RANK];
        memcpy(joined, y->shape, sizeof joined);
        if (a->rank == KL_MAX_RANK) {
            kl_tensor *parts[64];
            if (repeats[i] > 64) {
                kl_error(KL_ERROR_UNSUPPORTED, "tile: more than 64 repeats of %d axes", a->rank);
                y = NULL;
                break;
            }
            for (int64_t r = 0; r < repeats[i]; r++)
                parts[r] = y;
            y = kl_op_concatenate((int)repeats[i], parts, i);
            continue;
        }
        joined[i] *= repeats[i];
        for (int k = 0; k <= a->rank; k++)
            shape[k] = k < i ? y->shape[k] : k == i ? repeats[i] : y->shape[k - 1];
        y = kl_op_broadcast_to(kl_op_expand_dims(y, i), a->rank + 1, shape);
        y = kl_op_reshape(y, a->rank, joined);
    }
    if (y == a)
        y = kl_op_reshape(a, a->rank, a->shape);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_tensor *kl_op_repeat(kl_tensor *a, int64_t repeats, int axis)
{
    if (!a || repeats < 0) {
        if (a)
            kl_error(KL_ERROR_RANGE, "repeat: repeats must not be negative");
        else
            kl_error_null("repeat", "tensor");
        return NULL;
    }
    int at = kl_axis("repeat: axis", axis, a->rank);
    int64_t shape[KL_MAX_RANK + 1], joined[KL_MAX_RANK];
    if (at < 0 || a->rank == KL_MAX_RANK)
        return NULL;
    memcpy(joined, a->shape, sizeof joined);
    joined[at] *= repeats;
    for (int k = 0; k <= a->rank; k++)
        shape[k] = k <= at ? a->shape[k] : k == at + 1 ? repeats : a->shape[k - 1];
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = kl_op_broadcast_to(kl_op_expand_dims(a, at + 1), a->rank + 1, shape);
    y = kl_op_reshape(y, a->rank, joined);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_tensor *kl_op_roll(kl_tensor *a, int64_t shift, int axis)
{
    if (!a) {
        kl_error_null("roll", "tensor");
        return NULL;
    }
    int at = kl_axis("roll: axis", axis, a->rank);
    if (at < 0)
        return NULL;
    int64_t n = a->shape[at], by = n ? ((shift % n) + n) % n : 0;
    if (!by)
        return kl_op_reshape(a, a->rank, a->shape);
    kl_scope *scope = kl_scope_begin();
    kl_tensor *parts[2] = {kl_op_slice(a, at, n - by, n, 1), kl_op_slice(a, at, 0, n - by, 1)};
    kl_tensor *y = kl_op_concatenate(2, parts, at);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

const kl_op *const kl_shape_ops[] = {&concatenate_op, NULL};
