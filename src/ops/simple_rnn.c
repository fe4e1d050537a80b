#include "ops/simple_rnn.h"

#include "kernels/simple_rnn.h"
#include "ops/sequence.h"

enum { Z, RECURRENT, H0, MASK, INPUTS };
enum { STATES };

typedef struct simple_attrs {
    kl_fused_activation activation;
} simple_attrs;

static kl_status check_shapes(const kl_op_frame *f)
{
    const kl_tensor *z = f->in[Z], *w = f->in[RECURRENT], *h = f->in[H0], *mask = f->in[MASK];
    bool fits = z->rank == 3 && w->rank == 2 && h->rank == 2 && w->shape[1] == w->shape[0];
    fits = fits && z->shape[2] == w->shape[1] && h->shape[0] == z->shape[0] &&
           h->shape[1] == w->shape[0];
    fits = fits && (!mask || (mask->rank == 2 && mask->shape[0] == z->shape[0] &&
                              mask->shape[1] == z->shape[1]));
    if (fits && !z->shape[1] && !kl_op_shape_only(f))
        return kl_error(KL_ERROR_SHAPE, "a sequence has at least 1 step");
    return fits ? KL_OK
                : kl_error(KL_ERROR_SHAPE, "the state, mask or weights don't fit the input");
}

static kl_tensor *compose_step(const kl_op_frame *f, kl_tensor *z, kl_tensor *h)
{
    const simple_attrs *a = f->attrs;
    return kl_fused_compose(a->activation, kl_op_add(z, kl_op_matmul(h, f->in[RECURRENT])));
}

static kl_status simple_compose(kl_op_frame *f)
{
    return kl_sequence_compose_steps(f, compose_step, f->in[Z], f->in[H0], f->in[MASK]);
}

/* The inputs as contiguous arrays. */
typedef struct simple_arrays {
    kl_tensor *z, *recurrent, *h0, *mask;
} simple_arrays;

static bool take_arrays(const kl_op_frame *f, simple_arrays *a)
{
    *a = (simple_arrays){kl_dense_values(f->in[Z]), kl_dense_values(f->in[RECURRENT]),
                         kl_dense_values(f->in[H0]),
                         f->in[MASK] ? kl_contiguous(f->in[MASK]) : NULL};
    return a->z && a->recurrent && a->h0 && (a->mask || !f->in[MASK]);
}

static void drop_arrays(const kl_op_frame *f, const simple_arrays *a)
{
    kl_drop_copy(a->z, f->in[Z]);
    kl_drop_copy(a->recurrent, f->in[RECURRENT]);
    kl_drop_copy(a->h0, f->in[H0]);
    kl_drop(a->mask);
}

static kl_simple_rnn_sequence sequence_of(const kl_op_frame *f, const simple_arrays *a)
{
    static const kl_unary functions[] = {[KL_FUSED_NONE] = KL_UNARY_COUNT,
                                         [KL_FUSED_RELU] = KL_UNARY_RELU,
                                         [KL_FUSED_TANH] = KL_UNARY_TANH,
                                         [KL_FUSED_SIGMOID] = KL_UNARY_SIGMOID};
    const simple_attrs *attrs = f->attrs;
    const kl_tensor *z = f->in[Z];
    return (kl_simple_rnn_sequence){.batch = z->shape[0],
                                    .steps = z->shape[1],
                                    .units = z->shape[2],
                                    .recurrent = kl_sequence_floats(a->recurrent),
                                    .z = kl_sequence_floats(a->z),
                                    .h0 = kl_sequence_floats(a->h0),
                                    .mask = a->mask ? (const uint8_t *)a->mask->data : NULL,
                                    .activation = functions[attrs->activation],
                                    .states = kl_sequence_floats(f->saved[STATES])};
}

static kl_status simple_forward(kl_op_frame *f)
{
    kl_status status = check_shapes(f);
    kl_tensor *z = f->in[Z];
    if (status)
        return status;
    int64_t state[2] = {z->shape[0], z->shape[2]};
    if (kl_op_shape_only(f)) {
        f->out[0] = kl_stand_in((kl_dtype)z->dtype, 3, z->shape);
        f->out[1] = kl_stand_in((kl_dtype)z->dtype, 2, state);
        return f->out[0] && f->out[1] ? KL_OK : kl_last_status();
    }
    simple_arrays a;
    f->out[0] = kl_empty(KL_FLOAT32, 3, z->shape);
    if (f->out[0])
        f->saved[STATES] = f->in[MASK] ? kl_empty(KL_FLOAT32, 3, z->shape) : kl_alias(f->out[0]);
    if (!f->saved[STATES] || !take_arrays(f, &a))
        return kl_last_status();
    kl_simple_rnn_sequence l = sequence_of(f, &a);
    l.outputs = kl_sequence_floats(f->out[0]);
    f->out[1] = kl_simple_rnn_forward(&l) ? kl_sequence_last(f->saved[STATES]) : NULL;
    drop_arrays(f, &a);
    return f->out[1] ? KL_OK : kl_last_status();
}

static kl_status simple_backward(kl_op_frame *f)
{
    kl_tensor *z = f->in[Z];
    int64_t state[2] = {z->shape[0], z->shape[2]};
    kl_tensor *dz = kl_empty(KL_FLOAT32, 3, z->shape), *dh0 = kl_empty(KL_FLOAT32, 2, state);
    kl_tensor *dout[2];
    simple_arrays a;
    if (!take_arrays(f, &a) || !dz || !dh0)
        return kl_last_status();
    for (int i = 0; i < 2; i++) {
        dout[i] = f->dout[i] ? kl_dense_values(f->dout[i]) : NULL;
        if (f->dout[i] && !dout[i])
            return kl_last_status();
    }
    kl_simple_rnn_sequence l = sequence_of(f, &a);
    kl_simple_rnn_grad g = {.dy = kl_sequence_floats(dout[0]),
                            .dh_last = kl_sequence_floats(dout[1]),
                            .dz = kl_sequence_floats(dz),
                            .dh0 = kl_sequence_floats(dh0)};
    if (!kl_simple_rnn_backward(&l, &g))
        return kl_last_status();
    f->din[Z] = dz;
    f->din[H0] = dh0;
    if (f->needs[RECURRENT] &&
        !(f->din[RECURRENT] = kl_sequence_recurrent_grad(l.h0, l.states, dz, l.units)))
        return kl_last_status();
    return KL_OK;
}

static const kl_op simple_op = {.size = sizeof(kl_op),
                                .name = "simple_rnn",
                                .attrs_size = sizeof(simple_attrs),
                                .forward = simple_forward,
                                .backward = simple_backward,
                                .compose = simple_compose,
                                .keeps_in = 1 << Z | 1 << RECURRENT | 1 << H0 | 1 << MASK};

kl_status kl_op_simple_rnn(kl_tensor *z, kl_tensor *recurrent, kl_tensor *h0, kl_tensor *mask,
                           kl_fused_activation activation, kl_tensor **sequence, kl_tensor **h)
{
    simple_attrs attrs = {activation};
    kl_tensor *in[INPUTS] = {z, recurrent, h0, mask}, *out[2] = {NULL};
    *sequence = *h = NULL;
    if (!z || !recurrent || !h0)
        return kl_error_null("simple_rnn", "tensor");
    kl_status status;
    if (z->dtype == KL_FLOAT32 && recurrent->dtype == KL_FLOAT32 && activation != KL_FUSED_SOFTMAX)
        status = kl_op_run(&simple_op, &attrs, INPUTS, in, 1 << MASK, 2, out);
    else
        status = kl_sequence_compose(&simple_op, &attrs, INPUTS, in, 2, out);
    *sequence = out[0];
    *h = out[1];
    return status;
}
