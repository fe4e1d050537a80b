#include "layers/attention/masks.h"

#include "tensor/tensor.h"

/* True where column - row is at most `above` and at least -`below`. */
static kl_tensor *band(int64_t rows, int64_t columns, int64_t below, int64_t above)
{
    kl_tensor *mask = kl_empty(KL_BOOL, 3, (const int64_t[]){1, rows, columns});
    if (!mask || !mask->buffer)
        return mask;
    bool *at = kl_tensor_mutable_data(mask);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            *at++ = c - r <= above && r - c <= below;
    return mask;
}

kl_tensor *kl_causal_mask(int64_t rows, int64_t columns)
{
    return band(rows, columns, rows, 0);
}

kl_tensor *kl_window_mask(int64_t rows, int64_t columns, int64_t window)
{
    return band(rows, columns, window - 1, window - 1);
}

bool kl_join_masks(kl_tensor **mask, kl_tensor *other)
{
    if (!other)
        return false;
    if (kl_tensor_dtype(other) != KL_BOOL)
        other = kl_op_cast(other, KL_BOOL);
    *mask = *mask ? kl_op_logical_and(*mask, other) : other;
    return *mask != NULL;
}

kl_tensor *kl_expand_mask(kl_tensor *mask, int rank, int axis)
{
    while (mask && mask->rank < rank)
        mask = kl_op_expand_dims(mask, axis);
    return mask;
}
