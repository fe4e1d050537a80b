#include "layers/normalization/axes.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

kl_status kl_norm_axes_name_last(kl_ints *axis)
{
    if (axis->at)
        return KL_OK;
    int64_t *last = kl_malloc(sizeof *last);
    if (!last)
        return KL_ERROR_MEMORY;
    *last = -1;
    *axis = (kl_ints){last, 1};
    return KL_OK;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

kl_status kl_norm_axes_find(kl_ints given, int rank, bool as_given, kl_norm_axes *axes)
{
    axes->count = 0;
    if (!given.count || given.count > (size_t)rank)
        return kl_error(KL_ERROR_INVALID, "axis must name 1 to %d axes, got %zu", rank,
                        given.count);
    for (size_t i = 0; i < given.count; i++) {
        if (given.at[i] < -rank || given.at[i] >= rank)
            return kl_error(KL_ERROR_RANGE, "Axis %lld is out of bounds for an input of %d axes",
                            (long long)given.at[i], rank);
        axes->weight[axes->count++] = (int)given.at[i];
    }
    if (!as_given)
        qsort(axes->weight, given.count, sizeof *axes->weight, compare);
    for (int i = 0; i < axes->count; i++)
        axes->at[i] = axes->weight[i] += axes->weight[i] < 0 ? rank : 0;
    qsort(axes->at, given.count, sizeof *axes->at, compare);
    axes->last = axes->at[0] == rank - axes->count;
    for (int i = 0; i < axes->count; i++) {
        if (i && axes->at[i] == axes->at[i - 1])
            return kl_error(KL_ERROR_INVALID, "axis %d is given twice", axes->at[i]);
        axes->last = axes->last && axes->at[i] == axes->weight[i];
    }
    return KL_OK;
}
