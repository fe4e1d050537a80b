/*
 * A whole sequence of Elman's network (1990), h' = activation(z + h * recurrent), forward and back.
 * The batch is split over threads without a barrier a step.
 */
#ifndef KL_KERNELS_SIMPLE_RNN_H
#define KL_KERNELS_SIMPLE_RNN_H

#include "kernels/elementwise.h"

/* All arrays are float32 in C order: b samples, t steps, u units. */
typedef struct kl_simple_rnn_sequence {
    int64_t batch, steps, units;
    const float *recurrent; /* [u, u] */
    const float *z;         /* [b, t, u]: x * kernel + bias */
    const float *h0;        /* [b, u] */
    const uint8_t *mask;    /* [b, t]: steps to keep, or NULL */
    kl_unary activation;    /* one whose slope its output tells; KL_UNARY_COUNT: none */
    float *states;          /* [b, t, u] */
    float *outputs;         /* [b, t, u]: as states, but a masked step repeats the output before it,
                               zeros at first */
} kl_simple_rnn_sequence;

/* False with KL_ERROR_MEMORY. */
bool kl_simple_rnn_forward(const kl_simple_rnn_sequence *l);

typedef struct kl_simple_rnn_grad {
    const float *dy, *dh_last; /* [b, t, u] and [b, u], or NULL */
    float *dz;                 /* [b, t, u]: out */
    float *dh0;                /* [b, u]: out */
} kl_simple_rnn_grad;
bool kl_simple_rnn_backward(const kl_simple_rnn_sequence *l, const kl_simple_rnn_grad *g);

#endif
