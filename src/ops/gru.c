#include "ops/gru.h"

#include "kernels/gru.h"
#include "ops/sequence.h"

enum { Z, RECURRENT, BIAS, H0, MASK, INPUTS };
enum { GATES, INNER, STATES };

static kl_status check_shapes(const kl_op_frame *f)
{
    const kl_tensor *z = f->in[Z], *w = f->in[RECURRENT], *h = f->in[H0], *b = f->in[BIAS];
    const kl_tensor *mask = f->in[MASK];
    bool fits = z->rank == 3 && w->rank == 2 && h->rank == 2 && w->shape[1] == 3 * w->shape[0];
    fits = fits && z->shape[2] == w->shape[1] && h->shape[0] == z->shape[0] &&
           h->shape[1] == w->shape[0] && b->rank == 1 && b->shape[0] == w->shape[1];
    fits = fits && (!mask || (mask->rank == 2 && mask->shape[0] == z->shape[0] &&
                              mask->shape[1] == z->shape[1]));
    if (fits && !z->shape[1] && !kl_op_shape_only(f))
        return kl_error(KL_ERROR_SHAPE, "a sequence has at least 1 step");
    return fits ? KL_OK
                : kl_error(KL_ERROR_SHAPE, "the state, mask or weights don't fit the input");
}

/* One step of primitive ops. */
static kl_tensor *compose_step(const kl_op_frame *f, kl_tensor *z, kl_tensor *h)
{
    kl_tensor *x[3], *p[3];
    kl_tensor *product = kl_op_add(kl_op_matmul(h, f->in[RECURRENT]), f->in[BIAS]);
    if (!z || !product || kl_op_split(z, 3, -1, x) || kl_op_split(product, 3, -1, p))
        return NULL;
    kl_tensor *update = kl_op_sigmoid(kl_op_add(x[0], p[0]));
    kl_tensor *reset = kl_op_sigmoid(kl_op_add(x[1], p[1]));
    kl_tensor *candidate = kl_op_tanh(kl_op_add(x[2], kl_op_mul(reset, p[2])));
    return kl_op_add(candidate, kl_op_mul(update, kl_op_sub(h, candidate)));
}

static kl_status gru_compose(kl_op_frame *f)
{
    return kl_sequence_compose_steps(f, compose_step, f->in[Z], f->in[H0], f->in[MASK]);
}

/* The inputs as contiguous arrays. */
typedef struct gru_arrays {
    kl_tensor *z, *recurrent, *bias, *h0, *mask;
} gru_arrays;

static bool take_arrays(const kl_op_frame *f, gru_arrays *a)
{
    *a = (gru_arrays){kl_dense_values(f->in[Z]), kl_dense_values(f->in[RECURRENT]),
                      kl_dense_values(f->in[BIAS]), kl_dense_values(f->in[H0]),
                      f->in[MASK] ? kl_contiguous(f->in[MASK]) : NULL};
    return a->z && a->recurrent && a->bias && a->h0 && (a->mask || !f->in[MASK]);
}

static void drop_arrays(const kl_op_frame *f, const gru_arrays *a)
{
    kl_drop_copy(a->z, f->in[Z]);
    kl_drop_copy(a->recurrent, f->in[RECURRENT]);
    kl_drop_copy(a->bias, f->in[BIAS]);
    kl_drop_copy(a->h0, f->in[H0]);
    kl_drop(a->mask);
}

static kl_gru sequence_of(const kl_op_frame *f, const gru_arrays *a)
{
    const kl_tensor *z = f->in[Z];
    return (kl_gru){.batch = z->shape[0],
                    .steps = z->shape[1],
                    .units = z->shape[2] / 3,
                    .z = kl_sequence_floats(a->z),
                    .recurrent = kl_sequence_floats(a->recurrent),
                    .bias = kl_sequence_floats(a->bias),
                    .h0 = kl_sequence_floats(a->h0),
                    .mask = a->mask ? (const uint8_t *)a->mask->data : NULL,
                    .gates = kl_sequence_floats(f->saved[GATES]),
                    .inner = kl_sequence_floats(f->saved[INNER]),
                    .states = kl_sequence_floats(f->saved[STATES])};
}

static kl_status gru_forward(kl_op_frame *f)
{
    kl_status status = check_shapes(f);
    kl_tensor *z = f->in[Z];
    if (status)
        return status;
    int64_t shape[3] = {z->shape[0], z->shape[1], z->shape[2] / 3};
    int64_t state[2] = {shape[0], shape[2]};
    if (kl_op_shape_only(f)) {
        f->out[0] = kl_stand_in((kl_dtype)z->dtype, 3, shape);
        f->out[1] = kl_stand_in((kl_dtype)z->dtype, 2, state);
        return f->out[0] && f->out[1] ? KL_OK : kl_last_status();
    }
    gru_arrays a;
    if (f->recording) {
        f->saved[GATES] = kl_empty(KL_FLOAT32, 3, z->shape);
        f->saved[INNER] = kl_empty(KL_FLOAT32, 3, shape);
        if (!f->saved[GATES] || !f->saved[INNER])
            return kl_last_status();
    }
    f->out[0] = kl_empty(KL_FLOAT32, 3, shape);
    if (f->out[0])
        f->saved[STATES] = f->in[MASK] ? kl_empty(KL_FLOAT32, 3, shape) : kl_alias(f->out[0]);
    if (!f->saved[STATES] || !take_arrays(f, &a))
        return kl_last_status();
    kl_gru l = sequence_of(f, &a);
    l.outputs = kl_sequence_floats(f->out[0]);
    f->out[1] = kl_gru_forward(&l) ? kl_sequence_last(f->saved[STATES]) : NULL;
    drop_arrays(f, &a);
    return f->out[1] ? KL_OK : kl_last_status();
}

static kl_status gru_backward(kl_op_frame *f)
{
    kl_tensor *z = f->in[Z];
    int64_t state[2] = {z->shape[0], z->shape[2] / 3};
    kl_tensor *dz = kl_empty(KL_FLOAT32, 3, z->shape);
    kl_tensor *dproduct = kl_empty(KL_FLOAT32, 3, z->shape);
    kl_tensor *dh0 = kl_empty(KL_FLOAT32, 2, state), *dout[2];
    gru_arrays a;
    if (!take_arrays(f, &a) || !dz || !dproduct || !dh0)
        return kl_last_status();
    for (int i = 0; i < 2; i++) {
        dout[i] = f->dout[i] ? kl_dense_values(f->dout[i]) : NULL;
        if (f->dout[i] && !dout[i])
            return kl_last_status();
    }
    kl_gru l = sequence_of(f, &a);
    kl_gru_grad g = {.dy = kl_sequence_floats(dout[0]),
                     .dh_last = kl_sequence_floats(dout[1]),
                     .dz = kl_sequence_floats(dz),
                     .dproduct = kl_sequence_floats(dproduct),
                     .dh0 = kl_sequence_floats(dh0)};
    if (!kl_gru_backward(&l, &g))
        return kl_last_status();
    f->din[Z] = dz;
    f->din[H0] = dh0;
    if (f->needs[RECURRENT] &&
        !(f->din[RECURRENT] = kl_sequence_recurrent_grad(l.h0, l.states, dproduct, l.units)))
        return kl_last_status();
    if (f->needs[BIAS] && !(f->din[BIAS] = kl_op_sum(dproduct, KL_AXES(0, 1), false)))
        return kl_last_status();
    return KL_OK;
}

static const kl_op gru_op = {.size = sizeof(kl_op),
                             .name = "gru",
                             .forward = gru_forward,
                             .backward = gru_backward,
                             .compose = gru_compose,
                             .keeps_in = 1 << Z | 1 << RECURRENT | 1 << BIAS | 1 << H0 | 1 << MASK};

kl_status kl_op_gru(kl_tensor *z, kl_tensor *recurrent, kl_tensor *bias, kl_tensor *h0,
                    kl_tensor *mask, kl_tensor **sequence, kl_tensor **h)
{
    *sequence = *h = NULL;
    if (!z || !recurrent || !h0)
        return kl_error_null("gru", "tensor");
    if (!bias)
        bias = kl_zeros((kl_dtype)recurrent->dtype, 1, &recurrent->shape[1]);
    kl_tensor *in[INPUTS] = {z, recurrent, bias, h0, mask}, *out[2] = {NULL};
    if (!bias)
        return kl_last_status();
    kl_status status;
    if (z->dtype == KL_FLOAT32 && recurrent->dtype == KL_FLOAT32)
        status = kl_op_run(&gru_op, NULL, INPUTS, in, 1 << MASK, 2, out);
    else
        status = kl_sequence_compose(&gru_op, NULL, INPUTS, in, 2, out);
    *sequence = out[0];
    *h = out[1];
    return status;
}
