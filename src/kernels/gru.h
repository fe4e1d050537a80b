/*
 * A whole GRU sequence with the reset gate after the product (Cho et al. 2014; Keras's gates in the
 * order z, r, h, tanh and sigmoid), forward and back. The batch is split over threads without a
 * barrier a step.
 */
#ifndef KL_KERNELS_GRU_H
#define KL_KERNELS_GRU_H

#include "klayers/base.h"

/* All arrays are float32 in C order: b samples, t steps, u units. */
typedef struct kl_gru {
    int64_t batch, steps, units;
    const float *recurrent; /* [u, 3u] */
    const float *bias;      /* [3u], of the state's product */
    const float *h0;        /* [b, u] */
    const uint8_t *mask;    /* [b, t]: steps to keep, or NULL */
    const float *z;         /* [b, t, 3u]: x * kernel + bias */
    /* What backward needs: the gates' activations [b, t, 3u], and the candidate's part of the
       state's product [b, t, u]. Both NULL where nothing goes back. */
    float *gates, *inner;
    float *states;  /* [b, t, u] */
    float *outputs; /* [b, t, u]: as states, but a masked step repeats the output before it,
                       zeros at first */
} kl_gru;

/* False with KL_ERROR_MEMORY. */
bool kl_gru_forward(const kl_gru *l);

typedef struct kl_gru_grad {
    const float *dy, *dh_last; /* [b, t, u] and [b, u], or NULL */
    float *dz, *dproduct;      /* [b, t, 3u]: out, of the gates and of the state's product */
    float *dh0;                /* [b, u]: out */
} kl_gru_grad;
bool kl_gru_backward(const kl_gru *l, const kl_gru_grad *g);

#endif
