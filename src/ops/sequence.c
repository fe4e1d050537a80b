#include "ops/sequence.h"

#include <string.h>

#include "kernels/gemm.h"

float *kl_sequence_floats(kl_tensor *x)
{
    return x ? (float *)(void *)x->data : NULL;
}

kl_tensor *kl_sequence_last(kl_tensor *sequence)
{
    kl_tensor *step = kl_view_slice(sequence, 1, -1, KL_NONE, 1);
    int64_t shape[2] = {sequence->shape[0], sequence->shape[2]};
    kl_tensor *flat = step ? kl_view_reshape(step, 2, shape) : NULL;
    kl_tensor *own = flat ? kl_copy(flat, (kl_dtype)flat->dtype) : NULL;
    kl_drop(step);
    kl_drop(flat);
    return own;
}

kl_tensor *kl_sequence_recurrent_grad(const float *h0, const float *states, kl_tensor *dproduct,
                                      int64_t units)
{
    int64_t b = dproduct->shape[0], t = dproduct->shape[1], width = dproduct->shape[2], u = units;
    kl_tensor *before = kl_empty(KL_FLOAT32, 3, (const int64_t[]){b, t, u});
    kl_tensor *dw = before ? kl_empty(KL_FLOAT32, 2, (const int64_t[]){u, width}) : NULL;
    if (!dw || !states)
        return NULL;
    float *to = kl_sequence_floats(before);
    for (int64_t i = 0; i < b; i++) {
        memcpy(to + i * t * u, h0 + i * u, (size_t)u * sizeof *to);
        memcpy(to + (i * t + 1) * u, states + i * t * u, (size_t)((t - 1) * u) * sizeof *to);
    }
    kl_gemm g = {.m = u,
                 .n = width,
                 .k = b * t,
                 .a = to,
                 .a_row = 1,
                 .a_col = u,
                 .b = dproduct->data,
                 .b_row = width,
                 .b_col = 1,
                 .c = dw->data,
                 .c_row = width};
    bool good = kl_gemm_f32(&g);
    kl_drop(before);
    return good ? dw : NULL;
}

kl_status kl_sequence_compose(const kl_op *op, const void *attrs, int inputs, kl_tensor **in,
                              int outputs, kl_tensor **out)
{
    kl_scope *scope = kl_scope_begin();
    kl_op_frame frame = {
        .op = op, .attrs = attrs, .inputs = inputs, .outputs = outputs, .in = in, .out = out};
    kl_status status = scope ? op->compose(&frame) : kl_last_status();
    kl_scope_end_keeping(scope, status ? 0 : (size_t)outputs, out);
    return status;
}
