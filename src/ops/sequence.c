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

kl_status kl_sequence_compose_steps(kl_op_frame *f, kl_sequence_step *step, kl_tensor *z,
                                    kl_tensor *h, kl_tensor *mask)
{
    int64_t steps = z->shape[1];
    kl_tensor *y = NULL, **outputs = kl_scope_alloc((size_t)(steps + 1) * sizeof *outputs);
    if (!outputs)
        return kl_last_status();
    for (int64_t t = 0; t < steps; t++) {
        kl_tensor *next = step(f, kl_op_squeeze(kl_op_slice(z, 1, t, t + 1, 1), 1), h);
        kl_tensor *next_y = next;
        if (!next)
            return kl_last_status();
        if (mask) {
            kl_tensor *keep = kl_op_slice(mask, 1, t, t + 1, 1);
            if (!y)
                y = kl_zeros((kl_dtype)h->dtype, h->rank, h->shape);
            next_y = kl_op_where(keep, next, y);
            next = kl_op_where(keep, next, h);
        }
        h = next;
        y = outputs[t] = next_y;
    }
    f->out[0] = kl_op_stack((int)steps, outputs, 1);
    f->out[1] = h ? kl_op_reshape(h, h->rank, h->shape) : NULL;
    return f->out[0] && f->out[1] ? KL_OK : kl_last_status();
}
