#include <string.h>

#include "base/error.h"
#include "tensor/tensor.h"

static bool has_value(const char *function, const kl_tensor *tensor)
{
    if (!tensor) {
        kl_error_null(function, "tensor");
        return false;
    }
    if (tensor->symbol) {
        kl_error(KL_ERROR_STATE, "%s: the tensor is symbolic and has no values yet", function);
        return false;
    }
    return true;
}

kl_tensor *kl_view_slice(const kl_tensor *tensor, int axis, int64_t start, int64_t stop,
                         int64_t step)
{
    if (!has_value("kl_view_slice", tensor))
        return NULL;
    int at = kl_axis("axis", axis, tensor->rank);
    if (at < 0)
        return NULL;
    if (step == 0 || step == INT64_MIN) {
        kl_error(KL_ERROR_RANGE, "a slice's step must not be 0");
        return NULL;
    }
    /* A longer step takes the same one element, and its stride might not fit. */
    int64_t most = tensor->shape[at] > 0 ? tensor->shape[at] : 1;
    step = step > most ? most : step < -most ? -most : step;
    int64_t size = tensor->shape[at], low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    if (start == KL_NONE)
        start = step > 0 ? low : high;
    else
        start += start < 0 ? size : 0;
    if (stop == KL_NONE)
        stop = step > 0 ? high : low;
    else
        stop += stop < 0 ? size : 0;
    start = start < low ? low : start > high ? high : start;
    stop = stop < low ? low : stop > high ? high : stop;
    int64_t count = step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
    if (count < 0)
        count = 0;
    int64_t shape[KL_MAX_RANK], strides[KL_MAX_RANK];
    memcpy(shape, tensor->shape, sizeof shape);
    memcpy(strides, tensor->strides, sizeof strides);
    shape[at] = count;
    strides[at] *= step;
    return kl_alias_as(tensor, tensor->rank, shape, strides,
                       count ? start * tensor->strides[at] : 0);
}

kl_tensor *kl_view_transpose(const kl_tensor *tensor, const int *axes)
{
    if (!has_value("kl_view_transpose", tensor))
        return NULL;
    int64_t shape[KL_MAX_RANK], strides[KL_MAX_RANK];
    unsigned seen = 0;
    for (int i = 0; i < tensor->rank; i++) {
        int from = axes ? kl_axis("axis", axes[i], tensor->rank) : tensor->rank - 1 - i;
        if (from < 0)
            return NULL;
        if (seen & 1u << from) {
            kl_error(KL_ERROR_INVALID, "axes are no permutation: axis %d stands twice", from);
            return NULL;
        }
        seen |= 1u << from;
        shape[i] = tensor->shape[from];
        strides[i] = tensor->strides[from];
    }
    return kl_alias_as(tensor, tensor->rank, shape, strides, 0);
}

kl_tensor *kl_view_broadcast(const kl_tensor *tensor, int rank, const int64_t *shape)
{
    if (!has_value("kl_view_broadcast", tensor))
        return NULL;
    int64_t size, strides[KL_MAX_RANK];
    if (!kl_shape_size(rank, shape, &size))
        return NULL;
    bool fits = rank >= tensor->rank;
    for (int i = 0; fits && i < rank; i++) {
        int from = i - (rank - tensor->rank);
        int64_t have = from < 0 ? 1 : tensor->shape[from];
        strides[i] = have == 1 ? 0 : tensor->strides[from < 0 ? 0 : from];
        if (have == shape[i] && from >= 0)
            strides[i] = tensor->strides[from];
        fits = have == shape[i] || have == 1;
    }
    if (!fits) {
        char from[200], to[200];
        kl_error(KL_ERROR_SHAPE, "shape %s can't be broadcast to %s",
                 kl_shape_text(tensor->rank, tensor->shape, from, sizeof from),
                 kl_shape_text(rank, shape, to, sizeof to));
        return NULL;
    }
    return kl_alias_as(tensor, rank, shape, strides, 0);
}

/* Strides for the new shape over the same memory; false if a copy is needed. */
static bool reshape_strides(const kl_tensor *t, int rank, const int64_t *shape, int64_t *strides)
{
    if (t->contiguous || t->size == 0) {
        kl_c_strides(rank, shape, strides);
        return true;
    }
    int old = 0, neu = 0;
    while (neu < rank || old < t->rank) {
        /* A group of old axes and one of new axes with the same number of elements. */
        int old_first = old, new_first = neu;
        int64_t have = 1, want = 1;
        do {
            if (have <= want && old < t->rank)
                have *= t->shape[old++];
            else if (neu < rank)
                want *= shape[neu++];
            else
                return false;
        } while (have != want || (old == t->rank && neu < rank && shape[neu] == 1) ||
                 (neu == rank && old < t->rank && t->shape[old] == 1));
        int64_t step = 0, covered = 0;
        for (int i = old - 1; i >= old_first; i--) {
            if (t->shape[i] == 1)
                continue;
            if (!covered) {
                step = t->strides[i];
                covered = t->shape[i];
            } else if (t->strides[i] == step * covered) {
                covered *= t->shape[i];
            } else {
                return false;
            }
        }
        for (int i = neu - 1; i >= new_first; i--) {
            strides[i] = step;
            step *= shape[i];
        }
    }
    return true;
}

kl_tensor *kl_view_reshape(const kl_tensor *tensor, int rank, const int64_t *shape)
{
    if (!has_value("kl_view_reshape", tensor))
        return NULL;
    int64_t dims[KL_MAX_RANK], known = 1;
    int open = -1;
    bool valid = rank >= 0 && rank <= KL_MAX_RANK && (!rank || shape);
    for (int i = 0; valid && i < rank; i++) {
        dims[i] = shape[i];
        if (shape[i] == -1 && open < 0)
            open = i;
        else
            valid = shape[i] >= 0 && !__builtin_mul_overflow(known, shape[i], &known);
    }
    if (valid && open >= 0) {
        valid = known ? tensor->size % known == 0 : false;
        dims[open] = valid ? tensor->size / known : 0;
        known = valid ? tensor->size : -1;
    }
    if (!valid || known != tensor->size) {
        char from[200], to[200];
        kl_error(KL_ERROR_SHAPE, "shape %s with %lld elements can't be reshaped to %s",
                 kl_shape_text(tensor->rank, tensor->shape, from, sizeof from),
                 (long long)tensor->size,
                 rank >= 0 && rank <= KL_MAX_RANK && (!rank || shape)
                     ? kl_shape_text(rank, shape, to, sizeof to)
                     : "that many axes");
        return NULL;
    }
    int64_t strides[KL_MAX_RANK];
    if (!tensor->buffer)
        return kl_stand_in((kl_dtype)tensor->dtype, rank, dims);
    if (reshape_strides(tensor, rank, dims, strides))
        return kl_alias_as(tensor, rank, dims, strides, 0);
    kl_tensor *copy = kl_copy(tensor, (kl_dtype)tensor->dtype);
    if (!copy)
        return NULL;
    kl_c_strides(rank, dims, strides);
    kl_tensor *view = kl_alias_as(copy, rank, dims, strides, 0);
    kl_release(kl_scope_detach(copy));
    return view;
}

kl_tensor *kl_contiguous(const kl_tensor *tensor)
{
    if (!has_value("kl_contiguous", tensor))
        return NULL;
    return tensor->contiguous ? kl_alias(tensor) : kl_copy(tensor, (kl_dtype)tensor->dtype);
}
