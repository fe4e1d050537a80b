#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tensor/tensor.h"

char *kl_shape_text(int rank, const int64_t *shape, char *out, size_t size)
{
    size_t at = 0;
    if (!size || !out)
        return out;
    out[0] = 0;
    at += (size_t)snprintf(out, size, "(");
    for (int i = 0; i < rank && at < size; i++) {
        const char *end = i + 1 < rank ? ", " : rank == 1 ? "," : "";
        int wrote = shape[i] < 0
                        ? snprintf(out + at, size - at, "None%s", end)
                        : snprintf(out + at, size - at, "%lld%s", (long long)shape[i], end);
        at += (size_t)wrote;
    }
    if (at < size)
        snprintf(out + at, size - at, ")");
    return out;
}

bool kl_shape_size(int rank, const int64_t *shape, int64_t *out)
{
    if (rank < 0 || rank > KL_MAX_RANK || (rank && !shape)) {
        kl_error(KL_ERROR_SHAPE, "a tensor has 0 to %d axes, got %d", KL_MAX_RANK, rank);
        return false;
    }
    int64_t size = 1;
    bool empty = false, fits = true;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0) {
            kl_error(KL_ERROR_SHAPE, "axis %d has size %lld", i, (long long)shape[i]);
            return false;
        }
        if (!shape[i])
            empty = true;
        else if (__builtin_mul_overflow(size, shape[i], &size))
            fits = false;
    }
    /* As in NumPy also with an axis of size 0: strides are products of the other axes. */
    if (!fits || size > INT64_MAX / 16) {
        char text[200];
        kl_error(KL_ERROR_SHAPE, "the number of elements of shape %s overflows",
                 kl_shape_text(rank, shape, text, sizeof text));
        return false;
    }
    *out = empty ? 0 : size;
    return true;
}

void kl_c_strides(int rank, const int64_t *shape, int64_t *strides)
{
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = step;
        step *= shape[i] > 0 ? shape[i] : 1;
    }
}

bool kl_shape_equal(const kl_tensor *a, const kl_tensor *b)
{
    return a->rank == b->rank && !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape);
}

bool kl_broadcast_shapes(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int *rank,
                         int64_t *out)
{
    *rank = rank_a > rank_b ? rank_a : rank_b;
    for (int i = 0; i < *rank; i++) {
        int ia = i - (*rank - rank_a), ib = i - (*rank - rank_b);
        int64_t na = ia < 0 ? 1 : a[ia], nb = ib < 0 ? 1 : b[ib];
        if (na != nb && na != 1 && nb != 1)
            return false;
        out[i] = na == 1 ? nb : na;
    }
    return true;
}

int kl_axis(const char *what, int axis, int rank)
{
    if (axis < -rank || axis >= rank) {
        kl_error(KL_ERROR_RANGE, "%s %d is out of range for %d dimensions", what, axis, rank);
        return -1;
    }
    return axis < 0 ? axis + rank : axis;
}
