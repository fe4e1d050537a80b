#include "ops/lstm.h"

#include "kernels/lstm.h"
#include "ops/sequence.h"

enum { Z, RECURRENT, H0, C0, MASK, INPUTS };
enum { GATES, CELLS, TANH_CELLS, STATES };

static kl_status check_shapes(const kl_op_frame *f)
{
    const kl_tensor *z = f->in[Z], *w = f->in[RECURRENT], *h = f->in[H0], *c = f->in[C0];
    const kl_tensor *mask = f->in[MASK];
    bool fits = z->rank == 3 && w->rank == 2 && h->rank == 2 && kl_shape_equal(h, c);
    fits = fits && w->shape[1] == 4 * w->shape[0] && z->shape[2] == w->shape[1] &&
           h->shape[0] == z->shape[0] && h->shape[1] == w->shape[0];
    fits = fits && (!mask || (mask->rank == 2 && mask->shape[0] == z->shape[0] &&
                              mask->shape[1] == z->shape[1]));
    return fits ? KL_OK
                : kl_error(KL_ERROR_SHAPE, "the states, mask or weights don't fit the input");
}

/* Composed of primitive ops, step by step. */
static kl_status lstm_compose(kl_op_frame *f)
{
    kl_tensor *z = f->in[Z], *h = f->in[H0], *c = f->in[C0], *mask = f->in[MASK], *y = NULL;
    int64_t steps = z->shape[1];
    kl_tensor **outputs = kl_scope_alloc((size_t)(steps + 1) * sizeof *outputs);
    if (!outputs)
        return kl_last_status();
    for (int64_t t = 0; t < steps; t++) {
        kl_tensor *zt = kl_op_squeeze(kl_op_slice(z, 1, t, t + 1, 1), 1), *g[4];
        zt = kl_op_add(zt, kl_op_matmul(h, f->in[RECURRENT]));
        if (!zt || kl_op_split(zt, 4, -1, g))
            return kl_last_status();
        kl_tensor *kept = kl_op_mul(kl_op_sigmoid(g[1]), c);
        kl_tensor *next_c = kl_op_add(kept, kl_op_mul(kl_op_sigmoid(g[0]), kl_op_tanh(g[2])));
        kl_tensor *next_h = kl_op_mul(kl_op_sigmoid(g[3]), kl_op_tanh(next_c));
        kl_tensor *next_y = next_h;
        if (mask) {
            kl_tensor *keep = kl_op_slice(mask, 1, t, t + 1, 1);
            if (!y)
                y = kl_zeros((kl_dtype)h->dtype, h->rank, h->shape);
            next_y = kl_op_where(keep, next_h, y);
            next_h = kl_op_where(keep, next_h, h);
            next_c = kl_op_where(keep, next_c, c);
        }
        h = next_h;
        c = next_c;
        y = outputs[t] = next_y;
    }
    f->out[0] = kl_op_stack((int)steps, outputs, 1);
    f->out[1] = h ? kl_op_reshape(h, h->rank, h->shape) : NULL;
    f->out[2] = c ? kl_op_reshape(c, c->rank, c->shape) : NULL;
    return f->out[0] && f->out[1] && f->out[2] ? KL_OK : kl_last_status();
}

static kl_lstm sequence_of(const kl_op_frame *f, kl_tensor *recurrent, kl_tensor *h0, kl_tensor *c0,
                           kl_tensor *mask)
{
    const kl_tensor *z = f->in[Z];
    return (kl_lstm){.batch = z->shape[0],
                     .steps = z->shape[1],
                     .units = z->shape[2] / 4,
                     .recurrent = kl_sequence_floats(recurrent),
                     .h0 = kl_sequence_floats(h0),
                     .c0 = kl_sequence_floats(c0),
                     .mask = mask ? (const uint8_t *)mask->data : NULL,
                     .gates = kl_sequence_floats(f->saved[GATES]),
                     .cells = kl_sequence_floats(f->saved[CELLS]),
                     .tanh_cells = kl_sequence_floats(f->saved[TANH_CELLS]),
                     .states = kl_sequence_floats(f->saved[STATES])};
}

static kl_status lstm_forward(kl_op_frame *f)
{
    kl_status status = check_shapes(f);
    kl_tensor *z = f->in[Z];
    if (status)
        return status;
    int64_t shape[3] = {z->shape[0], z->shape[1], z->shape[2] / 4};
    int64_t state[2] = {shape[0], shape[2]};
    if (kl_op_shape_only(f)) {
        f->out[0] = kl_stand_in((kl_dtype)z->dtype, 3, shape);
        f->out[1] = kl_stand_in((kl_dtype)z->dtype, 2, state);
        f->out[2] = kl_stand_in((kl_dtype)z->dtype, 2, state);
        return f->out[0] && f->out[1] && f->out[2] ? KL_OK : kl_last_status();
    }
    if (!z->shape[1])
        return kl_error(KL_ERROR_SHAPE, "a sequence has at least 1 step");
    int64_t gates[3] = {shape[0], shape[1], 4 * shape[2]};
    f->out[0] = kl_empty(KL_FLOAT32, 3, shape);
    if (f->out[0])
        f->saved[STATES] = f->in[MASK] ? kl_empty(KL_FLOAT32, 3, shape) : kl_alias(f->out[0]);
    if (f->recording) {
        f->saved[GATES] = kl_empty(KL_FLOAT32, 3, gates);
        f->saved[CELLS] = kl_empty(KL_FLOAT32, 3, shape);
        f->saved[TANH_CELLS] = kl_empty(KL_FLOAT32, 3, shape);
    } else {
        f->out[2] = kl_empty(KL_FLOAT32, 2, state);
    }
    bool kept = f->recording ? f->saved[GATES] && f->saved[CELLS] && f->saved[TANH_CELLS]
                             : f->out[2] != NULL;
    kl_tensor *cz = kl_dense_values(z);
    kl_tensor *w = kl_dense_values(f->in[RECURRENT]), *h0 = kl_dense_values(f->in[H0]);
    kl_tensor *c0 = kl_dense_values(f->in[C0]);
    kl_tensor *mask = f->in[MASK] ? kl_contiguous(f->in[MASK]) : NULL;
    if (!kept || !f->saved[STATES] || !cz || !w || !h0 || !c0 || (f->in[MASK] && !mask))
        return kl_last_status();
    kl_lstm l = sequence_of(f, w, h0, c0, mask);
    l.z = kl_sequence_floats(cz);
    l.outputs = kl_sequence_floats(f->out[0]);
    l.c_last = f->recording ? NULL : kl_sequence_floats(f->out[2]);
    bool good = kl_lstm_forward(&l);
    f->out[1] = good ? kl_sequence_last(f->saved[STATES]) : NULL;
    if (f->recording)
        f->out[2] = good ? kl_sequence_last(f->saved[CELLS]) : NULL;
    kl_drop_copy(cz, z);
    kl_drop_copy(w, f->in[RECURRENT]);
    kl_drop_copy(h0, f->in[H0]);
    kl_drop_copy(c0, f->in[C0]);
    kl_drop(mask);
    return f->out[1] && f->out[2] ? KL_OK : kl_last_status();
}

static kl_status lstm_backward(kl_op_frame *f)
{
    kl_tensor *z = f->in[Z];
    int64_t state[2] = {z->shape[0], z->shape[2] / 4};
    kl_tensor *w = kl_dense_values(f->in[RECURRENT]), *h0 = kl_dense_values(f->in[H0]);
    kl_tensor *c0 = kl_dense_values(f->in[C0]);
    kl_tensor *mask = f->in[MASK] ? kl_contiguous(f->in[MASK]) : NULL;
    kl_tensor *dz = kl_empty(KL_FLOAT32, 3, z->shape);
    kl_tensor *dh0 = kl_empty(KL_FLOAT32, 2, state), *dc0 = kl_empty(KL_FLOAT32, 2, state);
    kl_tensor *dout[3];
    if (!w || !h0 || !c0 || !dz || !dh0 || !dc0 || (f->in[MASK] && !mask))
        return kl_last_status();
    for (int i = 0; i < 3; i++) {
        dout[i] = f->dout[i] ? kl_dense_values(f->dout[i]) : NULL;
        if (f->dout[i] && !dout[i])
            return kl_last_status();
    }
    kl_lstm l = sequence_of(f, w, h0, c0, mask);
    kl_lstm_grad g = {.dy = kl_sequence_floats(dout[0]),
                      .dh_last = kl_sequence_floats(dout[1]),
                      .dc_last = kl_sequence_floats(dout[2]),
                      .dz = kl_sequence_floats(dz),
                      .dh0 = kl_sequence_floats(dh0),
                      .dc0 = kl_sequence_floats(dc0)};
    if (!kl_lstm_backward(&l, &g))
        return kl_last_status();
    f->din[Z] = dz;
    f->din[H0] = dh0;
    f->din[C0] = dc0;
    if (f->needs[RECURRENT] &&
        !(f->din[RECURRENT] = kl_sequence_recurrent_grad(l.h0, l.states, dz, l.units)))
        return kl_last_status();
    return KL_OK;
}

static const kl_op lstm_op = {.size = sizeof(kl_op),
                              .name = "lstm",
                              .forward = lstm_forward,
                              .backward = lstm_backward,
                              .compose = lstm_compose,
                              .keeps_in = 1 << RECURRENT | 1 << H0 | 1 << C0 | 1 << MASK | 1 << Z};

kl_status kl_op_lstm(kl_tensor *z, kl_tensor *recurrent, kl_tensor *h0, kl_tensor *c0,
                     kl_tensor *mask, kl_lstm_result *result)
{
    kl_tensor *in[INPUTS] = {z, recurrent, h0, c0, mask}, *out[3] = {NULL};
    *result = (kl_lstm_result){0};
    if (!z || !recurrent || !h0 || !c0)
        return kl_error_null("lstm", "tensor");
    kl_status status;
    if (z->dtype == KL_FLOAT32 && recurrent->dtype == KL_FLOAT32)
        status = kl_op_run(&lstm_op, NULL, INPUTS, in, 1 << MASK, 3, out);
    else
        status = kl_sequence_compose(&lstm_op, NULL, INPUTS, in, 3, out);
    *result = (kl_lstm_result){out[0], out[1], out[2]};
    return status;
}
