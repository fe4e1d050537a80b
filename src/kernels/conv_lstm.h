/*
 * A whole sequence of a convolutional LSTM (Shi et al. 2015; gates as in kernels/lstm.h), forward
 * and back: the states' products are convolutions, all else is the LSTM's, place by place. What
 * stays within is kept step by step, [t, b, p, ...] for p places, so that each step's convolution
 * reads its batch in one piece and the kernel's gradient is one convolution over all steps.
 */
#ifndef KL_KERNELS_CONV_LSTM_H
#define KL_KERNELS_CONV_LSTM_H

#include "kernels/conv.h"

/* All arrays are float32 in C order: b samples, t steps, p places, f filters. */
typedef struct kl_conv_lstm_sequence {
    kl_conv_shape shape; /* of a step's convolution: b samples, f channels to 4f */
    int64_t steps;
    const float *recurrent; /* [kernel..., f, 4f] */
    const float *z;         /* [b, t, p, 4f]: x * kernel + bias */
    const float *c0;        /* [b, p, f] */
    float *hidden;          /* [t + 1, b, p, f]: in, the first state; out, those of all steps */
    /* What backward needs: [t, b, p, 4f], [t, b, p, f] and [t, b, p, f]. All NULL where nothing
       goes back. */
    float *gates, *cells, *tanh_cells;
    float *outputs; /* [b, t, p, f] */
    float *c_last;  /* [b, p, f] */
} kl_conv_lstm_sequence;

/* False with KL_ERROR_MEMORY. */
bool kl_conv_lstm_forward(const kl_conv_lstm_sequence *l);

typedef struct kl_conv_lstm_grad {
    const float *dy;                /* [b, t, p, f], or NULL */
    const float *dh_last, *dc_last; /* [b, p, f], or NULL */
    float *dz;                      /* [b, t, p, 4f]: out */
    float *dh0, *dc0;               /* [b, p, f]: out */
    float *drecurrent;              /* [kernel..., f, 4f]: out, or NULL */
} kl_conv_lstm_grad;
bool kl_conv_lstm_backward(const kl_conv_lstm_sequence *l, const kl_conv_lstm_grad *g);

#endif
