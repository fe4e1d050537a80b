/* What the fused recurrent sequences share. */
#ifndef KL_OPS_SEQUENCE_H
#define KL_OPS_SEQUENCE_H

#include "ops/common.h"

/* The data of a contiguous float32 tensor, or NULL. */
float *kl_sequence_floats(kl_tensor *x);
/* A copy of the last step [b, u] of a [b, t, u] sequence. */
kl_tensor *kl_sequence_last(kl_tensor *sequence);
/* The gradient of the recurrent kernel: the states before each step, h0 [b, u] then states
   [b, t, u], transposed, times the gradient of their products [b, t, width]. */
kl_tensor *kl_sequence_recurrent_grad(const float *h0, const float *states, kl_tensor *dproduct,
                                      int64_t units);

/* The op by its composed form, for dtypes that the kernels don't have. */
kl_status kl_sequence_compose(const kl_op *op, const void *attrs, int inputs, kl_tensor **in,
                              int outputs, kl_tensor **out);

/* The next state [b, u] from a step's projected input [b, width] and the state, by primitive ops.
 */
typedef kl_tensor *kl_sequence_step(const kl_op_frame *f, kl_tensor *z, kl_tensor *h);
/* The composed form of ops with one state: out[0] its values at all steps, out[1] the last. A
   masked step repeats the output and the state before it. */
kl_status kl_sequence_compose_steps(kl_op_frame *f, kl_sequence_step *step, kl_tensor *z,
                                    kl_tensor *h, kl_tensor *mask);

#endif
