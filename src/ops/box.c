/* Padding, cropping and repeating: arrays within larger ones. */
#include "kernels/box.h"

#include <string.h>

#include "ops/common.h"
#include "tensor/convert.h"

typedef struct pad_attrs {
    int64_t pads[2 * KL_MAX_RANK];
    double value;
} pad_attrs;

#define MOVES(id, attrs, f, b, may)                                                                \
    static const kl_op id##_op = {.size = sizeof(kl_op),                                           \
                                  .name = #id,                                                     \
                                  .attrs_size = sizeof(attrs),                                     \
                                  .forward = f,                                                    \
                                  .backward = b,                                                   \
                                  .flags = may};

static kl_status grad(kl_op_frame *f, kl_tensor *dx)
{
    f->din[0] = dx;
    return dx ? KL_OK : kl_last_status();
}

static kl_status pad_strided(const pad_attrs *a, const kl_tensor *x, kl_tensor *out)
{
    int64_t offset = 0;
    kl_fill_elements((kl_dtype)x->dtype, out->data, out->size, a->value);
    for (int i = 0; i < x->rank; i++)
        offset += a->pads[2 * i] * out->strides[i];
    kl_tensor *inside = kl_alias_as(out, x->rank, x->shape, out->strides, offset);
    kl_status status = inside ? kl_copy_elements(inside, x) : kl_last_status();
    kl_drop(inside);
    return status;
}

static kl_status pad_forward(kl_op_frame *f)
{
    const pad_attrs *a = f->attrs;
    const kl_tensor *x = f->in[0];
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        shape[i] = x->shape[i] + a->pads[2 * i] + a->pads[2 * i + 1];
    if (x->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    if (!x->contiguous)
        return pad_strided(a, x, out);
    char element[8];
    kl_fill_elements((kl_dtype)x->dtype, element, 1, a->value);
    kl_box box = {.rank = x->rank, .element = kl_dtype_size((kl_dtype)x->dtype), .fill = element};
    memcpy(box.shape, x->shape, sizeof box.shape);
    memcpy(box.pads, a->pads, sizeof box.pads);
    kl_pad_box(&box, x->data, out->data);
    return KL_OK;
}

static kl_status pad_backward(kl_op_frame *f)
{
    return grad(f, kl_op_crop(f->dout[0], ((const pad_attrs *)f->attrs)->pads));
}

MOVES(pad, pad_attrs, pad_forward, pad_backward, KL_OP_ANY_DTYPE)

static kl_status crop_forward(kl_op_frame *f)
{
    const pad_attrs *a = f->attrs;
    const kl_tensor *x = f->in[0];
    int64_t shape[KL_MAX_RANK], offset = 0;
    for (int i = 0; i < x->rank; i++) {
        shape[i] = x->shape[i] - a->pads[2 * i] - a->pads[2 * i + 1];
        if (shape[i] < 0)
            return kl_error(KL_ERROR_SHAPE,
                            "%lld and %lld can't be taken from the ends of axis %d of size %lld",
                            (long long)a->pads[2 * i], (long long)a->pads[2 * i + 1], i,
                            (long long)x->shape[i]);
        offset += a->pads[2 * i] * x->strides[i];
    }
    bool empty = false;
    for (int i = 0; i < x->rank; i++)
        empty = empty || !shape[i];
    f->out[0] = x->buffer ? kl_alias_as(x, x->rank, shape, x->strides, empty ? 0 : offset)
                          : kl_stand_in((kl_dtype)x->dtype, x->rank, shape);
    return f->out[0] ? KL_OK : kl_last_status();
}

static kl_status crop_backward(kl_op_frame *f)
{
    return grad(f, kl_op_pad(f->dout[0], ((const pad_attrs *)f->attrs)->pads, "constant", 0));
}

MOVES(crop, pad_attrs, crop_forward, crop_backward, KL_OP_ANY_DTYPE)

/* The rows of an axis mirrored at both ends; skip: 1 leaves the edge out ("reflect"). */
static kl_tensor *mirror(kl_tensor *x, int axis, int64_t before, int64_t after, int64_t skip)
{
    int64_t n = x->shape[axis];
    if (before > n - skip || after > n - skip) {
        kl_error(KL_ERROR_SHAPE, "pad: axis %d of size %lld is too small to mirror %lld", axis,
                 (long long)n, (long long)(before > after ? before : after));
        return NULL;
    }
    kl_tensor *parts[3];
    int count = 0;
    if (before)
        parts[count++] = kl_op_flip(kl_op_slice(x, axis, skip, skip + before, 1), axis);
    parts[count++] = x;
    if (after)
        parts[count++] = kl_op_flip(kl_op_slice(x, axis, n - skip - after, n - skip, 1), axis);
    return count == 1 ? x : kl_op_concatenate(count, parts, axis);
}

static bool take_pads(const char *op, const kl_tensor *a, const int64_t *pads, pad_attrs *attrs)
{
    if (!a || !pads) {
        kl_error_null(op, a ? "pads" : "tensor");
        return false;
    }
    for (int i = 0; i < 2 * a->rank; i++) {
        if (pads[i] < 0 || pads[i] > INT64_MAX / 4) {
            kl_error(KL_ERROR_RANGE, "%s: sizes must not be negative, got %lld", op,
                     (long long)pads[i]);
            return false;
        }
        attrs->pads[i] = pads[i];
    }
    return true;
}

kl_tensor *kl_op_crop(kl_tensor *a, const int64_t *pads)
{
    pad_attrs attrs = {.value = 0};
    return take_pads("crop", a, pads, &attrs) ? kl_run1(&crop_op, &attrs, 1, &a, 0) : NULL;
}

kl_tensor *kl_op_pad(kl_tensor *a, const int64_t *pads, const char *mode, double value)
{
    pad_attrs attrs = {.value = value};
    if (!take_pads("pad", a, pads, &attrs))
        return NULL;
    if (!mode || !strcmp(mode, "constant"))
        return kl_run1(&pad_op, &attrs, 1, &a, 0);
    int64_t skip = !strcmp(mode, "reflect");
    if (!skip && strcmp(mode, "symmetric") != 0) {
        kl_error(KL_ERROR_INVALID, "pad: mode must be constant, reflect or symmetric, got '%s'",
                 mode);
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = a;
    for (int i = 0; i < a->rank && y; i++)
        y = mirror(y, i, pads[2 * i], pads[2 * i + 1], skip);
    if (y == a)
        y = kl_op_reshape(a, a->rank, a->shape);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

typedef struct repeat_attrs {
    int rank;
    int64_t shape[KL_MAX_RANK], factors[KL_MAX_RANK];
} repeat_attrs;

static kl_repeats repeats_of(const repeat_attrs *a)
{
    kl_repeats repeats = {.rank = a->rank};
    memcpy(repeats.shape, a->shape, sizeof repeats.shape);
    memcpy(repeats.factors, a->factors, sizeof repeats.factors);
    return repeats;
}

static kl_tensor *sum_repeats(kl_tensor *dy, const repeat_attrs *attrs);

static kl_status repeat_forward(kl_op_frame *f)
{
    const repeat_attrs *a = f->attrs;
    kl_tensor *x = f->in[0];
    int64_t shape[KL_MAX_RANK];
    if (x->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
    for (int i = 0; i < x->rank; i++)
        if (__builtin_mul_overflow(x->shape[i], a->factors[i], &shape[i]))
            return kl_error(KL_ERROR_SHAPE, "%lld places times %lld are too many",
                            (long long)x->shape[i], (long long)a->factors[i]);
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_tensor *packed = x->contiguous ? x : kl_contiguous(x);
    if (!packed)
        return kl_last_status();
    kl_repeats repeats = repeats_of(a);
    kl_repeat_elements(&repeats, kl_dtype_size((kl_dtype)x->dtype), packed->data, out->data);
    kl_drop_copy(packed, x);
    return KL_OK;
}

static kl_status repeat_backward(kl_op_frame *f)
{
    return grad(f, sum_repeats(f->dout[0], f->attrs));
}

MOVES(repeat_each, repeat_attrs, repeat_forward, repeat_backward, KL_OP_ANY_DTYPE)

kl_tensor *kl_op_repeat_each(kl_tensor *a, const int64_t *factors)
{
    repeat_attrs attrs = {0};
    if (!a || !factors) {
        kl_error_null("repeat_each", a ? "factors" : "tensor");
        return NULL;
    }
    attrs.rank = a->rank;
    for (int i = 0; i < a->rank; i++) {
        attrs.shape[i] = a->shape[i];
        attrs.factors[i] = factors[i];
        if (factors[i] < 1) {
            kl_error(KL_ERROR_RANGE, "repeat_each: factors must be at least 1, got %lld",
                     (long long)factors[i]);
            return NULL;
        }
    }
    return kl_run1(&repeat_each_op, &attrs, 1, &a, 0);
}

static kl_status sum_forward(kl_op_frame *f)
{
    const repeat_attrs *a = f->attrs;
    kl_tensor *dy = f->in[0];
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)dy->dtype, a->rank, a->shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_tensor *dense = kl_dense_values(dy);
    if (!dense)
        return kl_last_status();
    kl_repeats repeats = repeats_of(a);
    if (kl_is_wide(dy))
        kl_sum_repeats_f64(&repeats, (const double *)(const void *)dense->data,
                           (double *)(void *)out->data);
    else
        kl_sum_repeats_f32(&repeats, (const float *)(const void *)dense->data,
                           (float *)(void *)out->data);
    kl_drop_copy(dense, dy);
    return KL_OK;
}

static kl_status sum_backward(kl_op_frame *f)
{
    return grad(f, kl_op_repeat_each(f->dout[0], ((const repeat_attrs *)f->attrs)->factors));
}

MOVES(sum_repeats, repeat_attrs, sum_forward, sum_backward, 0)

static kl_tensor *sum_repeats(kl_tensor *dy, const repeat_attrs *attrs)
{
    return kl_run1(&sum_repeats_op, attrs, 1, &dy, 0);
}
