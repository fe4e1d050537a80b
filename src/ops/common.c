#include "ops/common.h"

#include "kernels/transpose.h"

/* Keras's order: a later one wins. */
static int rank_of(kl_dtype dtype)
{
    switch (dtype) {
    case KL_BOOL:
        return 0;
    case KL_UINT8:
        return 1;
    case KL_INT32:
        return 2;
    case KL_INT64:
        return 3;
    case KL_FLOAT16:
    case KL_BFLOAT16:
        return 4;
    case KL_FLOAT32:
        return 5;
    default:
        return 6;
    }
}

kl_dtype kl_promote(kl_dtype a, kl_dtype b)
{
    if (a == b)
        return a;
    if (rank_of(a) == 4 && rank_of(b) == 4)
        return KL_FLOAT32;
    return rank_of(a) > rank_of(b) ? a : b;
}

kl_tensor *kl_as_dtype(kl_tensor *x, kl_dtype dtype)
{
    return !x || x->dtype == dtype ? x : kl_op_cast(x, dtype);
}

kl_tensor *kl_as_float(kl_tensor *x)
{
    return !x || kl_dtype_is_float((kl_dtype)x->dtype) ? x : kl_op_cast(x, KL_FLOAT32);
}

bool kl_agree_on_float(int count, kl_tensor *const *in)
{
    const kl_tensor *first = NULL;
    for (int i = 0; i < count; i++) {
        if (!in[i])
            continue;
        if (in[i]->symbol)
            return true;
        if (!first)
            first = in[i];
        if (in[i]->dtype != first->dtype || !kl_dtype_is_float((kl_dtype)in[i]->dtype))
            return false;
    }
    return true;
}

kl_status kl_cast_to_one_float(int count, kl_tensor **in)
{
    kl_dtype dtype = KL_BOOL;
    for (int i = 0; i < count; i++) {
        if (in[i] && in[i]->dtype == KL_STRING)
            return kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
        if (in[i])
            dtype = kl_promote(dtype, (kl_dtype)in[i]->dtype);
    }
    if (!kl_dtype_is_float(dtype))
        dtype = KL_FLOAT32;
    for (int i = 0; i < count; i++)
        if (in[i] && !(in[i] = kl_as_dtype(in[i], dtype)))
            return kl_last_status();
    return KL_OK;
}

kl_tensor *kl_run1(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                   uint64_t optional)
{
    kl_tensor *out = NULL;
    kl_op_run(op, attrs, inputs, in, optional, 1, &out);
    return out;
}

void kl_drop(kl_tensor *tensor)
{
    kl_release(kl_scope_detach(tensor));
}

/* A contiguous copy of matrices that are transposed in memory; NULL without an error if x is of
   another form. */
static kl_tensor *transposed_copy(const kl_tensor *x)
{
    int64_t dense[KL_MAX_RANK];
    const int64_t *strides[] = {dense, x->strides};
    kl_iter it;
    kl_c_strides(x->rank, x->shape, dense);
    kl_iter_begin(&it, x->rank, x->shape, 2, strides);
    int rows = it.rank - 1;
    if (!x->buffer || !x->size || rows < 0 || rows > 1 || it.strides[1][rows] != 1)
        return NULL;
    kl_tensor *y = kl_empty((kl_dtype)x->dtype, x->rank, x->shape);
    if (!y)
        return NULL;
    kl_transposition t = {.batch = rows ? it.shape[0] : 1,
                          .rows = it.shape[rows],
                          .cols = it.inner,
                          .in_batch = rows ? it.strides[1][0] : 0,
                          .in_col = it.inner_stride[1],
                          .in = x->data,
                          .out = y->data};
    (kl_is_wide(x) ? kl_transpose_64 : kl_transpose_32)(&t);
    return y;
}

kl_tensor *kl_dense_values(kl_tensor *x)
{
    if (x->dtype != KL_FLOAT32 && x->dtype != KL_FLOAT64) {
        kl_error(KL_ERROR_DTYPE, "expected a float tensor, got %s",
                 kl_dtype_name((kl_dtype)x->dtype));
        return NULL;
    }
    if (x->contiguous)
        return x;
    kl_tensor *copy = transposed_copy(x);
    return copy ? copy : kl_contiguous(x);
}

static kl_status pack_forward(kl_op_frame *f)
{
    f->out[0] = kl_dense_values(f->in[0]);
    return f->out[0] ? KL_OK : kl_last_status();
}

static kl_status pack_backward(kl_op_frame *f)
{
    f->din[0] = f->dout[0];
    return KL_OK;
}

static const kl_op pack_op = {
    .size = sizeof(kl_op), .name = "pack", .forward = pack_forward, .backward = pack_backward};

kl_tensor *kl_op_pack(kl_tensor *x)
{
    return !x || x->contiguous || x->symbol || !x->buffer ? x : kl_run1(&pack_op, NULL, 1, &x, 0);
}

void kl_drop_copy(kl_tensor *copy, const kl_tensor *of)
{
    if (copy != of)
        kl_drop(copy);
}

kl_tensor *kl_unbroadcast(kl_tensor *grad, const kl_tensor *like)
{
    if (!grad || kl_shape_equal(grad, like))
        return grad;
    int axes[KL_MAX_RANK], count = 0, lead = grad->rank - like->rank;
    for (int i = 0; i < grad->rank; i++)
        if (i < lead || (like->shape[i - lead] == 1 && grad->shape[i] != 1))
            axes[count++] = i;
    kl_tensor *sum = count ? kl_op_sum(grad, count, axes, false) : grad;
    return kl_op_reshape(sum, like->rank, like->shape);
}

bool kl_axes_mask(int rank, int count, const int *axes, unsigned *mask)
{
    *mask = 0;
    if (!axes || !count) {
        *mask = (1u << rank) - 1;
        return true;
    }
    for (int i = 0; i < count; i++) {
        int axis = kl_axis("axis", axes[i], rank);
        if (axis < 0)
            return false;
        if (*mask >> axis & 1) {
            kl_error(KL_ERROR_INVALID, "axis %d is given twice", axis);
            return false;
        }
        *mask |= 1u << axis;
    }
    return true;
}
