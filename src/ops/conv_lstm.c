#include "ops/conv_lstm.h"

#include <string.h>

#include "kernels/conv_lstm.h"
#include "ops/sequence.h"

enum { Z, RECURRENT, H0, C0, INPUTS };
enum { GATES, CELLS, TANH_CELLS, HIDDEN };

static kl_status check_shapes(const kl_op_frame *f)
{
    const kl_tensor *z = f->in[Z], *w = f->in[RECURRENT], *h = f->in[H0];
    int rank = z->rank;
    bool fits = rank >= 4 && rank <= 6 && w->rank == rank - 1 && h->rank == rank - 1 &&
                kl_shape_equal(h, f->in[C0]);
    fits = fits && w->shape[rank - 2] == 4 * w->shape[rank - 3] &&
           z->shape[rank - 1] == w->shape[rank - 2] && h->shape[rank - 2] == w->shape[rank - 3] &&
           h->shape[0] == z->shape[0];
    for (int i = 2; fits && i < rank - 1; i++)
        fits = z->shape[i] == h->shape[i - 1];
    if (fits && !z->shape[1] && !kl_op_shape_only(f))
        return kl_error(KL_ERROR_SHAPE, "a sequence has at least 1 step");
    return fits ? KL_OK : kl_error(KL_ERROR_SHAPE, "the states or weights don't fit the input");
}

/* Of a step's convolution: all places, padded evenly. */
static kl_conv_shape shape_of(const kl_op_frame *f)
{
    const kl_tensor *w = f->in[RECURRENT], *h = f->in[H0];
    int axes = w->rank - 2, lead = 3 - axes;
    kl_conv_shape s = {.batch = h->shape[0],
                       .in_channels = w->shape[axes],
                       .out_channels = w->shape[axes + 1],
                       .groups = 1};
    for (int i = 0; i < 3; i++) {
        s.in[i] = s.out[i] = i < lead ? 1 : h->shape[1 + i - lead];
        s.kernel[i] = i < lead ? 1 : w->shape[i - lead];
        s.stride[i] = s.dilation[i] = 1;
        s.pad[i] = (s.kernel[i] - 1) / 2;
    }
    return s;
}

static kl_status conv_lstm_compose(kl_op_frame *f)
{
    kl_tensor *z = f->in[Z], *h = f->in[H0], *c = f->in[C0];
    int64_t steps = z->shape[1];
    kl_tensor **outputs = kl_scope_alloc((size_t)(steps + 1) * sizeof *outputs);
    if (!outputs)
        return kl_last_status();
    for (int64_t t = 0; t < steps; t++) {
        kl_tensor *zt = kl_op_squeeze(kl_op_slice(z, 1, t, t + 1, 1), 1), *g[4];
        kl_conv_options same = {.padding = "same"};
        zt = kl_op_add(zt, kl_op_conv(h, f->in[RECURRENT], NULL, &same));
        if (!zt || kl_op_split(zt, 4, -1, g))
            return kl_last_status();
        kl_tensor *kept = kl_op_mul(kl_op_sigmoid(g[1]), c);
        c = kl_op_add(kept, kl_op_mul(kl_op_sigmoid(g[0]), kl_op_tanh(g[2])));
        h = outputs[t] = kl_op_mul(kl_op_sigmoid(g[3]), kl_op_tanh(c));
        if (!h)
            return kl_last_status();
    }
    f->out[0] = kl_op_stack((int)steps, outputs, 1);
    f->out[1] = kl_op_reshape(h, h->rank, h->shape);
    f->out[2] = kl_op_reshape(c, c->rank, c->shape);
    return f->out[0] && f->out[1] && f->out[2] ? KL_OK : kl_last_status();
}

/* The inputs as contiguous arrays. */
typedef struct conv_arrays {
    kl_tensor *z, *recurrent, *c0;
} conv_arrays;

static bool take_arrays(const kl_op_frame *f, conv_arrays *a)
{
    *a = (conv_arrays){kl_dense_values(f->in[Z]), kl_dense_values(f->in[RECURRENT]),
                       kl_dense_values(f->in[C0])};
    return a->z && a->recurrent && a->c0;
}

static void drop_arrays(const kl_op_frame *f, const conv_arrays *a)
{
    kl_drop_copy(a->z, f->in[Z]);
    kl_drop_copy(a->recurrent, f->in[RECURRENT]);
    kl_drop_copy(a->c0, f->in[C0]);
}

static kl_conv_lstm_sequence sequence_of(const kl_op_frame *f, const conv_arrays *a)
{
    return (kl_conv_lstm_sequence){.shape = shape_of(f),
                                   .steps = f->in[Z]->shape[1],
                                   .recurrent = kl_sequence_floats(a->recurrent),
                                   .z = kl_sequence_floats(a->z),
                                   .c0 = kl_sequence_floats(a->c0),
                                   .hidden = kl_sequence_floats(f->saved[HIDDEN]),
                                   .gates = kl_sequence_floats(f->saved[GATES]),
                                   .cells = kl_sequence_floats(f->saved[CELLS]),
                                   .tanh_cells = kl_sequence_floats(f->saved[TANH_CELLS])};
}

/* [steps, elements of `like` times `wide`]. */
static kl_tensor *steps_of(int64_t steps, const kl_tensor *like, int64_t wide)
{
    return kl_empty(KL_FLOAT32, 2, (const int64_t[]){steps, wide * like->size});
}

static kl_status make_outputs(kl_op_frame *f)
{
    const kl_tensor *z = f->in[Z], *h = f->in[H0];
    int64_t shape[KL_MAX_RANK];
    memcpy(shape, z->shape, sizeof shape);
    shape[z->rank - 1] /= 4;
    bool only = kl_op_shape_only(f);
    kl_dtype dtype = (kl_dtype)z->dtype;
    f->out[0] = only ? kl_stand_in(dtype, z->rank, shape) : kl_empty(dtype, z->rank, shape);
    for (int i = 1; i < 3; i++)
        f->out[i] =
            only ? kl_stand_in(dtype, h->rank, h->shape) : kl_empty(dtype, h->rank, h->shape);
    return f->out[0] && f->out[1] && f->out[2] ? KL_OK : kl_last_status();
}

static kl_status conv_lstm_forward(kl_op_frame *f)
{
    kl_status status = check_shapes(f);
    if (!status)
        status = make_outputs(f);
    if (status || kl_op_shape_only(f))
        return status;
    kl_tensor *state = f->out[1];
    int64_t steps = f->in[Z]->shape[1];
    f->saved[HIDDEN] = steps_of(steps + 1, state, 1);
    if (f->recording) {
        f->saved[GATES] = steps_of(steps, state, 4);
        f->saved[CELLS] = steps_of(steps, state, 1);
        f->saved[TANH_CELLS] = steps_of(steps, state, 1);
        if (!f->saved[GATES] || !f->saved[CELLS] || !f->saved[TANH_CELLS])
            return kl_last_status();
    }
    conv_arrays a;
    kl_tensor *h0 = f->saved[HIDDEN] ? kl_dense_values(f->in[H0]) : NULL;
    if (!h0 || !take_arrays(f, &a))
        return kl_last_status();
    size_t bytes = (size_t)state->size * sizeof(float);
    char *hidden = f->saved[HIDDEN]->data;
    memcpy(hidden, h0->data, bytes);
    kl_drop_copy(h0, f->in[H0]);
    kl_conv_lstm_sequence l = sequence_of(f, &a);
    l.outputs = kl_sequence_floats(f->out[0]);
    l.c_last = kl_sequence_floats(f->out[2]);
    bool good = kl_conv_lstm_forward(&l);
    memcpy(state->data, hidden + (size_t)steps * bytes, bytes);
    drop_arrays(f, &a);
    return good ? KL_OK : kl_last_status();
}

static kl_status conv_lstm_backward(kl_op_frame *f)
{
    const kl_tensor *z = f->in[Z], *h = f->in[H0], *w = f->in[RECURRENT];
    f->din[Z] = kl_empty(KL_FLOAT32, z->rank, z->shape);
    f->din[H0] = kl_empty(KL_FLOAT32, h->rank, h->shape);
    f->din[C0] = kl_empty(KL_FLOAT32, h->rank, h->shape);
    if (f->needs[RECURRENT])
        f->din[RECURRENT] = kl_empty(KL_FLOAT32, w->rank, w->shape);
    conv_arrays a;
    kl_tensor *dout[3];
    if (!f->din[Z] || !f->din[H0] || !f->din[C0] || (f->needs[RECURRENT] && !f->din[RECURRENT]) ||
        !take_arrays(f, &a))
        return kl_last_status();
    for (int i = 0; i < 3; i++) {
        dout[i] = f->dout[i] ? kl_dense_values(f->dout[i]) : NULL;
        if (f->dout[i] && !dout[i])
            return kl_last_status();
    }
    kl_conv_lstm_sequence l = sequence_of(f, &a);
    kl_conv_lstm_grad g = {.dy = kl_sequence_floats(dout[0]),
                           .dh_last = kl_sequence_floats(dout[1]),
                           .dc_last = kl_sequence_floats(dout[2]),
                           .dz = kl_sequence_floats(f->din[Z]),
                           .dh0 = kl_sequence_floats(f->din[H0]),
                           .dc0 = kl_sequence_floats(f->din[C0]),
                           .drecurrent = kl_sequence_floats(f->din[RECURRENT])};
    return kl_conv_lstm_backward(&l, &g) ? KL_OK : kl_last_status();
}

static const kl_op conv_lstm_op = {.size = sizeof(kl_op),
                                   .name = "conv_lstm",
                                   .forward = conv_lstm_forward,
                                   .backward = conv_lstm_backward,
                                   .compose = conv_lstm_compose,
                                   .keeps_in = 1 << Z | 1 << RECURRENT | 1 << H0 | 1 << C0};

kl_status kl_op_conv_lstm(kl_tensor *z, kl_tensor *recurrent, kl_tensor *h0, kl_tensor *c0,
                          kl_lstm_result *result)
{
    kl_tensor *in[INPUTS] = {z, recurrent, h0, c0}, *out[3] = {NULL};
    *result = (kl_lstm_result){0};
    if (!z || !recurrent || !h0 || !c0)
        return kl_error_null("conv_lstm", "tensor");
    kl_status status;
    if (z->dtype == KL_FLOAT32 && recurrent->dtype == KL_FLOAT32)
        status = kl_op_run(&conv_lstm_op, NULL, INPUTS, in, 0, 3, out);
    else
        status = kl_sequence_compose(&conv_lstm_op, NULL, INPUTS, in, 3, out);
    *result = (kl_lstm_result){out[0], out[1], out[2]};
    return status;
}
