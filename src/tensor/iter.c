#include <string.h>

#include "tensor/tensor.h"

void kl_iter_begin(kl_iter *it, int rank, const int64_t *shape, int operands,
                   const int64_t *const *strides)
{
    it->operands = operands;
    it->inner = 1;
    it->outer = 1;
    int64_t merged_shape[KL_MAX_RANK], merged[KL_ITER_OPERANDS][KL_MAX_RANK];
    int count = 0;
    /* From the last axis outwards; axes of size 1 vanish. */
    for (int axis = rank - 1; axis >= 0; axis--) {
        if (shape[axis] == 1)
            continue;
        bool joins = count > 0;
        for (int k = 0; joins && k < operands; k++)
            joins = strides[k][axis] == merged[k][count - 1] * merged_shape[count - 1];
        if (joins) {
            merged_shape[count - 1] *= shape[axis];
            continue;
        }
        merged_shape[count] = shape[axis];
        for (int k = 0; k < operands; k++)
            merged[k][count] = strides[k][axis];
        count++;
    }
    /* merged[.][0] is the inner axis; the rest go outermost first. */
    it->inner = count ? merged_shape[0] : 1;
    it->rank = count > 1 ? count - 1 : 0;
    for (int k = 0; k < operands; k++) {
        it->inner_stride[k] = count ? merged[k][0] : 1;
        it->offset[k] = 0;
    }
    for (int i = 0; i < it->rank; i++) {
        int from = count - 1 - i;
        it->shape[i] = merged_shape[from];
        it->index[i] = 0;
        it->outer *= merged_shape[from];
        for (int k = 0; k < operands; k++)
            it->strides[k][i] = merged[k][from];
    }
    if (it->outer == 0) {
        it->inner = 0;
        it->outer = 1;
        it->rank = 0;
    }
}

bool kl_iter_next(kl_iter *it)
{
    for (int axis = it->rank - 1; axis >= 0; axis--) {
        for (int k = 0; k < it->operands; k++)
            it->offset[k] += it->strides[k][axis];
        if (++it->index[axis] < it->shape[axis])
            return true;
        for (int k = 0; k < it->operands; k++)
            it->offset[k] -= it->strides[k][axis] * it->shape[axis];
        it->index[axis] = 0;
    }
    return false;
}

void kl_iter_seek(kl_iter *it, int64_t run)
{
    for (int k = 0; k < it->operands; k++)
        it->offset[k] = 0;
    for (int axis = it->rank - 1; axis >= 0; axis--) {
        it->index[axis] = run % it->shape[axis];
        run /= it->shape[axis];
        for (int k = 0; k < it->operands; k++)
            it->offset[k] += it->index[axis] * it->strides[k][axis];
    }
}
