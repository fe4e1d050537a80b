/* What the sources of ops share. */
#ifndef KL_OPS_COMMON_H
#define KL_OPS_COMMON_H

#include "base/error.h"
#include "klayers/ops.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

/* The dtype that two operands are computed in. */
kl_dtype kl_promote(kl_dtype a, kl_dtype b);
/* x in dtype: itself if it is so already, else cast (recorded). NULL passes. */
kl_tensor *kl_as_dtype(kl_tensor *x, kl_dtype dtype);
/* Integers and bool to float32, floats as they are. NULL passes. */
kl_tensor *kl_as_float(kl_tensor *x);
/* Whether tensors (NULL ones aside) have one float dtype already, or are symbolic. */
bool kl_agree_on_float(int count, kl_tensor *const *in);
/* Casts them to one; strings and memory are errors. The open scope frees the casts. */
kl_status kl_cast_to_one_float(int count, kl_tensor **in);
/* The value of `value`, but the gradient goes to `variable`, of the same shape and dtype: a
   variable that was assigned. */
kl_tensor *kl_assigned(kl_tensor *variable, kl_tensor *value);
/* The gradient of a slice in its place among zeros of the whole's shape. */
kl_tensor *kl_unslice(kl_tensor *part, int axis, int64_t start, int64_t stop, int64_t step,
                      int rank, const int64_t *whole);
/* Sums a gradient down to the shape that was broadcast to its own. */
kl_tensor *kl_unbroadcast(kl_tensor *grad, const kl_tensor *like);
/* Runs an op of one output. */
kl_tensor *kl_run1(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                   uint64_t optional);
/* x itself if it is float32 or float64 in C order, else a contiguous copy, which the open scope or
   kl_drop_copy() frees. */
kl_tensor *kl_dense_values(kl_tensor *x);
/* x itself or a contiguous copy, recorded: for values that more than one op reads. NULL passes. */
kl_tensor *kl_op_pack(kl_tensor *x);
/* Frees what kl_dense_values(of) gave, unless that is `of` itself. */
void kl_drop_copy(kl_tensor *copy, const kl_tensor *of);
static inline bool kl_is_wide(const kl_tensor *x)
{
    return x->dtype == KL_FLOAT64;
}
/* A gradient of rows alone (tensor->rows) spread over zeros; others as they are. The handle of such
   a gradient has the whole's shape, its buffer only the rows: no op but this may read it. */
kl_tensor *kl_densify(kl_tensor *rows);
/* Frees a handle that was made on the way. */
void kl_drop(kl_tensor *tensor);

/* The axes of a reduction as bits, negative ones counted from the end; false with an error. */
bool kl_axes_mask(int rank, int count, const int *axes, unsigned *mask);

#define KL_KEEP_NONE UINT64_C(0)
#define KL_KEEP_ALL  UINT64_MAX

#endif
