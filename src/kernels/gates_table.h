/* The gates of recurrent cells, which each instruction set has a version of. */
#ifndef KL_KERNELS_GATES_TABLE_H
#define KL_KERNELS_GATES_TABLE_H

#include "klayers/base.h"

typedef struct kl_gates_table {
    /* One step's gates of one sample, i, f, c, o of u each: z has the input's part, p the state's
       and is overwritten by the activations; c_out, which may be c, gets the new cell, tc its tanh,
       h the output. */
    void (*lstm_gates_f32)(int64_t u, const float *z, float *p, const float *c, float *c_out,
                           float *h, float *tc);
    /* Back through it: dh is the whole gradient of h; dc that of the cell from later, replaced by
       that of the cell before; dz gets the gates'. */
    void (*lstm_gates_grad_f32)(int64_t u, const float *z, const float *c, const float *tc,
                                const float *dh, float *dc, float *dz);
    /* One step's gates of a GRU, z, r, h of u each: x has the input's part, p and bias the state's;
       p is overwritten by the activations. h is the state before, inner gets the candidate's part
       of the state. */
    void (*gru_gates_f32)(int64_t u, const float *x, float *p, const float *bias, const float *h,
                          float *inner, float *h_out);
    /* Back through it: dh is the whole gradient of the output, replaced by the part of the state
       before that goes past the product; dx gets the gates', dproduct the product's. */
    void (*gru_gates_grad_f32)(int64_t u, const float *x, const float *inner, const float *h,
                               float *dh, float *dx, float *dproduct);
} kl_gates_table;

extern const kl_gates_table kl_gates_portable, kl_gates_neon, kl_gates_avx2, kl_gates_avx512;

/* The table of the instruction set in use. */
const kl_gates_table *kl_gates_kernels(void);

#endif
