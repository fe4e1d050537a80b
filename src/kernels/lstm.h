/*
 * A whole LSTM sequence (Hochreiter and Schmidhuber 1997; Keras's gates in the order i, f, c, o,
 * tanh and sigmoid), forward and back. The batch is split over threads without a barrier a step.
 */
#ifndef KL_KERNELS_LSTM_H
#define KL_KERNELS_LSTM_H

#include "klayers/base.h"

/* All arrays are float32 in C order: b samples, t steps, u units. */
typedef struct kl_lstm {
    int64_t batch, steps, units;
    const float *recurrent; /* [u, 4u] */
    const float *z;         /* [b, t, 4u]: x * kernel + bias */
    const float *h0, *c0;   /* [b, u] */
    const uint8_t *mask;    /* [b, t]: steps to keep, or NULL */
    /* What backward needs: the gates' activations [b, t, 4u], the cells and their tanh [b, t, u].
       All NULL where nothing goes back: then c_last [b, u] gets the last cells. */
    float *gates, *cells, *tanh_cells, *c_last;
    float *states;  /* [b, t, u] */
    float *outputs; /* [b, t, u]: as states, but a masked step repeats the output before it,
                       zeros at first */
} kl_lstm;

/* False with KL_ERROR_MEMORY. */
bool kl_lstm_forward(const kl_lstm *l);

typedef struct kl_lstm_grad {
    const float *dy;                /* [b, t, u], or NULL */
    const float *dh_last, *dc_last; /* [b, u], or NULL */
    float *dz;                      /* [b, t, 4u]: out, of the gates before their activations */
    float *dh0, *dc0;               /* [b, u]: out */
} kl_lstm_grad;
bool kl_lstm_backward(const kl_lstm *l, const kl_lstm_grad *g);

#endif
